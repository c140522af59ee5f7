"""The parts of a diagnosis that are numbers: gradients, scales, losses, errors."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from benchmarks.report import blocks, figures
from benchmarks.report.page import Section

Report = Mapping[str, Any]
FAR = 8.0  # times the label: a scale that far off is outlined
DEAD = 1e-4  # of the total gradient: a term that small trains nothing


def gradients(report: Report) -> Section:
    """How hard every loss term pulls on every component and output, side by side."""
    title = "Gradients: which loss trains what"
    lead = (
        "Norm of each weighted term's gradient at the start. Hatched: none reaches it. The share "
        "is the term's part where all terms meet; an outlined share is dead."
    )
    panels = []
    for kind, words in (("by_component", "by component"), ("by_output", "by output")):
        drawn = [
            _heat_map(report, subject["name"], matrix)
            for subject in report["subjects"]
            if (matrix := evidence(report, subject["name"], "gradient.reach", kind))
        ]
        if drawn:
            panels.append(blocks.Panel(words, blocks.columns(*drawn)))
    if not panels:
        return Section("gradients", title, _not_measured(report, "gradient"))
    return Section("gradients", title, blocks.tabs("Gradients", panels, id="gradients-of"), lead)


def scales(report: Report) -> Section:
    """Outputs beside labels, least to greatest, in one unit."""
    tables = []
    for index, (subject, shown) in enumerate(_exhibited(report)):
        rows = [_scale_row(row) for row in shown["scales"]]
        height, width = shown["crop_hw_px"]
        round_trip = shown["round_trip"]
        if round_trip:
            worst = round_trip["worst_px"]
            rows.append(
                ["labels: joints projected to keypoints", "px", "", f"worst {worst:.2g}", ""]
            )
        caption = f"{subject['name']}: crops {height} px high, {width} px wide"
        heads = ["quantity", "unit", "model says", "label says", blocks.Column("ratio", True)]
        tables.append(
            blocks.Panel(
                subject["name"], blocks.table(heads, rows, caption=caption), blocks.colour(index)
            )
        )
    lead = (
        "Least, median and greatest over a batch. The ratio compares the greatest sizes; a unit "
        "mixed up shows as 1000, a normalisation as the crop's width."
    )
    body = blocks.tabs("Whose scales", tables, id="scales-of") if tables else _none_shown()
    return Section("scales", "Scales and units", body, lead)


def losses(report: Report) -> Section:
    """The ledger at step 0, and the first steps where they were taken."""
    panels = [
        blocks.Panel(subject["name"], body, blocks.colour(index))
        for index, subject in enumerate(report["subjects"])
        if (body := _losses_of(report, subject["name"], index))
    ]
    lead = "Every weighted term before training, and what the first steps make of it."
    if not panels:
        return Section("losses", "Losses", _not_measured(report, "ledger"), lead)
    body = blocks.tabs("Whose losses", panels, id="losses-of")
    return Section("losses", "Losses", Markup("{}{}").format(_together(report), body), lead)


def errors(report: Report) -> Section:
    """Alignment staircase and fingers, where there are trained weights."""
    shown = [(s, e) for s, e in _exhibited(report) if "staircase_mm" in e]
    title = "Where the error lies"
    if not shown:
        text = "No subject has trained weights (--checkpoint), so errors would say nothing."
        return Section("errors", title, blocks.notice(text))
    names = [subject["name"] for subject, _ in shown]
    tables = []
    for key, caption in (
        ("staircase_mm", "Mean joint error in mm that remains after each alignment"),
        ("fingers_mm", "Mean error in mm of each finger, relative to the wrist"),
    ):
        kinds = list(shown[0][1][key])
        heads = ["after" if key == "staircase_mm" else "finger"]
        rows = [[kind, *(e[key][kind] for _, e in shown)] for kind in kinds]
        columns = [*heads, *(blocks.Column(name, True) for name in names)]
        table = blocks.table(columns, rows, caption=caption)
        tables.append(Markup("{}{}").format(_steps_chart(shown, key, report), table))
    lead = (
        "What a motion takes away was wrong about it: translation where the hand is, scale how "
        "large, rotation which way it turns; what all together leave is the pose of the fingers."
    )
    return Section("errors", title, blocks.columns(*tables), lead)


def evidence(report: Report, subject: str, probe: str, key: str) -> Any:
    """What a probe (or a whole family, by its prefix) measured under a name, or None."""
    for run in report["probes"]:
        if run["subject"] == subject and run["id"].startswith(probe) and key in run["evidence"]:
            return run["evidence"][key]
    return None


def _heat_map(report: Report, name: str, matrix: Mapping[str, Mapping[str, float]]) -> Markup:
    columns = list(dict.fromkeys(part for row in matrix.values() for part in row))
    shares = evidence(report, name, "gradient.share", "shares") or {}
    felt = evidence(report, name, "gradient.share", "largest") or {}
    dead = evidence(report, name, "gradient.reach", "dead") or ()
    sizes = [_float(value) for row in matrix.values() for value in row.values()]
    largest = max((size for size in sizes if math.isfinite(size)), default=0.0)
    rows = {}
    for term, row in matrix.items():
        cells = [_gradient_cell(_float(row.get(part, 0.0)), largest) for part in columns]
        if shares:
            pair = (_float(shares.get(term, 0.0)), _float(felt.get(term, 0.0)))
            cells.append(_share_cell(*pair, term in dead))
        rows[term.removeprefix("loss_")] = cells
    heads = [part.removeprefix("model.") for part in columns] + ["share"] * bool(shares)
    return blocks.heat_table(heads, rows, caption=name, corner="loss term")


def _share_cell(share: float, largest: float, dead: bool) -> blocks.Heat:
    text = f"{share:.1%}" if share >= 1e-3 or share == 0 else f"{share:.0e}"
    return blocks.Heat(text, share, "flag" if dead or 0 < max(share, largest) < DEAD else "")


def _gradient_cell(value: float, largest: float) -> blocks.Heat:
    if not math.isfinite(value):
        return blocks.Heat(str(value), 1.0, "flag")
    if value == 0:
        return blocks.Heat("0", 0.0, "dead")
    decades = math.log10(value / largest) if largest > 0 and math.isfinite(largest) else 0.0
    return blocks.Heat(blocks.number(value, 2), max(0.0, 1 + decades / 6))


def _scale_row(row: Mapping[str, Any]) -> list[Any]:
    said, meant = row["prediction"], row["label"]
    ratio: Any = ""
    if said and meant:
        sizes = [max(abs(_float(x)) for x in spread) for spread in (said, meant)]
        ratio = sizes[0] / sizes[1] if sizes[1] > 0 else ""
        if ratio and (not math.isfinite(ratio) or ratio > FAR):
            ratio = blocks.mark(blocks.number(ratio), "warning")
    return [row["quantity"], row["unit"], _spread(said), _spread(meant), ratio]


def _spread(values: Sequence[float] | None) -> str:
    if values is None:
        return ""
    low, middle, high = (blocks.number(_float(value)) for value in values)
    return f"{low} … {middle} … {high}"


def _losses_of(report: Report, name: str, index: int) -> Markup | None:
    ledger = evidence(report, name, "ledger.sum", "terms")
    steps = evidence(report, name, "learning.overfit", "terms")
    parts = []
    if ledger:
        parts.append(_ledger(report, name, ledger))
    if steps:
        parts.append(_first_steps(steps, name, index))
    return blocks.stack(parts) if parts else None


def _ledger(report: Report, name: str, ledger: Mapping[str, Any]) -> Markup:
    costs = evidence(report, name, "ledger.initial", "terms") or {}
    shares = evidence(report, name, "gradient.share", "shares") or {}
    values = {term: _float(value) for term, value in ledger.items()}
    whole = sum(values.values()) or 1.0
    rows = []
    for term, value in values.items():
        cost = costs.get(term, {})
        share, pull = f"{value / whole:.1%}", _float(shares.get(term, 0.0))
        row = [term.removeprefix("loss_"), value, share, f"{pull:.1%}" if shares else ""]
        rows.append([*row, *(_maybe(cost.get(key)) for key in ("blind", "truth"))])
    total = evidence(report, name, "ledger.sum", "total")
    said = f"sum of the terms; what is minimised is {blocks.number(_maybe(total))}"
    rows.append([said if total is not None else "sum of the terms", whole, "", "", "", ""])
    names = ("weighted", "of the sum", "of the gradient", "mean of labels", "truth")
    heads = ["term", *(blocks.Column(head, True) for head in names)]
    caption = (
        "Step 0: what each term costs now, would cost for the mean of the labels, and for them"
    )
    return blocks.table(heads, rows, caption=caption)


def _maybe(value: Any) -> float | None:
    return None if value is None else _float(value)


def _together(report: Report) -> Markup:
    """The total of every subject on one batch, in parts of its first value."""
    figure, axes = figures.canvas(7.5, 2.8)
    for index, subject in enumerate(report["subjects"]):
        totals = evidence(report, subject["name"], "learning.overfit", "losses") or []
        values = [_float(value) for value in totals]
        if values and values[0]:
            parts = [value / values[0] for value in values]
            axes.plot(parts, color=figures.subject_colour(index), label=subject["name"], lw=2.2)
    if not axes.lines:
        return Markup("")
    axes.set(xlabel="step", ylabel="of the first loss")
    figures.logarithmic(axes)
    figures.legend(axes)
    drawing = figures.svg(figure, title="Loss of all subjects on one batch", id="first-steps")
    return blocks.figure(drawing, "One batch again and again: a model that can learn learns it.")


def _first_steps(steps: Sequence[Mapping[str, float]], name: str, index: int) -> Markup:
    figure, axes = figures.canvas(7.5, 3.2)
    strokes = ("-", "--", ":", "-.")
    for number, term in enumerate(steps[0]):
        axes.plot(
            [_float(step[term]) for step in steps],
            color=figures.subject_colour(index) if number < len(strokes) else figures.MUTED,
            linestyle=strokes[number % len(strokes)],
            label=term.removeprefix("loss_"),
        )
    axes.set(xlabel="step", ylabel="weighted term")
    figures.logarithmic(axes)
    figures.legend(axes, "center left")
    axes.get_legend().set_bbox_to_anchor((1.0, 0.5))
    drawing = figures.svg(figure, title=f"First steps of {name}", id=f"first-steps-{index}")
    return blocks.figure(drawing, f"The terms of {name} on that batch.")


def _steps_chart(shown: Sequence[tuple[Any, Any]], key: str, report: Report) -> Markup:
    figure, axes = figures.canvas(5.0, 2.8)
    kinds = list(shown[0][1][key])
    names = [subject["name"] for subject in report["subjects"]]
    width = 0.8 / len(shown)
    for number, (subject, numbers) in enumerate(shown):
        where = [i + (number - (len(shown) - 1) / 2) * width for i in range(len(kinds))]
        hue = figures.subject_colour(names.index(subject["name"]))
        values = [_float(numbers[key][kind]) for kind in kinds]
        axes.bar(where, values, width * 0.9, color=hue, label=subject["name"])
    axes.set_xticks(range(len(kinds)), kinds)
    axes.set_ylabel("mm")
    figures.legend(axes)
    return figures.svg(figure, title=f"{key}, a bar a subject", id=f"chart-{key}")


def _exhibited(report: Report) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    for subject, shown in zip(report["subjects"], report.get("exhibits", ()), strict=False):
        if shown:
            yield subject, shown


def _not_measured(report: Report, family: str) -> Markup:
    reasons = [
        f"{p['subject']}: {p['id']} {p['status']}" + (f" ({p['why']})" if p["why"] else "")
        for p in report["probes"]
        if p["id"].startswith(family)
    ]
    return blocks.notice("Not measured. " + ("; ".join(reasons) or f"No {family} probe ran."))


def _none_shown() -> Markup:
    return blocks.notice("Not measured: the models could not be run on the hands.")


def _float(value: Any) -> float:
    return float(value)  # "inf" and "nan" are how JSON holds them

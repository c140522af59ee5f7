"""The page of a ladder: staircase, shares, the differences behind them, curves, cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from benchmarks.ladder import charts
from benchmarks.report import blocks, page
from benchmarks.report.blocks import Column, Panel
from benchmarks.verdict import explain

SHOWN = 140  # letters of a value


def ladder_page(summary: Mapping[str, Any], facts: Mapping[str, str]) -> str:
    """A whole HTML document from `summarise`'s record.

    facts: the small print at the end: machine, commit, command.
    """
    metrics = summary["metrics"]
    main = metrics[0]
    sections = [
        page.Section("numbers", "Rung by rung", _numbers(summary, main), lead=_NUMBERS_LEAD),
        page.Section("staircase", "The staircase", _tabs(summary, charts.staircase, "stairs")),
        page.Section("bought", "What each rung bought", _bought(summary), lead=_BOUGHT_LEAD),
        page.Section("differences", "The differences behind each rung", _differences(summary)),
        page.Section("verdicts", "Verdicts", _verdicts(summary), lead=_VERDICT_LEAD),
        page.Section("cost", "Gain beside cost", _cost(summary, main), lead=_COST_LEAD),
    ]
    drawn = [charts.curves(summary, name) for name in (f"val/{main}", "train/loss")]
    if any(drawn):
        body = blocks.stack(chart for chart in drawn if chart is not None)
        sections.insert(3, page.Section("curves", "Curves of all runs", body, lead=_CURVES_LEAD))
    return page.render(
        title=f"{summary['start']} to {summary['goal']}",
        kind="zoo ladder",
        sections=sections,
        lead=_lead(summary, main),
        facts={**facts, **_settings(summary)},
    )


_NUMBERS_LEAD = (
    "Each rung adds its differences to all before it. Intervals are 95 %; they cover the choice of "
    "training seed and of hands, paired by both."
)
_BOUGHT_LEAD = (
    "Bars add up to goal minus start. A pale bar's interval contains 0. A tick is the same rung "
    "climbed in another order: far apart, it acts together with others."
)
_CURVES_LEAD = (
    "From blue (start) to orange (goal). Rungs with other loss terms have losses of another size: "
    "compare their shapes, and the errors."
)
_COST_LEAD = "On the machine named below, several trainings at once where there were jobs."
_VERDICT_LEAD = "Fixed criteria, the same for every run; a run converged when all of them hold."


def shown(one: Mapping[str, Any], signed: bool = False) -> str:
    """An estimate as text: 61.2 (58.0 to 64.4)."""
    if one["mean"] is None:
        return "–"
    sign = "+" if signed else ""
    mean, low, high = (
        None if one[key] is None else f"{round(one[key], 1) + 0.0:{sign}.1f}"  # no minus zero
        for key in ("mean", "low", "high")
    )
    return mean if low is None else f"{mean} ({low} to {high})"


def _lead(summary: Mapping[str, Any], metric: str) -> str:
    rungs, total = summary["rungs"], summary["total"][metric]
    parts = [a for a in summary["attribution"] if a["metric"] == metric]
    if not parts:
        return f"{summary['start']} and {summary['goal']} are the same: there is nothing to climb."
    sure = [a for a in parts if a["low"] is not None and not a["low"] <= 0 <= a["high"]]
    most = max(parts, key=lambda entry: abs(entry["mean"]))
    text = (
        f"{metric} goes from {shown(rungs[0]['level'][metric])} to "
        f"{shown(rungs[-1]['level'][metric])}: {shown(total, signed=True)} in {len(parts)} rungs, "
        f"{summary['trainings']} trainings. The largest share is {most['change']}, "
        f"{shown(most, signed=True)}."
    )
    if not sure:
        return text + " No single rung's interval leaves 0 out."
    return text + f" Beyond chance: {', '.join(entry['change'] for entry in sure)}."


def _numbers(summary: Mapping[str, Any], main: str) -> Markup:
    others = [name for name in summary["metrics"] if name == "pa_mpjpe_mm"]
    columns = ["rung", Column(main, True), Column("step", True)]
    columns += [*(Column(name, True) for name in others), "converged"]
    rows = [
        [
            rung["name"],
            shown(rung["level"][main]),
            shown(rung["step"][main], signed=True) if rung["step"] else "",
            *(shown(rung["level"][name]) for name in others),
            _converged(rung),
        ]
        for rung in summary["rungs"]
    ]
    return blocks.table(columns, rows, caption="Means over seeds")


def _bought(summary: Mapping[str, Any]) -> Markup:
    return blocks.stack(
        [_tabs(summary, charts.contributions, "bought"), _interactions(summary)]
        if len(summary["climbs"]) > 1
        else [_tabs(summary, charts.contributions, "bought")]
    )


def _interactions(summary: Mapping[str, Any]) -> Markup:
    main = summary["metrics"][0]
    names = [climb["name"] for climb in summary["climbs"]]
    rows = [
        [entry["change"], shown(entry, signed=True), entry["spread"]]
        + [f"{entry['by_order'][name]:+.1f}" for name in names]
        for entry in summary["attribution"]
        if entry["metric"] == main
    ]
    columns = ["rung", Column("share", True), Column("spread", True)]
    columns += [Column(name, True) for name in names]
    return blocks.table(columns, rows, caption=f"{main} in each order: what a rung does to others")


def _tabs(summary: Mapping[str, Any], chart: Any, name: str) -> Markup:
    panels = [Panel(metric, chart(summary, metric)) for metric in summary["metrics"]]
    return blocks.tabs("metric", panels, id=f"{name}-tabs")


def _differences(summary: Mapping[str, Any]) -> Markup:
    rows: list[Any] = []
    for rung in summary["rungs"][1:]:
        rows.append(blocks.Group(rung["name"]))
        rows += [[c["path"], _short(c["before"]), _short(c["after"])] for c in rung["changes"]]
        rows += [[note, "", ""] for note in rung["notes"]]
    body = blocks.table(["path", "before", "after"], rows, caption="What each rung changes")
    held = summary["held"]["changes"]
    if not held:
        return body
    kept = [[c["path"], _short(c["before"]), _short(c["after"])] for c in held]
    caption = "Held equal on every rung, at the start's value, for a fair comparison"
    columns = ["path", "start, used", "goal"]
    return blocks.stack(
        [body, blocks.details(caption, blocks.table(columns, kept, caption=caption))]
    )


def _verdicts(summary: Mapping[str, Any]) -> Markup:
    """How many runs of a rung hold each criterion; folded away, what failed in each run."""
    records = [run["verdict"] or {} for rung in summary["rungs"] for run in rung["runs"]]
    names = list(dict.fromkeys(name for one in records for name in one.get("criteria", {})))
    rows = {
        rung["name"]: [_held(rung["runs"], name) for name in names] for rung in summary["rungs"]
    }
    counts = blocks.heat_table(
        [name.replace("_", " ") for name in names],
        rows,
        caption="Runs that hold each criterion",
        corner="rung",
    )
    return blocks.stack([counts, blocks.details("What failed, run by run", _failures(summary))])


def _held(runs: Sequence[Mapping[str, Any]], name: str) -> blocks.Heat:
    entries = [((run["verdict"] or {}).get("criteria") or {}).get(name) for run in runs]
    held = sum(entry is not None and entry["holds"] is True for entry in entries)
    values = "; ".join(explain(name, entry) for entry in entries if entry)
    return blocks.Heat(
        f"{held} of {len(entries)}",
        held / len(entries),
        kind="" if held else "dead",
        note=values,
    )


def _failures(summary: Mapping[str, Any]) -> Markup:
    rows = []
    for rung in summary["rungs"]:
        for run in rung["runs"]:
            criteria = (run["verdict"] or {}).get("criteria", {})
            failed = [explain(n, e) for n, e in criteria.items() if e.get("holds") is not True]
            if failed:
                rows.append([rung["name"], run["seed"], "; ".join(failed)])
    return blocks.table(
        ["rung", Column("seed", True), "what failed"], rows, caption="Criteria that do not hold"
    )


def _cost(summary: Mapping[str, Any], main: str) -> Markup:
    rows = [
        [rung["name"], rung["runs"][0]["parameters_m"], _mean(rung, "samples_per_s")]
        for rung in summary["rungs"]
    ]
    columns = ["rung", Column("parameters (M)", True), Column("samples/s in training", True)]
    table = blocks.table(columns, rows, caption="Size and speed, means over seeds")
    return blocks.stack([charts.gain_and_cost(summary, main), blocks.details("As numbers", table)])


def _converged(rung: Mapping[str, Any]) -> str:
    held = [bool((run["verdict"] or {}).get("converged")) for run in rung["runs"]]
    return f"{sum(held)} of {len(held)}"


def _mean(rung: Mapping[str, Any], name: str) -> float | None:
    values = [run[name] for run in rung["runs"] if run.get(name)]
    return sum(values) / len(values) if values else None


def _settings(summary: Mapping[str, Any]) -> dict[str, str]:
    settings = summary["settings"]
    return {
        "size": settings["size"],
        "steps": str(settings["steps"] or "as the config says"),
        "seeds": str(settings["seeds"]),
        "orders": ", ".join(climb["name"] for climb in summary["climbs"]),
        **({"set in all": " ".join(settings["changes"])} if settings.get("changes") else {}),
        "held equal": ", ".join(summary["held"]["sections"]),
    }


def _short(value: Any) -> str:
    text = _said(value)
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"


def _said(value: Any) -> str:
    """A part as its name and arguments."""
    if isinstance(value, Mapping):
        inside = ", ".join(f"{key}={_said(item)}" for key, item in value.items() if key != "type")
        return f"{value.get('type', 'dict')}({inside})"
    return str(value)

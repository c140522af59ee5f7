"""The page of `zoo bench`: costs, stages, ratios, errors, and what others printed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from markupsafe import Markup

from benchmarks.published import note
from benchmarks.report import blocks, figures, page
from benchmarks.report.blocks import Column

COSTS = {
    "parameters_m": "parameters (M)",
    "gflops": "GFLOPs a hand",
    "forward_ms": "forward, batch 1 (ms)",
    "images_per_s": "images/s",
    "train_step_ms": "training step (ms)",
    "samples_per_s": "samples/s, training",
    "peak_memory_mb": "peak memory, training step (MB)",
}
RATIOS = tuple(name for name in COSTS)


def bench_page(record: Mapping[str, Any], facts: Mapping[str, str]) -> str:
    """A whole HTML document from `measure`'s record."""
    names = [subject["name"] for subject in record["subjects"]]
    sections = [
        page.Section("costs", "What each costs", _costs(record), lead=_lead_of_costs(record))
    ]
    if any(subject["precisions"] for subject in record["subjects"]):
        lead = "Forward only, on the whole batch, each stage alone and fed with what the last gave."
        sections += [
            page.Section("ratios", "Ratios", _ratios(record), lead=_RATIOS_LEAD),
            page.Section("stages", "Stage by stage", _stages(record), lead=lead),
        ]
    if any(subject["metrics"] for subject in record["subjects"]):
        sections.append(page.Section("errors", "Errors", _errors(record), lead=_ERRORS_LEAD))
    if record.get("growth"):
        sections.append(page.Section("growth", "How the cost grows", _growth(record)))
    sections.append(
        page.Section("published", "What others printed", _published(record), lead=_PUBLISHED_LEAD)
    )
    return page.render(
        title=" against ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0],
        kind="zoo bench",
        subjects=names if len(names) <= page.MAX_SUBJECTS else (),
        sections=sections,
        lead=_lead(record),
        facts={**facts, **{key: str(said) for key, said in record["protocol"].items()}},
    )


_RATIOS_LEAD = (
    "Medians over pairs of rounds measured one right after the other. The intervals of all timings "
    "hold together with 95 %: one that leaves 1 out is a difference."
)
_ERRORS_LEAD = "Means over labels with 95 % bootstrap intervals over hands; differences are paired."
_PUBLISHED_LEAD = (
    "Printed by others, on their data, with their crops, boxes and alignment: nothing here was "
    "measured by this program, and no number here may be set against one above."
)


def _lead(record: Mapping[str, Any]) -> str:
    said = []
    for pair, ratios in record["ratios"].items():
        a, b = pair.split("/")
        text = (
            f"{a} has {ratios['parameters_m']:.2f} times the parameters of {b} and "
            f"{ratios['gflops']:.2f} times its arithmetic"
        )
        if step := ratios.get("train_step_ms"):
            text += f"; a training step takes {ratio_text(step)} times as long"
        said.append(text + ".")
    return " ".join(said)


def ratio_text(ratio: Mapping[str, float] | float) -> str:
    """A ratio with its interval: 1.42 (1.38 to 1.47)."""
    if isinstance(ratio, int | float):
        return f"{ratio:.3g}"
    bounds = [ratio["low"], ratio["high"]]
    if None in bounds or not all(map(math.isfinite, bounds)):
        return f"{ratio['value']:.2f} (too few rounds for an interval)"
    return f"{ratio['value']:.2f} ({ratio['low']:.2f} to {ratio['high']:.2f})"


def _lead_of_costs(record: Mapping[str, Any]) -> str:
    busy = record.get("machine", {}).get("cpu_share")
    timed = any(subject["precisions"] for subject in record["subjects"])
    if busy is None or busy > 0.8 or not timed:  # counting is the same on a busy machine
        return ""
    return (
        f"The machine was busy: this process had {busy:.0%} of the time. Absolute times are upper "
        "bounds; ratios are of alternating rounds and stand."
    )


def _costs(record: Mapping[str, Any]) -> Markup:
    subjects = record["subjects"]
    columns = ["", *(Column(_marked(s["name"], i), True) for i, s in enumerate(subjects))]
    rows = [
        [title, *(subject[key] for subject in subjects)]
        for key, title in COSTS.items()
        if any(subject[key] is not None for subject in subjects)
    ]
    return blocks.table(columns, rows, caption="Measured here, in one run")


def _ratios(record: Mapping[str, Any]) -> Markup:
    rows: list[Any] = []
    for pair, ratios in record["ratios"].items():
        rows.append(blocks.Group(pair))
        rows += [[COSTS[k], "", ratio_text(ratios[k])] for k in RATIOS[:2]]
        for precision, of in ratios["precisions"].items():
            rows += [[COSTS[k], precision, ratio_text(of[k])] for k in RATIOS[2:6]]
            rows += [
                [f"{stage} (ms)", precision, ratio_text(one)]
                for stage, one in of["stages_ms"].items()
            ]
    columns = ["of", "precision", Column("ratio", True)]
    return blocks.stack([_forest(record), blocks.table(columns, rows, caption="Every ratio")])


def _forest(record: Mapping[str, Any]) -> Markup:
    """Each timing's ratio with its interval, about the line of 1."""
    pair, ratios = next(iter(record["ratios"].items()))
    (precision, of), *_ = ratios["precisions"].items()
    lines = [
        ("forward, batch 1", of["forward_ms"]),
        ("training step", of["train_step_ms"]),
        *((stage, one) for stage, one in of["stages_ms"].items()),
    ]
    figure, axes = figures.canvas(width=7.6, height=0.9 + 0.3 * len(lines))
    for row, (_, one) in enumerate(lines):
        if one["low"] is not None and math.isfinite(one["low"]) and math.isfinite(one["high"]):
            axes.hlines(row, one["low"], one["high"], color=figures.subject_colour(0), lw=2)
        axes.plot(one["value"], row, "o", ms=6, color=figures.subject_colour(0))
    axes.axvline(1, color=figures.INK, lw=0.9)
    axes.set_yticks(range(len(lines)), [name for name, _ in lines])
    axes.set_ylim(len(lines) - 0.5, -0.5)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_formatter(lambda value, _: f"{value:g}" if value in (0.5, 2, 3, 5) else "")
    axes.set_xlabel(f"time of {pair.replace('/', ' / ')}, {precision}; to the left is faster")
    return figures.svg(figure, title=f"Ratios of {pair}", id="ratios-forest")


def _stages(record: Mapping[str, Any]) -> Markup:
    subjects = [s for s in record["subjects"] if s["precisions"]]
    precisions = list(subjects[0]["precisions"])
    rows = [(s, p) for s in subjects for p in precisions]
    stages = list(dict.fromkeys(k for s, p in rows for k in s["precisions"][p]["stages_ms"]))
    figure, axes = figures.canvas(width=8.2, height=1.0 + 0.42 * len(rows))
    left = np.zeros(len(rows))
    for number, stage in enumerate(stages):
        widths = np.array([s["precisions"][p]["stages_ms"].get(stage, 0.0) for s, p in rows])
        colour = figures.subject_colour(number)
        axes.barh(range(len(rows)), widths, left=left, height=0.6, color=colour, label=stage)
        left += widths
    axes.set_yticks(range(len(rows)), [f"{s['name']}, {p}" for s, p in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel("ms a batch")
    axes.legend(
        frameon=False,
        fontsize=9,
        labelcolor=figures.INK,
        ncols=len(stages),
        loc="lower left",
        bbox_to_anchor=(0, 1),
    )
    table = blocks.table(
        ["stage", *(Column(f"{s['name']}, {p}", True) for s, p in rows)],
        [
            [stage, *(s["precisions"][p]["stages_ms"].get(stage) for s, p in rows)]
            for stage in stages
        ],
        caption="ms a batch, medians",
    )
    return blocks.stack([figures.svg(figure, title="Stage by stage", id="stages"), table])


def _errors(record: Mapping[str, Any]) -> Markup:
    subjects = [s for s in record["subjects"] if s["metrics"]]
    metrics = list(dict.fromkeys(m for s in subjects for m in s["metrics"]))
    rows = [[m, *(_interval(s["metrics"].get(m)) for s in subjects)] for m in metrics]
    columns = ["metric", *(Column(s["name"], True) for s in subjects)]
    body = [blocks.table(columns, rows, caption=record.get("data", "the same hands for all"))]
    pairs = [
        [pair, metric, _interval(one, signed=True)]
        for pair, found in record.get("differences", {}).items()
        for metric, one in found.items()
    ]
    if pairs:
        head = ["pair", "metric", Column("difference", True)]
        body.append(blocks.table(head, pairs, caption="Paired; below 0 the first is better"))
    return blocks.stack(body)


def _published(record: Mapping[str, Any]) -> Markup:
    rows: list[Any] = []
    for subject in record["subjects"]:
        for one in subject["published"]:
            cells = [subject["name"], one["metric"], one["value"], one["protocol"], one["source"]]
            rows.append([*cells, one["sure"]])
        if not subject["published"]:
            known = note(subject["name"])
            why = known["why"] if known else "no published figures are known"
            rows.append([subject["name"], "–", "–", why, "", ""])
    columns = ["model", "metric", Column("value", True), "protocol", "source", "sure"]
    return blocks.table(columns, rows, caption="Published figures")


def _growth(record: Mapping[str, Any]) -> Markup:
    body: list[Markup] = []
    for axis, found in record["growth"].items():
        if found["subjects"]:
            body.append(_grown(axis, found))
        for name, why in found["left_out"].items():
            body.append(blocks.paragraph(f"{name} has no curve against {found['label']}: {why}."))
    return blocks.stack(body)


def _grown(axis: str, found: Mapping[str, Any]) -> Markup:
    figure, (time, work) = figures.canvas(width=8.6, height=3.2, columns=2)
    for number, (name, points) in enumerate(found["subjects"].items()):
        at = [point["at"] for point in points]
        style = {"marker": "o", "ms": 4, "color": figures.subject_colour(number), "label": name}
        time.plot(at, [point["forward_ms"] for point in points], **style)
        work.plot(at, [point["gflops"] for point in points], **style)
    for axes, title in ((time, "forward (ms)"), (work, "GFLOPs")):
        axes.set(xlabel=found["label"], ylabel=title)
        axes.set_ylim(bottom=0)
    figures.legend(time)
    return figures.svg(figure, title=f"Cost against {found['label']}", id=f"growth-{axis}")


def _interval(one: Mapping[str, float] | None, signed: bool = False) -> str | None:
    if one is None:
        return None
    sign = "+" if signed else ""
    return f"{one['value']:{sign}.1f} ({one['low']:{sign}.1f} to {one['high']:{sign}.1f})"


def _marked(name: str, index: int) -> Markup:
    return blocks.subject_mark(name, index)

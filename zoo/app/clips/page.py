"""What clips of several lengths reached, as the text of a documentation page."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.statistics import Estimate, mean_of_runs, standard_error
from zoo.app.clips.judged_films import COMES, HIDDEN_PART, NOISE, STAYS

_Judged = Sequence[Mapping[str, Any]]  # one a seed
Results = Mapping[int, _Judged]  # by clip length

_TABLES = {
    "visible": "The last frame is visible: root-relative MPJPE (mm)",
    "occluded": "The last frame is occluded: root-relative MPJPE (mm)",
    "acceleration": "Acceleration error (mm per frame^2)",
}


def page(results: Results, stage1: Mapping[str, Any], seeds: int) -> str:
    """The whole page.

    results: of `zoo.app.clips.lengths.finished`. stage1: run.json of the run they all stand on.
    seeds: wanted of every length; the page says where there are fewer.
    """
    tables = {name: _rows(results, name) for name in _TABLES}
    lines = [
        "# What earlier frames are worth",
        "",
        "<!-- Written by `python -m zoo.app.clips.lengths`. -->",
        "",
        *_setting(results, stage1),
        *_reading(tables["occluded"]),
        *_missing(results, seeds),
    ]
    for name, title in _TABLES.items():
        lines += _table(title, tables[name])
    return "\n".join(lines) + "\n"


class Row:
    """One length's numbers: means over seeds and films, intervals over both."""

    def __init__(self, length: int, records: _Judged, control: _Judged, name: str) -> None:
        """records, control: of this length and of the shortest one. name: what was judged."""
        first, second = (_stacked(records, name, stage) for stage in ("stage1", "stage2"))
        self.length, self.seeds = length, len(records)
        self.stage1, self.stage2 = _estimate(first), _estimate(second)
        self.gain = _estimate(first - second)
        of_seed = {record["seed"]: record for record in control}
        pairs = [(of_seed[r["seed"]], r) for r in records if r["seed"] in of_seed]
        self.from_time = Estimate(math.nan, math.nan, math.nan)
        if pairs:
            alone, refined = (_stacked(side, name, "stage2") for side in zip(*pairs, strict=True))
            self.from_time = _estimate(alone - refined)


def _rows(results: Results, name: str) -> list[Row]:
    found = {length: records for length, records in results.items() if records}
    control = found[min(found)]
    return [Row(length, records, control, name) for length, records in found.items()]


def _stacked(records: Iterable[Mapping[str, Any]], name: str, stage: str) -> np.ndarray:
    """(seeds, films)."""
    return np.array([record["judged"][name][stage] for record in records])


def _estimate(values: np.ndarray) -> Estimate:
    """Of (seeds, films)."""
    return mean_of_runs(values.mean(1), hands_error=standard_error(values.mean(0)))


def _setting(results: Results, stage1: Mapping[str, Any]) -> list[str]:
    some = next(found[0] for found in results.values() if found)
    films, stay = len(some["judged"]["visible"]["stage1"]), 1 / (1 - STAYS)
    machine = some["machine"]
    return [
        "CS-ViT2's Stage 2 refines the last frame of a clip with the frames before it, on a frozen "
        "Stage 1. Here it was trained on clips of several lengths of rendered films and judged on "
        f"the same {some['last_frames']} last frames of {films} other films.",
        "",
        f"- Stage 1: `{stage1['config_name']}`, size {stage1['size']}, {stage1['steps']} steps, "
        f"{stage1['metrics']['root_mpjpe_mm']:.1f} mm root-relative MPJPE on its own held-out "
        "hands. All runs stand on this one; it saw no occluder in training.",
        f"- Stage 2: {some['steps']} steps of {some['batch_size']} clips from the token cache, "
        f"{some['films']} rendered films at 5 to 60 frames a second, {machine['cores']} cores, "
        f"{machine['gpu'] or 'no GPU'}.",
        f"- Every frame has noise (standard deviation {NOISE['std']} of a range of 1). An occluder "
        f"hides {HIDDEN_PART[0]:.0%} to {HIDDEN_PART[1]:.0%} of the crop; it comes before a frame "
        f"with a chance of {COMES:.0%} and stays for {stay:.1f} frames on average, so earlier "
        "frames are hidden too.",
        "- Each last frame is judged twice, once visible and once hidden, after the same earlier "
        "frames. The acceleration error is that of the films as they are, part of whose frames "
        "are hidden.",
        '- One frame is the control: the same training without any time. "From time" is what '
        "a length gained over it. Means and 95 % intervals are over seeds and films.",
        "",
    ]


def _reading(occluded: Iterable[Row]) -> list[str]:
    longer = [row for row in occluded if row.length > 1]
    gained = [str(row.length) for row in longer if row.from_time.low > 0]
    if not gained:
        return ["Occluded last frames gained nothing that is certain from earlier frames.", ""]
    best = max((row for row in longer if row.from_time.low > 0), key=lambda r: r.from_time.value)
    return [
        f"Occluded last frames gained from earlier frames at T = {', '.join(gained)}: at "
        f"T = {best.length} {best.gain.value:.1f} mm over Stage 1, of which "
        f"{best.from_time.value:.1f} mm come from time.",
        "",
    ]


def _missing(results: Results, seeds: int) -> list[str]:
    short = [str(length) for length, records in results.items() if len(records) < seeds]
    if not short:
        return []
    return [
        f"**Not finished:** fewer than {seeds} seeds of T = {', '.join(short)}. The same command "
        "goes on where it was.",
        "",
    ]


def _table(title: str, rows: Iterable[Row]) -> list[str]:
    lines = [
        f"## {title}",
        "",
        "| frames | seeds | Stage 1 | Stage 2 | gain over Stage 1 | from time |",
        "|--:|--:|--:|--:|--:|--:|",
    ]
    for row in rows:
        cells = (
            *(str(row.length), str(row.seeds), f"{row.stage1.value:.2f}", _in_words(row.stage2)),
            _in_words(row.gain, signed=True),
            _in_words(row.from_time, signed=True) if row.length > 1 else "control",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, ""]


def _in_words(estimate: Estimate, *, signed: bool = False) -> str:
    if np.isnan(estimate.value):
        return "no control yet"
    sign = "+" if signed else ""
    text = f"{estimate.value:{sign}.2f}"
    if np.isnan(estimate.low):
        return text
    return f"{text} ({estimate.low:{sign}.2f} to {estimate.high:{sign}.2f})"

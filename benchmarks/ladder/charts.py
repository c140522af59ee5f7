"""The pictures of a ladder: the staircase, what each rung bought, and the curves of all runs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from benchmarks.report import figures

ROW = 0.36  # inches of a rung


def staircase(summary: Mapping[str, Any], metric: str) -> Markup:
    """The error on every rung, start at the top, with its 95 % interval and each run's dot."""
    rungs = summary["rungs"]
    figure, axes = figures.canvas(width=8.2, height=1.2 + ROW * len(rungs))
    _stairs(axes, rungs, metric)
    return figures.svg(figure, title=f"{metric} on every rung", id=f"staircase-{metric}")


def contributions(summary: Mapping[str, Any], metric: str) -> Markup:
    """What each rung changed, with its interval; the bars add up to goal minus start."""
    parts = [entry for entry in summary["attribution"] if entry["metric"] == metric]
    total = {"change": "goal minus start", **summary["total"][metric]}
    figure, axes = figures.canvas(width=8.2, height=1.0 + ROW * (len(parts) + 1))
    _bars(axes, [*parts, total])
    _rungs(axes, [entry["change"] for entry in [*parts, total]])
    axes.set_xlabel(f"change of {metric}; to the left is better")
    return figures.svg(figure, title=f"What each rung changed in {metric}", id=f"bought-{metric}")


def picture(summary: Mapping[str, Any], metric: str) -> str:
    """Staircase and steps side by side as an SVG file for a page of documentation.

    The rows are those of the first order; its steps add up to the last bar.
    """
    rungs = summary["rungs"]
    height = 1.2 + ROW * (len(rungs) + 1)
    figure, (stairs, steps) = figures.canvas(width=9.2, height=height, columns=2, share_y=True)
    _stairs(stairs, rungs, metric)
    none = {"mean": 0.0, "low": None, "high": None}
    bars = [none, *(rung["step"][metric] for rung in rungs[1:]), summary["total"][metric]]
    _bars(steps, bars)
    _rungs(stairs, [*_titles(rungs), "goal minus start"])
    stairs.set_xlabel(f"{metric}, smaller is better")
    steps.set_xlabel("change by the rung, to the left is better")
    steps.grid(visible=False, axis="y")
    drawn = figures.svg(figure, title=f"{summary['start']} to {summary['goal']}", id="ladder")
    text = str(drawn).replace("font-family: inherit", "font-family: sans-serif")
    for role, colour in _ON_PAPER.items():
        text = text.replace(f"var(--{role})", colour)
    paper = '<rect width="100%" height="100%" fill="#ffffff"/><g '
    return text.replace("<g ", paper, 1) + "\n"


# The page's colours by day; a file of its own has no style sheet.
_ON_PAPER = {"ink": "#1a1e23", "muted": "#57606a", "line": "#dde1e6", "target": "#6b7480"}
_ON_PAPER |= {"s0": "#00716b", "s1": "#b34a00"}


def _stairs(axes: Any, rungs: Sequence[Mapping[str, Any]], metric: str) -> None:
    rows = np.arange(len(rungs))
    levels = [rung["level"][metric] for rung in rungs]
    means = [one["mean"] for one in levels]
    axes.step([*means, means[-1]], [*rows - 0.5, rows[-1] + 0.5], where="pre", color=figures.LINE)
    for row, (rung, one) in enumerate(zip(rungs, levels, strict=True)):
        axes.vlines(one["mean"], row - 0.5, row + 0.5, color=figures.subject_colour(0), lw=2)
        if one["low"] is not None:
            axes.hlines(row, one["low"], one["high"], color=figures.subject_colour(0), lw=1.4)
        runs = [run["metrics"][metric] for run in rung["runs"]]
        axes.plot(runs, [row] * len(runs), "o", ms=4, color=figures.MUTED, alpha=0.8)
    _baseline(axes, rungs[0]["runs"][0]["baseline"].get(metric))
    _rungs(axes, _titles(rungs))
    axes.set_xlabel(f"{metric}, smaller is better")


def _baseline(axes: Any, value: float | None) -> None:
    if value is None:
        return
    axes.axvline(value, color=figures.TARGET, ls="--", lw=1)
    axes.annotate(
        "mean-pose baseline",
        (value, 1.0),
        xycoords=("data", "axes fraction"),
        ha="center",
        va="bottom",
        fontsize=8,
        color=figures.MUTED,
    )


def _bars(axes: Any, entries: Sequence[Mapping[str, Any]]) -> None:
    """Bars with intervals; the last is the sum. Pale where the interval contains 0."""
    for row, entry in enumerate(entries):
        sure = entry["low"] is not None and not entry["low"] <= 0 <= entry["high"]
        colour = figures.subject_colour(int(row == len(entries) - 1))
        axes.barh(row, entry["mean"], height=0.55, color=colour, alpha=0.85 if sure else 0.35)
        if entry["low"] is not None:
            axes.hlines(row, entry["low"], entry["high"], color=figures.INK, lw=1)
        for value in entry.get("by_order", {}).values():
            axes.plot(value, row, "|", ms=9, color=figures.MUTED)
    axes.axvline(0, color=figures.INK, lw=0.8)


def curves(summary: Mapping[str, Any], name: str) -> Markup | None:
    """A logged curve of every run, one colour a rung; None where no run has it."""
    rungs = summary["rungs"]
    figure, axes = figures.canvas(width=8.2, height=3.6)
    drawn = False
    for number, rung in enumerate(rungs):
        for seed, run in enumerate(rung["runs"]):
            curve = run["history"].get(name)
            if not curve or not all(map(_positive, curve["value"])):
                continue
            drawn = True
            place = number / max(1, len(rungs) - 1)
            axes.plot(
                np.array(curve["position"]) * (run["steps"] or 1),
                curve["value"],
                color=_between(place),
                lw=1.3,
                label=rung["name"] if seed == 0 else None,
            )
    if not drawn:
        return None
    axes.set(xlabel="step", ylabel=name.partition("/")[2] or name)
    figures.logarithmic(axes)
    if len(rungs) <= 14:
        axes.legend(
            frameon=False,
            fontsize=8,
            labelcolor=figures.INK,
            loc="upper left",
            bbox_to_anchor=(1, 1),
        )
    return figures.svg(figure, title=f"{name} of every run", id=f"curve-{name.replace('/', '-')}")


def gain_and_cost(summary: Mapping[str, Any], metric: str) -> Markup:
    """Error and training time on the same rows: what a gain costs. A dot is a run."""
    rungs = summary["rungs"]
    figure, (gain, cost) = figures.canvas(
        width=8.2, height=1.0 + ROW * len(rungs), columns=2, share_y=True
    )
    for row, rung in enumerate(rungs):
        runs = rung["runs"]
        errors = [run["metrics"][metric] for run in runs]
        times = [1e3 / run["samples_per_s"] for run in runs if run.get("samples_per_s")]
        for axes, values, colour in ((gain, errors, 0), (cost, times, 1)):
            axes.plot(values, [row] * len(values), "o", ms=4, color=figures.MUTED, alpha=0.6)
            if values:
                middle = float(np.median(values))
                axes.plot(middle, row, "|", ms=14, mew=2, color=figures.subject_colour(colour))
    _rungs(gain, _titles(rungs))
    gain.set_xlabel(metric)
    cost.set_xlabel("training time a hand (ms)")
    cost.set_xlim(left=0)
    cost.grid(visible=False, axis="y")
    return figures.svg(figure, title="Gain beside cost", id=f"cost-{metric}")


def _titles(rungs: Sequence[Mapping[str, Any]]) -> list[str]:
    return ["start: " + rungs[0]["name"], *("+ " + rung["name"] for rung in rungs[1:])]


def _rungs(axes: Any, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")


def _positive(value: float) -> bool:
    return math.isfinite(value) and value > 0


def _between(place: float) -> tuple[float, float, float]:
    """A colour from blue (start) to orange (goal) that shows on light and dark."""
    start, goal = np.array([0.23, 0.45, 0.85]), np.array([0.90, 0.45, 0.10])
    return tuple((1 - place) * start + place * goal)

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
    base = rungs[0]["runs"][0]["baseline"].get(metric)
    if base is not None:
        axes.axvline(base, color=figures.TARGET, ls="--", lw=1)
        axes.annotate(
            " mean-pose baseline",
            (base, 0.99),
            xycoords=("data", "axes fraction"),
            va="top",
            fontsize=8,
            color=figures.MUTED,
        )
    _rungs(axes, ["start: " + rungs[0]["name"], *("+ " + rung["name"] for rung in rungs[1:])])
    axes.set_xlabel(f"{metric}, smaller is better")
    return figures.svg(figure, title=f"{metric} on every rung", id=f"staircase-{metric}")


def contributions(summary: Mapping[str, Any], metric: str) -> Markup:
    """What each rung changed, with its interval; the bars add up to goal minus start."""
    parts = [entry for entry in summary["attribution"] if entry["metric"] == metric]
    total = {"change": "goal minus start", **summary["total"][metric]}
    figure, axes = figures.canvas(width=8.2, height=1.0 + ROW * (len(parts) + 1))
    for row, entry in enumerate([*parts, total]):
        sure = entry["low"] is not None and not entry["low"] <= 0 <= entry["high"]
        colour = figures.subject_colour(1) if entry is total else figures.subject_colour(0)
        axes.barh(row, entry["mean"], height=0.55, color=colour, alpha=0.85 if sure else 0.35)
        if entry["low"] is not None:
            axes.hlines(row, entry["low"], entry["high"], color=figures.INK, lw=1)
        for value in entry.get("by_order", {}).values():
            axes.plot(value, row, "|", ms=9, color=figures.MUTED)
    axes.axvline(0, color=figures.INK, lw=0.8)
    _rungs(axes, [entry["change"] for entry in [*parts, total]])
    axes.set_xlabel(f"change of {metric}; to the left is better")
    return figures.svg(figure, title=f"What each rung changed in {metric}", id=f"bought-{metric}")


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
    axes.set(xlabel="step", ylabel=name.partition("/")[2] or name, yscale="log")
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
    """Error against training time a step, one dot a rung: what the gain costs."""
    figure, axes = figures.canvas(width=8.2, height=3.6)
    for number, rung in enumerate(summary["rungs"]):
        speeds = [run["samples_per_s"] for run in rung["runs"] if run.get("samples_per_s")]
        if not speeds:
            continue
        cost, error = 1e3 / float(np.median(speeds)), rung["level"][metric]["mean"]
        axes.plot(cost, error, "o", ms=6, color=figures.subject_colour(0))
        axes.annotate(
            rung["name"],
            (cost, error),
            textcoords="offset points",
            xytext=(6, 5 if number % 2 else -10),
            fontsize=8,
            color=figures.MUTED,
        )
    axes.set(xlabel="training time a sample (ms), median of the runs", ylabel=metric)
    axes.margins(x=0.12, y=0.15)
    return figures.svg(figure, title="Gain beside cost", id=f"cost-{metric}")


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

"""The learning curves of a run as one picture."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

SMOOTH = 25  # steps of the running mean drawn over the raw loss


def draw_curves(path: Path, history: dict[str, list[float]], val_interval: int) -> None:
    """Loss terms, validation errors and learning rate against steps, as a PNG.

    history: scalar name -> values, as mmengine logs them ("train/loss", "val/mpjpe_mm").
    """
    figure, (losses, errors, rate) = plt.subplots(
        1, 3, figsize=(15, 4.2), layout="constrained", width_ratios=(2, 2, 1)
    )
    _losses(losses, history)
    _errors(errors, history, val_interval)
    for name, values in history.items():
        if name.startswith("train/") and name.endswith("lr"):
            rate.plot(np.arange(1, len(values) + 1), values, label=name.removeprefix("train/"))
    rate.set(title="learning rate", xlabel="step")
    rate.legend(fontsize=8, frameon=False)
    for axes in (losses, errors, rate):
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    partial = path.with_name(f".{path.stem}.partial.png")
    figure.savefig(partial, dpi=120)
    plt.close(figure)
    partial.replace(path)


def _losses(axes: Axes, history: dict[str, list[float]]) -> None:
    names = [name for name in history if name.startswith("train/loss")]
    for name in names:
        values = np.asarray(history[name], dtype=np.float64)
        total = name == "train/loss"
        label = "total" if total else name.removeprefix("train/loss_")
        steps = np.arange(1, len(values) + 1)
        line = axes.plot(*_smooth(steps, values), label=label, lw=2.2 if total else 1.2)[0]
        axes.plot(steps, values, color=line.get_color(), alpha=0.15, lw=0.6)
    axes.set(title="training loss (weighted terms)", xlabel="step", yscale="log")
    axes.legend(fontsize=8, frameon=False, ncols=2)


def _errors(axes: Axes, history: dict[str, list[float]], val_interval: int) -> None:
    for name, values in history.items():
        if name.startswith("val/") and name.endswith("_mm") and name.count("/") == 1:
            steps = val_interval * np.arange(1, len(values) + 1)
            axes.plot(steps, values, marker="o", ms=3, label=name.removeprefix("val/"))
    axes.set(title="held-out error (mm)", xlabel="step", yscale="log")
    axes.legend(fontsize=8, frameon=False)


def _smooth(steps: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    width = min(SMOOTH, len(values))
    if width < 2:
        return steps, values
    return steps[width - 1 :], np.convolve(values, np.ones(width) / width, mode="valid")

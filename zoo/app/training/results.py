"""What a finished run leaves behind: run.json, predictions, curves, a sheet, and a table."""

from __future__ import annotations

import json
import math
import os
import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.fileio import get_file_backend
from mmengine.logging import MessageHub
from rich.console import Console
from rich.table import Table

from benchmarks.verdict import explain
from zoo.app.evaluation.evaluate import Evaluation, evaluate, load_weights, save_predictions
from zoo.app.training import checkpoints
from zoo.app.training.assemble import Shards, val_loader
from zoo.app.training.curves import draw_curves
from zoo.app.training.hooks import per_second
from zoo.app.training.judge import judge, thinned
from zoo.contracts import FrameBatch
from zoo.data.sources import count_hands, data_fingerprint
from zoo.inference.sheet import overlay_sheet, write_sheet
from zoo.model import HandMeshModel

History = dict[str, list[float]]
SHEET_HANDS = 24


def loss_history(hub: MessageHub) -> History:
    """Every scalar logged at training steps, by name; resumed runs have their whole past."""
    return {name: buffer.data[0].tolist() for name, buffer in hub.log_scalars.items()}


def finish(
    config: dict[str, Any],
    model: HandMeshModel,
    shards: Shards,
    checkpoint: Path,
    history: History,
    facts: dict[str, Any],
    console: Console,
) -> dict[str, Any]:
    """Measures the saved weights, writes every result file and says what to do next."""
    work_dir = checkpoint.parent
    load_weights(model, checkpoint)
    evaluation = evaluate(config, model, shards.val, shards.train)
    facts = {**facts, "verdict": judge(config, model, shards, evaluation, history, facts)}
    summary = run_record(config, model, shards, evaluation, {**facts, "history": thinned(history)})
    save_predictions(work_dir / "predictions.npz", evaluation)
    draw_curves(work_dir / "curves.png", history, config["train_cfg"]["val_interval"])
    write_sheet(
        work_dir / "predictions.png", draw_predictions(config, model, shards), overwrite=True
    )
    write_json(work_dir / "run.json", summary)  # last: where it is, everything else is
    console.print(metrics_table(evaluation))
    for line in closing_lines(summary, work_dir, checkpoint):
        console.print(line, highlight=False)
    return summary


@torch.no_grad()
def draw_predictions(
    config: Mapping[str, Any], model: HandMeshModel, shards: Shards, hands: int = SHEET_HANDS
) -> np.ndarray:
    """The first validation hands: label and prediction over the crop, with errors in mm."""
    frames = islice((f for batch in val_loader(config, shards.val) for f in batch.frames), hands)
    data = model.eval().data_preprocessor(FrameBatch(frames=tuple(frames)), False)
    prediction = model(data["inputs"])
    mesh = model.hand.place(prediction)
    return overlay_sheet(
        data["inputs"].to("cpu"),
        data["data_samples"].to("cpu"),
        mesh.to("cpu"),
        model.hand.faces.cpu(),
        intrinsics=prediction.camera.intrinsics.cpu(),
    )


def run_record(
    config: dict[str, Any],
    model: HandMeshModel,
    shards: Shards,
    evaluation: Evaluation,
    facts: Mapping[str, Any],
) -> dict[str, Any]:
    """The run.json of the command-line contract, schema 1."""
    return {
        "schema": 1,
        "config": config,
        "config_name": facts.get("config_name"),
        "size": facts.get("size"),
        "command": facts.get("command"),
        "seed": config.get("randomness", {}).get("seed", 0),
        "commit": commit(),
        "versions": {
            name: version(name) for name in ("torch", "mmengine", "transformers", "numpy")
        },
        "machine": machine(),
        "data": _data_record(shards),
        "parameters_m": round(sum(p.numel() for p in model.parameters()) / 1e6, 3),
        **{
            name: facts.get(name)
            for name in ("steps", "seconds", "samples_per_s", "data_wait_share", "skipped_updates")
        },
        "metrics": evaluation.metrics,
        "intervals": evaluation.intervals,
        "baseline": evaluation.baseline,
        "verdict": facts.get("verdict"),
        "history": facts.get("history", {}),
        "skipped": {"train": facts.get("skipped", {}), "val": evaluation.skipped},
    }


def _data_record(shards: Shards) -> dict[str, Any]:
    return {
        "fingerprint": data_fingerprint(shards.train, shards.val),
        "samples": count_hands(shards.train),
        "val_samples": count_hands(shards.val),
    }


def metrics_table(evaluation: Evaluation) -> Table:
    """Metric, value, interval, baseline and ratio."""
    table = Table(title=f"{evaluation.metrics['num_hands']:.0f} held-out hands", title_style="bold")
    for name, side in (("metric", "left"), ("model", "right"), ("95 % interval", "right")):
        table.add_column(name, justify=side)
    table.add_column("mean-pose baseline", justify="right")
    table.add_column("ratio", justify="right")
    for name, (low, high) in evaluation.intervals.items():
        ratio = _ratio(evaluation, name)
        table.add_row(
            name,
            f"{evaluation.metrics[name]:.1f}",
            f"{low:.1f} to {high:.1f}",
            f"{evaluation.baseline.get(name, math.nan):.1f}",
            "" if ratio is None else f"{ratio:.2f}",
        )
    return table


def closing_lines(summary: Mapping[str, Any], work_dir: Path, checkpoint: Path) -> list[str]:
    """Where things are, what was left out, and the next commands to try."""
    name = summary["config_name"]
    lines = [
        f"Trained {summary['steps']} steps in {summary['seconds'] / 60:.1f} min "
        f"({per_second(summary['samples_per_s'])} samples/s, "
        f"{summary['data_wait_share']:.0%} of the time waiting for data).",
        f"Checkpoint   {checkpoint}",
        f"Curves       {work_dir / 'curves.png'}",
        f"Pictures     {work_dir / 'predictions.png'}",
        f"Numbers      {work_dir / 'run.json'}",
    ]
    for part, reasons in summary["skipped"].items():
        for reason, entry in reasons.items():
            lines.append(
                f"[yellow]Left out[/]     {entry['count']} {part} samples: {reason} "
                f"(first: {entry['example']})"
            )
    if summary["skipped_updates"]:
        lines.append(
            f"[yellow]Left out[/]     {summary['skipped_updates']} updates whose gradient was not "
            f"finite"
        )
    criteria = summary["verdict"]["criteria"]
    failed = [explain(name, of) for name, of in criteria.items() if of["holds"] is not True]
    lines.append(f"Verdict      {'; '.join(failed) or 'converged, every criterion holds'}")
    lines += [
        "Next:",
        f"  zoo predict {name} {work_dir} hand.jpg --box x0,y0,x1,y1",
        f"  zoo train {name} --size {summary['size']} --steps {10 * summary['steps']}",
        f"  tensorboard --logdir {work_dir}",
    ]
    return lines


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """JSON, whole or not at all; NaN becomes null, classes their names."""
    text = json.dumps(_jsonable(content), indent=1, allow_nan=False)
    get_file_backend(str(path), backend_args=checkpoints.ATOMIC).put(text.encode(), path)


def machine() -> dict[str, Any]:
    """What the numbers were measured on: cores and device, no names of anyone's machine."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "architecture": platform.machine(),
        "system": platform.system(),
        "python": platform.python_version(),
        "gpu": gpu,
    }


def commit() -> str | None:
    """The commit of the source tree the zoo runs from, or None from an installed wheel."""
    try:
        found = subprocess.run(
            ["git", "rev-parse", "HEAD"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=5,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return found.stdout.strip() or None if found.returncode == 0 else None


def _ratio(evaluation: Evaluation, name: str) -> float | None:
    value, base = evaluation.metrics.get(name), evaluation.baseline.get(name)
    if not value or not base or math.isnan(value) or math.isnan(base):
        return None
    return round(value / base, 4)


def _jsonable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, type):
        return f"{value.__module__}.{value.__qualname__}"
    return value if isinstance(value, str | int | float | bool | None) else str(value)

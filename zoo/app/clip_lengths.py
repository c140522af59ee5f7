"""Trains Stage 2 on clips of several lengths and writes what earlier frames were worth as a page.

python -m zoo.app.clip_lengths --stage1 runs/csvit2-tiny
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from torch import Tensor

from benchmarks.statistics import mean_of_runs
from registry.whole import build_model
from zoo.app.assemble import Shards, val_loader
from zoo.app.evaluate import load_weights
from zoo.app.results import write_json
from zoo.app.shards import find_shards
from zoo.app.train import TrainRequest, resolve, train
from zoo.augment.pixels import Erasing
from zoo.contracts import ClipView, HandTarget
from zoo.metrics.joints import RootMPJPE
from zoo.model import HandMeshModel

HIDDEN = 0.35  # least share of the crop that is hidden where a last frame is occluded
RESULT = "occluded.json"


@dataclasses.dataclass(frozen=True)
class Plan:
    """Every length with every seed, each run in a folder of its own."""

    stage1: Path
    lengths: tuple[int, ...] = (1, 3, 5, 7, 9)
    seeds: int = 3
    steps: int | None = None
    config: str = "csvit2_stage2"
    out: Path = Path("runs/clip_lengths")
    changes: tuple[str, ...] = ()

    def request(self, length: int, seed: int) -> TrainRequest:
        """All lengths are judged on the same last frames: those the longest one has history for."""
        history = max(self.lengths) - 1
        return TrainRequest(
            self.config,
            size="tiny",
            seed=seed,
            steps=self.steps,
            work_dir=self.out / f"{length}-frames-seed{seed}",
            changes=(
                f"stage1.checkpoint={self.stage1}",
                f"data.clip.frames={length}",
                f"data.clip.history={history}",
                "data.token_cache={'copies': 1}",
                f"augmentation.pixels.hidden={_hiding()}",
                *self.changes,
            ),
        )


def run(plan: Plan, console: Console) -> None:
    """Trains and judges what is not finished yet."""
    for seed in range(plan.seeds):
        for length in plan.lengths:
            request = plan.request(length, seed)
            if (request.work_dir / RESULT).is_file():
                continue
            resume = request.work_dir.is_dir() and any(request.work_dir.iterdir())
            train(dataclasses.replace(request, resume=resume), console)
            config, _ = resolve(request)
            model = build_model(config)
            load_weights(model, request.work_dir)
            shards = find_shards(config, request.data, request.val_data, console)
            write_json(request.work_dir / RESULT, occluded(config, model, shards))


@torch.no_grad()
def occluded(
    config: Mapping[str, Any], model: HandMeshModel, shards: Shards, seed: int = 0
) -> dict[str, float]:
    """Root-relative MPJPE (mm) of both stages where the last frame of every clip is hidden.

    Earlier frames stay as they are; the same parts are hidden whatever the clips' length.
    """
    rng, errors = torch.Generator().manual_seed(seed), {"stage1": [], "stage2": []}
    hide, measure = Erasing(area=(HIDDEN, HIDDEN + 0.1), probability=1.0), RootMPJPE()
    model.eval()
    for batch in val_loader(config, shards.val):
        data = model.data_preprocessor(batch, False)
        clips: ClipView = _written_out(data["inputs"])
        last = clips.rows[:, -1]
        images = clips.frames.images.clone()
        images[last] = hide(images[last], rng)
        frames = dataclasses.replace(clips.frames, images=images)
        hidden = dataclasses.replace(clips, frames=frames)
        target = model.hand.place_target(data["data_samples"])
        errors["stage2"].append(_errors(model, hidden, target, measure))
        temporal, model.temporal = model.temporal, None
        errors["stage1"].append(_errors(model, hidden, target, measure))
        model.temporal = temporal
    return {name: float(torch.cat(values).mean()) for name, values in errors.items()}


def page(plan: Plan) -> str:
    """What the finished runs reached, as the text of a documentation page."""
    records = {length: _records(plan, length) for length in plan.lengths}
    some = next(found[0][0] for found in records.values() if found)
    lines = [
        "# What earlier frames are worth",
        "",
        f"<!-- Written by `python -m zoo.app.clip_lengths --stage1 {plan.stage1.name}`. -->",
        "",
        "CS-ViT2's Stage 2 refines the last frame of a clip with the frames before it, on a frozen "
        "Stage 1. Here it was trained on clips of several lengths of rendered films and judged on "
        f"the same {some['metrics']['num_hands']:.0f} last frames, once as they are and once with "
        f"more than {HIDDEN:.0%} of the last crop hidden. All runs stand on one Stage 1; means and "
        "95 % intervals are over the seeds of Stage 2.",
        "",
        f"Budget: {some['steps']} steps of {some['config']['data']['train']['batch_size']} clips, "
        f"size {some['size']}, {some['machine']['cores']} cores, "
        f"{some['machine']['gpu'] or 'no GPU'}. Films have "
        f"{some['config']['data']['synthetic']['clip_frames']} frames at 5 to 60 per second.",
        "",
        *_table("Last frames as they are: root-relative MPJPE (mm)", records, _clear),
        *_table("Last frames hidden: root-relative MPJPE (mm)", records, _hidden),
        *_table("Acceleration error (mm per frame^2)", records, _acceleration),
    ]
    return "\n".join(lines) + "\n"


def _table(title: str, records: Mapping[int, list], pick: Any) -> list[str]:
    lines = [
        f"## {title}",
        "",
        "| frames | seeds | Stage 1 | Stage 2 | gain |",
        "|--:|--:|--:|--:|--:|",
    ]
    for length, found in records.items():
        pairs = np.array([pick(*record) for record in found]).reshape(-1, 2)
        if not len(pairs):
            continue
        first, second = pairs.T
        cells = (f"{first.mean():.1f}", _interval(second), _interval(first - second, signed=True))
        lines.append(f"| {length} | {len(pairs)} | {' | '.join(cells)} |")
    return [*lines, ""]


def _clear(run: Mapping[str, Any], hidden: Mapping[str, float]) -> tuple[float, float]:
    return run["stage1"]["metrics"]["root_mpjpe_mm"], run["metrics"]["root_mpjpe_mm"]


def _hidden(run: Mapping[str, Any], hidden: Mapping[str, float]) -> tuple[float, float]:
    return hidden["stage1"], hidden["stage2"]


def _acceleration(run: Mapping[str, Any], hidden: Mapping[str, float]) -> tuple[float, float]:
    name = "acceleration_mm_per_frame2"
    return run["stage1"]["metrics"][name], run["metrics"][name]


def _interval(values: Sequence[float], *, signed: bool = False) -> str:
    estimate, sign = mean_of_runs(values), "+" if signed else ""
    text = f"{estimate.value:{sign}.2f}"
    if np.isnan(estimate.low):
        return text
    return f"{text} ({estimate.low:{sign}.2f} to {estimate.high:{sign}.2f})"


def _records(plan: Plan, length: int) -> list[tuple[dict[str, Any], dict[str, float]]]:
    found = []
    for seed in range(plan.seeds):
        folder = plan.request(length, seed).work_dir
        if (folder / RESULT).is_file():
            run, hidden = (json.loads((folder / n).read_text()) for n in ("run.json", RESULT))
            found.append((run, hidden))
    return found


def _written_out(clips: ClipView) -> ClipView:
    """Every clip with crops of its own, so that one clip's last frame is not another's past."""
    frames = clips.frames.map(lambda tensor: tensor[clips.rows.flatten()])
    rows = torch.arange(clips.rows.numel(), device=clips.rows.device).view_as(clips.rows)
    return dataclasses.replace(clips, frames=frames, rows=rows)


def _errors(model: HandMeshModel, clips: ClipView, target: HandTarget, metric: RootMPJPE) -> Tensor:
    values, _ = metric(model.hand.place(model(clips)), target)
    return values


def _hiding() -> str:
    return str({"type": "erasing", "area": (0.1, 0.5), "probability": 0.4})


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains what is missing and writes the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stage1", type=Path, required=True, help="a finished run of Stage 1")
    parser.add_argument("--lengths", type=int, nargs="+", default=list(Plan.lengths))
    parser.add_argument("--seeds", type=int, default=Plan.seeds)
    parser.add_argument("--steps", type=int, help="default: the tiny size's own")
    parser.add_argument("--config", default=Plan.config)
    parser.add_argument("--out", type=Path, default=Plan.out)
    parser.add_argument("--set", action="append", default=[], dest="changes")
    parser.add_argument("--page", type=Path, default=Path("docs/clip_lengths.md"))
    given = vars(parser.parse_args(arguments))
    target = given.pop("page")
    plan = Plan(**{k: tuple(v) if isinstance(v, list) else v for k, v in given.items()})
    run(plan, Console())
    target.write_text(page(plan))


if __name__ == "__main__":
    main()

"""Trains Stage 2 on clips of several lengths and writes what earlier frames were worth as a page.

python -m zoo.app.clips.lengths --stage1 runs/csvit2-tiny
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from registry.layout import at
from registry.whole import build_model
from zoo.app.clips import stage_one
from zoo.app.clips.judged_films import HIDDEN_PART, NOISE, JudgedFilms, judged_films
from zoo.app.clips.page import page
from zoo.app.data.shards import find_shards
from zoo.app.evaluation.evaluate import load_weights
from zoo.app.training.assemble import Shards, build_runner
from zoo.app.training.hooks import FiniteLoss, LiveProgress
from zoo.app.training.results import machine, write_json
from zoo.app.training.train import TrainRequest, resolve

RESULT = "judged.json"
# What Stage 2 has in common with the run it stands on, whichever config that was.
_OF_STAGE_ONE = (
    *("model.hand", "model.backbone", "model.neck", "model.head", "model.losses"),
    *("model.detach_betas", "model.precision", "augmentation.crop"),
)


@dataclasses.dataclass(frozen=True)
class Plan:
    """Every length with every seed, each run in a folder of its own.

    stage1: a finished run; its model, losses and crop are taken from its own config.
    copies: draws of the augmentation that the token cache keeps of every film.
    """

    stage1: Path
    lengths: tuple[int, ...] = (1, 3, 5, 7, 9)
    seeds: int = 3
    steps: int | None = None
    config: str = "csvit2_stage2"
    copies: int = 4
    out: Path = Path("runs/clip_lengths")
    changes: tuple[str, ...] = ()

    def folder(self, length: int, seed: int) -> Path:
        """Of one run."""
        return self.out / f"{length}-frames-seed{seed}"

    def resolved(self, length: int, seed: int) -> dict[str, Any]:
        """The config of one run; the cached tokens are the same for all of them."""
        hidden = {"type": "erasing", "area": (0.1, HIDDEN_PART[1]), "probability": 0.4}
        request = TrainRequest(
            self.config,
            size="tiny",
            seed=seed,
            steps=self.steps,
            changes=(
                *_changes_of(self.stage1),
                f"stage1.checkpoint={self.stage1}",
                f"data.clip.frames={length}",
                f"data.token_cache={{'copies': {self.copies}, 'seed': 0}}",
                f"augmentation.pixels.noise={NOISE}",
                f"augmentation.pixels.hidden={hidden}",
                *self.changes,
            ),
        )
        return resolve(request)[0]


def run(plan: Plan, console: Console) -> None:
    """Trains and judges what is not finished yet."""
    config = plan.resolved(plan.lengths[0], 0)
    shards = find_shards(config, None, None, console)
    model = build_model(config)
    stage_one.fill(model, plan.stage1)
    films = judged_films(config, model, shards.val, max(plan.lengths), console)
    for seed in range(plan.seeds):
        for length in plan.lengths:
            if not (plan.folder(length, seed) / RESULT).is_file():
                console.print(f"[bold]{length} frames, seed {seed}[/]")
                write_json(
                    plan.folder(length, seed) / RESULT,
                    train_and_judge(plan, length, seed, shards, films, console),
                )


def train_and_judge(
    plan: Plan, length: int, seed: int, shards: Shards, films: JudgedFilms, console: Console
) -> dict[str, Any]:
    """What one run reached; its weights are in its folder."""
    config = plan.resolved(length, seed)
    steps = config["train_cfg"]["max_iters"]
    # Films are judged below, on tokens; validation in between would encode every frame again.
    config["train_cfg"] = {**config["train_cfg"], "val_begin": steps + 1}
    torch.manual_seed(seed)
    model = build_model(config)
    stage_one.fill(model, plan.stage1)
    progress = LiveProgress(console=console)
    batches = stage_one.cached_loader(config, model, shards, console)
    build_runner(
        config,
        model,
        shards,
        work_dir=plan.folder(length, seed),
        hooks=[FiniteLoss(), progress],
        train_batches=batches,
    ).train()
    load_weights(model, plan.folder(length, seed))
    return {
        "schema": 1,
        "frames": length,
        "seed": seed,
        "steps": steps,
        "batch_size": config["data"]["train"]["batch_size"],
        "clips_per_s": round(progress.samples_per_second, 1),
        "machine": machine(),
        "films": batches.dataset.cache.films() // max(1, plan.copies),
        "last_frames": len(films),
        "judged": films.judge(model, length),
    }


def finished(plan: Plan) -> dict[int, list[dict[str, Any]]]:
    """What is there of every length, in order of the seeds."""
    folders = {
        length: [plan.folder(length, seed) / RESULT for seed in range(plan.seeds)]
        for length in plan.lengths
    }
    return {
        length: [json.loads(file.read_text()) for file in files if file.is_file()]
        for length, files in folders.items()
    }


def _changes_of(stage1: Path) -> tuple[str, ...]:
    """`--set` values that give Stage 2 the model of a finished run."""
    config = _record(stage1)["config"]
    return tuple(f"{path}={at(config, path)!r}" for path in _OF_STAGE_ONE)


def _record(stage1: Path) -> Mapping[str, Any]:
    file = stage1 / "run.json"
    if not file.is_file():
        raise ValueError(
            f"--stage1 {stage1}: no finished run of zoo train is there (run.json is missing); "
            f"name the folder of one."
        )
    return json.loads(file.read_text())


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains what is missing and writes the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stage1", type=Path, required=True, help="a finished run of Stage 1")
    parser.add_argument("--lengths", type=int, nargs="+", default=list(Plan.lengths))
    parser.add_argument("--seeds", type=int, default=Plan.seeds)
    parser.add_argument("--steps", type=int, help="default: the tiny size's own")
    parser.add_argument("--config", default=Plan.config)
    parser.add_argument("--copies", type=int, default=Plan.copies)
    parser.add_argument("--out", type=Path, default=Plan.out)
    parser.add_argument("--set", action="append", default=[], dest="changes")
    parser.add_argument("--page", type=Path, default=Path("docs/clip_lengths.md"))
    given = vars(parser.parse_args(arguments))
    target = given.pop("page")
    plan = Plan(**{k: tuple(v) if isinstance(v, list) else v for k, v in given.items()})
    run(plan, Console())
    target.write_text(page(finished(plan), _record(plan.stage1), plan.seeds))


if __name__ == "__main__":
    main()

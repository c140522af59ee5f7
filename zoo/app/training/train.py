"""`zoo train`: from a config to a trained model with its numbers and pictures."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from rich.console import Console
from rich.table import Table

from registry.budget import fit_budget
from registry.config import find, load
from registry.layout import parts
from registry.plugins import load_plugin
from zoo.app.clips import stage_one
from zoo.app.data.shards import find_shards
from zoo.app.machine import launch
from zoo.app.machine.sizing import ChosenSize, choose_size
from zoo.app.training import checkpoints, results
from zoo.app.training.assemble import Shards, build_model, build_runner
from zoo.app.training.hooks import CleanStop, FiniteLoss, LiveProgress, SkippedSamples
from zoo.model import HandMeshModel


@dataclass(frozen=True)
class TrainRequest:
    """What the user typed after `zoo train`."""

    config: str
    size: str = "auto"
    data: str | None = None
    val_data: str | None = None
    steps: int | None = None
    seed: int | None = None
    precision: str | None = None
    work_dir: Path | None = None
    resume: bool = False
    changes: tuple[str, ...] = ()
    plugins: tuple[Path, ...] = ()
    launcher: str = "none"
    command: str = field(default="", compare=False)


@dataclass(frozen=True)
class TrainResult:
    """Where a run is, and whether it reached its last step."""

    work_dir: Path
    finished: bool
    summary: dict[str, Any]


def train(request: TrainRequest, console: Console) -> TrainResult:
    """Builds and checks everything, then trains, measures and draws.

    Raises ValueError (its subclasses) in one sentence before any long work.
    """
    _look_for_data(request)
    for plugin in request.plugins:
        load_plugin(plugin)
    console = launch.join(request.launcher, console)
    config, size = resolve(request)
    work_dir, resume_from = launch.first_decides(lambda: _place(request, size))
    model = build_model(config)
    console.print(describe(request.config, config, model, size, work_dir))
    if config.get("stage1") and resume_from is None:
        stage_one.prepare(request, config, size.name, model, console, train)
    with launch.first_first():
        shards = find_shards(config, request.data, request.val_data, console)
    watch = Watch(console)
    runner = build_runner(
        config,
        model,
        shards,
        work_dir=work_dir,
        hooks=watch.hooks,
        resume_from=resume_from,
        launcher=request.launcher,
        train_batches=stage_one.cached_loader(config, model, shards, console, resume_from),
    )
    if resume_from:
        console.print(f"Resuming at step {resume_from[1]} from {resume_from[0]}")
    watch.run(runner)
    first = launch.leave()
    if watch.stop.stopped:
        console.print(_stopped(request, runner.iter, work_dir))
        return TrainResult(work_dir, False, {})
    if not first:
        return TrainResult(work_dir, True, {})
    facts = {"config_name": Path(request.config).stem, "size": size.name}
    facts |= {"command": request.command, **watch.facts(runner)}
    history = results.loss_history(runner.message_hub)
    summary = _judge(config, model, shards, work_dir, history, facts, console)
    return TrainResult(work_dir, True, summary)


def _stopped(request: TrainRequest, step: int, work_dir: Path) -> str:
    command = request.command or f"zoo train {request.config}"
    again = command if request.resume else f"{command} --resume"
    return f"Stopped at step {step} with a checkpoint in {work_dir}. Go on with: [bold]{again}[/]"


def _judge(
    config: dict[str, Any],
    model: HandMeshModel,
    shards: Shards,
    work_dir: Path,
    history: results.History,
    facts: dict[str, Any],
    console: Console,
) -> dict[str, Any]:
    final, _ = checkpoints.latest(work_dir)
    summary = results.finish(config, model, shards, final, history, facts, console)
    if config.get("stage1"):
        console.print(stage_one.beside_stage_one(config, model, shards, summary, work_dir))
    return summary


class Watch:
    """The hooks a training run is watched with, and what they saw."""

    def __init__(self, console: Console) -> None:
        self.skipped, self.stop = SkippedSamples(), CleanStop()
        self.progress = LiveProgress(console=console)
        self.hooks: list[Hook] = [self.skipped, FiniteLoss(), self.progress, self.stop]
        self.seconds = 0.0

    def run(self, runner: Runner) -> None:
        """Trains, and gives the terminal back whatever happens."""
        started = time.perf_counter()
        try:
            runner.train()
        finally:
            self.seconds = time.perf_counter() - started
            self.progress.close()

    def facts(self, runner: Runner) -> dict[str, Any]:
        """Budget, speed and losses of samples, for run.json."""
        waited = self.progress.wait_seconds / max(self.progress.seconds, 1e-9)
        return {
            "steps": runner.iter,
            "seconds": round(self.seconds, 1),
            "samples_per_s": round(self.progress.samples_per_second, 1),
            "data_wait_share": round(waited, 3),
            "skipped_updates": runner.optim_wrapper.skipped_steps,
            "skipped": self.skipped.summary(),
        }


def _look_for_data(request: TrainRequest) -> None:
    """A misspelt path is said before a model is built; patterns are looked up later."""
    for option, given in (("--data", request.data), ("--val-data", request.val_data)):
        if given and not set("*?[{") & set(given) and not Path(given).expanduser().exists():
            raise ValueError(
                f"{option} {given}: no such file or folder; name a .tar, a folder of them, or one "
                f"with train and val inside."
            )


def resolve(request: TrainRequest) -> tuple[dict[str, Any], ChosenSize]:
    """The config with its size, the user's changes and budget, and the size chosen."""
    size = choose_size(request.config, request.changes, request.size, request.data)
    config = load(request.config, request.changes, size=size.name)
    if request.seed is not None:
        config["randomness"] = {**config.get("randomness", {}), "seed": request.seed}
    if request.precision is not None:
        config["model"] = {**config["model"], "precision": request.precision}
    if config["model"].get("precision") == "fp16" and not torch.cuda.is_available():
        raise ValueError(
            "--precision fp16: no CUDA device is here and fp16 does not train on a CPU; use bf16 "
            "or fp32."
        )
    if request.steps is not None:
        config = fit_budget(config, request.steps, request.changes)
    return config, size


def describe(
    name: str, config: dict[str, Any], model: HandMeshModel, size: ChosenSize, work_dir: Path
) -> Table:
    """The parts, parameters and budget about to be trained, as a table."""
    table = Table(
        title=f"{Path(name).stem} at size {size.name} ({size.reason})", title_style="bold"
    )
    table.add_column("part")
    table.add_column("is")
    table.add_column("parameters", justify="right")
    for place in parts(config):
        if place.path.startswith("model.") and place.slot.name in ("backbone", "neck", "head"):
            count = sum(p.numel() for p in getattr(model, place.slot.name).parameters())
            table.add_row(place.slot.noun, _named(place.spec), f"{count / 1e6:.2f} M")
    head = config["model"]["head"]
    table.add_row("camera", _named(head.get("camera") or {"type": "none"}), "")
    total = sum(p.numel() for p in model.parameters())
    table.add_row("all parts", "", f"{total / 1e6:.2f} M")
    report = getattr(model.backbone, "load_report", None)
    table.add_row("backbone start", "random weights" if report is None else str(report), "")
    table.add_row("hand", model.hand.name, "")
    table.add_row("losses", ", ".join(config["model"].get("losses", {})), "")
    augmentation = config.get("augmentation", {})
    used = [*augmentation.get("view", {}), *augmentation.get("pixels", {})]
    table.add_row("augmentation", ", ".join(used) or "none", "")
    batch = config["data"]["train"]["batch_size"]
    budget = f"{config['train_cfg']['max_iters']} steps of {batch}, {config['model']['precision']}"
    table.add_row("budget", budget, "")
    table.add_row("run", str(work_dir), "")
    return table


def _named(spec: dict[str, Any]) -> str:
    kind = spec["type"] if isinstance(spec["type"], str) else spec["type"].__qualname__
    shown = {
        key: value
        for key, value in spec.items()
        if key in ("steps", "residual", "init", "pretrained", "image_size", "depth", "dim", "bins")
    }
    return " ".join([kind, *(f"{key}={value}" for key, value in shown.items())])


def _place(request: TrainRequest, size: ChosenSize) -> tuple[Path, tuple[Path, int] | None]:
    """The run's folder, and the checkpoint to go on from; a finished run is never overwritten."""
    base = request.work_dir or Path("runs") / f"{find(request.config).stem}-{size.name}"
    taken = [p for p in (base, *sorted(base.parent.glob(f"{base.name}-*"))) if _used(p)]
    if request.resume:
        candidates = [(p, checkpoints.latest(p)) for p in reversed(taken)]
        for folder, found in candidates:
            if found is not None:
                checkpoints.load(found[0])
                return folder, found
        raise ValueError(
            f"--resume: no checkpoint is in {base}; start without --resume, or name the run's "
            f"folder with --work-dir."
        )
    if not _used(base):
        return base, None
    if request.work_dir is not None:
        raise ValueError(
            f"--work-dir {base} already holds a run; go on with --resume or name another folder."
        )
    number = 2
    while _used(base.with_name(f"{base.name}-{number}")):
        number += 1
    return base.with_name(f"{base.name}-{number}"), None


def _used(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())

"""From a checked config to what trains it: the loaders and mmengine's Runner."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dist import get_rank, get_world_size
from mmengine.evaluator import Evaluator
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from registry.build import build_metrics
from registry.whole import build_model
from zoo.app.machine import launch
from zoo.app.training import checkpoints
from zoo.app.training import hooks as _register_hooks  # noqa: F401  # names in custom_hooks
from zoo.app.training import precision as _register_wrapper  # noqa: F401
from zoo.app.training.adversarial import AdversarialSteps
from zoo.app.training.schedule import schedulers
from zoo.data.clips import ClipRequest
from zoo.data.shrink import Shrink
from zoo.data.sources import Data
from zoo.data.streams import EvalStream, StreamLoader, TrainStream
from zoo.metrics.runner import HandMetrics
from zoo.model import HandMeshModel

__all__ = ["Shards", "build_model", "build_runner", "train_loader", "val_loader"]

_CHECKPOINT_DEFAULTS = {"by_epoch": False, "save_last": True, "backend_args": checkpoints.ATOMIC}


@dataclass(frozen=True)
class Shards:
    """What one run trains on and is measured on: shards of ours, or sources by name."""

    train: Data
    val: Data


def train_loader(
    config: Mapping[str, Any], shards: Data, *, steps: int, skip_batches: int = 0
) -> StreamLoader:
    """Endless shuffled training batches; the first `skip_batches` pass empty and undecoded."""
    data, seed = config["data"], config.get("randomness", {}).get("seed", 0)
    stream = TrainStream(
        shards,
        batch_size=data["train"]["batch_size"],
        shuffle=data["train"].get("shuffle", 1000),
        seed=seed,
        rank=get_rank(),
        world_size=get_world_size(),
        clip=clip_request(config),
        shrink=_shrink(config),
    )
    stream.skip_batches = skip_batches
    return StreamLoader(stream, steps=steps, num_workers=data.get("num_workers", 0))


def val_loader(config: Mapping[str, Any], shards: Data) -> StreamLoader:
    """Every labelled hand of the shards once, in order."""
    stream = EvalStream(
        shards,
        batch_size=config["data"]["val"]["batch_size"],
        rank=get_rank(),
        world_size=get_world_size(),
        clip=clip_request(config),
    )
    return StreamLoader(stream)


def _shrink(config: Mapping[str, Any]) -> Shrink | None:
    """What `data.train.shrink` asks for: pictures decoded no larger than the crops need."""
    if not config["data"]["train"].get("shrink", False):
        return None
    crop = config["augmentation"]["crop"]
    if not {"size", "expand"} <= crop.keys():
        raise ValueError(
            "data.train.shrink needs to know how large crops are: say augmentation.crop.size and "
            "augmentation.crop.expand, or leave data.train.shrink out."
        )
    least = 1 - crop.get("expand_jitter", 0.0)
    return Shrink(crop=max(crop["size"]), expand=crop["expand"], least=least)


def clip_request(config: Mapping[str, Any]) -> ClipRequest | None:
    """What `data.clip` asks for; None trains and judges single frames."""
    asked = config["data"].get("clip")
    return None if asked is None else ClipRequest(**asked)


def build_runner(
    config: Mapping[str, Any],
    model: HandMeshModel,
    shards: Shards,
    *,
    work_dir: Path,
    hooks: list[Hook],
    resume_from: tuple[Path, int] | None = None,
    launcher: str = "none",
    train_batches: DataLoader | None = None,
) -> Runner:
    """A Runner over objects already built; it resolves no name of ours.

    train_batches: instead of the loader of `shards.train`.
    """
    steps = config["train_cfg"]["max_iters"]
    done = resume_from[1] if resume_from else 0
    runner = Runner(
        model=model,
        work_dir=str(work_dir),
        train_dataloader=train_batches
        or train_loader(config, shards.train, steps=steps, skip_batches=done),
        val_dataloader=val_loader(config, shards.val),
        val_evaluator=Evaluator(HandMetrics(metrics=build_metrics(config))),
        train_cfg={"by_epoch": False, **config["train_cfg"]},
        val_cfg={},
        optim_wrapper=_optim_wrapper(config),
        param_scheduler=schedulers(config["param_scheduler"], steps),
        default_hooks=_default_hooks(config.get("default_hooks", {})),
        custom_hooks=[*_custom_hooks(config), *hooks],
        log_processor={"by_epoch": False},
        log_level="WARNING",
        visualizer=_visualizer(config, work_dir),
        load_from=str(resume_from[0]) if resume_from else None,
        resume=resume_from is not None,
        launcher=launcher,
        randomness=_randomness(config),
        experiment_name=work_dir.name,
        cfg=Config({**_plain(config), "model_wrapper_cfg": launch.wrapper()}),
    )
    _log_everything_to_file(runner)
    return runner


def _randomness(config: Mapping[str, Any]) -> dict[str, Any]:
    seed = config.get("randomness", {}).get("seed", 0)
    # Dropout differs from rank to rank as augmentation does; rank 0 has the seed itself.
    return {"seed": seed, "diff_rank_seed": True}


def _custom_hooks(config: Mapping[str, Any]) -> list[Hook | dict[str, Any]]:
    named = [dict(hook) for hook in config.get("custom_hooks", {}).values()]
    return [checkpoints.ExactResume(), AdversarialSteps(), *named]


def _optim_wrapper(config: Mapping[str, Any]) -> dict[str, Any]:
    scale = config["model"].get("precision", "bf16") == "fp16"
    return {"type": "CheckedOptimWrapper", "scale": scale, **config["optim_wrapper"]}


def _default_hooks(settings: Mapping[str, Any]) -> dict[str, Any]:
    saving = {**_CHECKPOINT_DEFAULTS, **settings.get("checkpoint", {})}
    return {
        "sampler_seed": None,
        "logger": {"type": "LoggerHook", **settings.get("logger", {})},
        "checkpoint": {"type": "CheckpointHook", **saving},
    }


def _visualizer(config: Mapping[str, Any], work_dir: Path) -> dict[str, Any]:
    names = {"tensorboard": "TensorboardVisBackend", "aim": "AimVisBackend"}
    chosen = config.get("visualizer", {}).get("backends", ())
    unknown = [name for name in chosen if name not in names]
    if unknown:
        raise ValueError(
            f"visualizer.backends names {unknown[0]!r}; known are {', '.join(names)} (aim comes "
            f"with pip install 'hand-mesh-zoo[track]')."
        )
    backends = [{"type": "LocalVisBackend"}, *({"type": names[name]} for name in chosen)]
    return {"type": "Visualizer", "name": str(work_dir.resolve()), "vis_backends": backends}


def _log_everything_to_file(runner: Runner) -> None:
    # The terminal belongs to the progress bar; mmengine's own lines go to the log file.
    for handler in runner.logger.handlers:
        if isinstance(handler, logging.FileHandler):
            handler.setLevel(logging.INFO)
        else:
            handler.setLevel(logging.ERROR)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_plain(item) for item in value)
    if isinstance(value, type):
        return f"{value.__module__}.{value.__qualname__}"
    return value

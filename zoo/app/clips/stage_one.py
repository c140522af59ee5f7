"""What Stage 2 stands on: its Stage 1, found or trained first, loaded strictly, judged beside."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.dist import get_rank, get_world_size
from rich.console import Console
from rich.table import Table
from torch.utils.data import DataLoader

from registry.config import find, load
from registry.layout import at
from zoo.app.clips.token_cache import CachedClips, build_cache, cache_key
from zoo.app.data.shards import cache_folder
from zoo.app.evaluation.evaluate import Evaluation, evaluate, load_weights, save_predictions
from zoo.app.training import checkpoints
from zoo.app.training.assemble import Shards, clip_request
from zoo.app.training.results import write_json
from zoo.metrics.motion import motion_errors
from zoo.model import HandMeshModel
from zoo.weights.account import Account, compare

PARTS = ("backbone", "neck", "head")
# `--set` values of a Stage 2 that are its Stage 1's too.
_SHARED = ("model.hand", *(f"model.{part}" for part in PARTS), "augmentation.crop")


def prepare(
    request: Any,
    config: Mapping[str, Any],
    size: str,
    model: HandMeshModel,
    console: Console,
    train: Callable[[Any, Console], Any],
) -> None:
    """Fills the model's Stage 1 from the checkpoint the config names, an earlier run, or a new one.

    train: what `zoo train` calls.
    Raises ValueError where the weights do not fit, with an account of every module.
    """
    stage = config["stage1"]
    changes = tuple(c for c in request.changes if c.startswith(_SHARED))
    checkpoint = stage.get("checkpoint")
    if checkpoint is None:
        checkpoint = _finished_run(stage["config"], size, changes, request.work_dir)
        said = f"Stage 1: {checkpoint}"
    else:
        said = f"Stage 1: {checkpoint}, as the config says"
    if checkpoint is None:
        said = f"Stage 1: no finished run of {stage['config']} at size {size} is here; training it"
        console.print(said + " first.")
        folder = None
        if request.work_dir is not None:
            folder = request.work_dir.with_name(f"{request.work_dir.name}-stage1")
        first = replace(
            request,
            config=stage["config"],
            size=size,
            changes=changes,
            steps=None,
            work_dir=folder,
            resume=False,
            command="",
        )
        done = train(first, console)
        if not done.finished:
            raise KeyboardInterrupt
        checkpoint, said = done.work_dir, f"Stage 1: {done.work_dir}"
    console.print(said, highlight=False)
    console.print(str(fill(model, checkpoint)), highlight=False)


def fill(model: HandMeshModel, checkpoint: str | Path) -> Account:
    """Puts a checkpoint's backbone, neck and head into the model; every weight must be there.

    checkpoint: of a run, its folder, or a folder that `zoo weights convert` wrote.
    """
    path = Path(checkpoint)
    if path.is_dir():
        found, converted = checkpoints.latest(path), path / checkpoints.CONVERTED
        if found is None and not converted.is_file():
            raise checkpoints.CheckpointUnreadable(
                f"stage1.checkpoint {path}: neither a run of zoo train nor converted weights are "
                f"in this folder; convert an original with: zoo weights convert FILE"
            )
        path = converted if found is None else found[0]
    state = checkpoints.load(path)["state_dict"]
    ours = {n: tuple(v.shape) for n, v in model.state_dict().items() if n.startswith(_PREFIXES)}
    required = [name for name in PARTS if getattr(model, name) is not None]
    mine = {name: value for name, value in state.items() if name.startswith(_PREFIXES)}
    account = compare(str(path), mine, ours, required=required)
    account.require(
        "stage1.checkpoint: Stage 1 and Stage 2 must have the same backbone, neck and head; set "
        "stage1.config to the config it was trained with."
    )
    model.load_state_dict(mine, strict=False)
    return account


_PREFIXES = tuple(f"{part}." for part in PARTS)


def cached_loader(
    config: Mapping[str, Any],
    model: HandMeshModel,
    shards: Shards,
    console: Console,
    resume_from: tuple[Path, int] | None = None,
) -> DataLoader | None:
    """Training clips from tokens that are computed once; None without `data.token_cache`."""
    if not config["data"].get("token_cache"):
        return None
    if resume_from is not None:
        load_weights(model, resume_from[0])  # the tokens are those of the weights to go on with
    clip = clip_request(config)
    if clip is None or set(model.frozen) < {"backbone", "head"}:
        raise ValueError(
            "data.token_cache keeps what a frozen Stage 1 says of every frame: it needs data.clip "
            "and model.frozen=('backbone', 'neck', 'head')."
        )
    asked = config["data"]["token_cache"]
    copies = asked.get("copies", 0)
    model.data_preprocessor.seed = asked.get("seed", model.data_preprocessor.seed)
    key = cache_key(config, model, shards.train, copies)
    cache = build_cache(cache_folder(), model, shards.train, key, console)
    clips = CachedClips(
        cache,
        frames=clip.frames,
        stride=clip.stride,
        batch_size=config["data"]["train"]["batch_size"],
        image_size=tuple(model.backbone.image_size),
        seed=at(config, "randomness.seed", 0),
        steps=config["train_cfg"]["max_iters"],
        rank=get_rank(),
        world_size=get_world_size(),
        skip_batches=resume_from[1] if resume_from else 0,
    )
    return DataLoader(clips, batch_size=None, collate_fn=_as_it_is)


def beside_stage_one(
    config: Mapping[str, Any],
    model: HandMeshModel,
    shards: Shards,
    summary: dict[str, Any],
    work_dir: Path,
) -> Table:
    """Both stages on the same last frames, in one table; run.json gets Stage 1's numbers too."""
    temporal, model.temporal = model.temporal, None
    try:
        alone: Evaluation = evaluate(config, model, shards.val, shards.train)
    finally:
        model.temporal = temporal
    save_predictions(work_dir / "predictions_stage1.npz", alone)
    alone.metrics.update(_motion(work_dir / "predictions_stage1.npz"))
    summary["metrics"] |= _motion(work_dir / "predictions.npz")
    summary["stage1"] = {"metrics": alone.metrics, "intervals": alone.intervals}
    write_json(work_dir / "run.json", summary)
    table = Table(title="Both stages on the same last frames", title_style="bold")
    table.add_column("metric")
    for title in ("Stage 1", "Stage 2", "gain"):
        table.add_column(title, justify="right")
    motion = [name for name in alone.metrics if name.endswith("_per_frame2")]
    for name in (*alone.intervals, *motion):
        before, after = alone.metrics[name], summary["metrics"][name]
        table.add_row(name, f"{before:.1f}", f"{after:.1f}", f"{before - after:+.2f}")
    return table


def _motion(file: Path) -> dict[str, float]:
    """Mean motion errors of saved predictions; empty where no film has three frames running."""
    with np.load(file, allow_pickle=False) as saved:
        names = ("prediction/joints", "target/joints", "target/joints_valid", "key")
        said, true, valid, keys = (saved[name] for name in names)
    found = motion_errors(said, true, valid, keys.tolist())
    if not len(found.acceleration):
        return {}
    return {
        "acceleration_mm_per_frame2": float(found.acceleration.mean()),
        "jitter_mm_per_frame2": float(found.jitter.mean()),
    }


def _as_it_is(batch: Any) -> Any:
    return batch


def _finished_run(
    name: str, size: str, changes: tuple[str, ...], work_dir: Path | None
) -> Path | None:
    """The newest finished run of this very model beside the new one, or None."""
    wanted = _model_of(load(name, changes, size=size))
    base = Path("runs") if work_dir is None else work_dir.parent
    found = []
    for record in base.glob("*/run.json"):
        run = json.loads(record.read_text())
        same = run.get("config_name") == find(name).stem and run.get("size") == size
        if same and _model_of(run["config"]) == wanted and checkpoints.latest(record.parent):
            found.append((record.stat().st_mtime, record.parent))
    return max(found)[1] if found else None


def _model_of(config: Mapping[str, Any]) -> str:
    parts = {name: at(config, f"model.{name}") for name in ("hand", *PARTS)}
    return json.dumps([parts, at(config, "augmentation.crop")], sort_keys=True, default=str)

"""Numbers of a model on shards, with counts, intervals and the baseline it has to beat."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.fileio import get_file_backend

from registry.build import build_metrics
from zoo.app.training import checkpoints
from zoo.app.training.assemble import val_loader
from zoo.app.training.hooks import SkippedSamples
from zoo.contracts import FrameBatch, HandTarget
from zoo.data.sources import Data
from zoo.data.streams import StreamLoader
from zoo.metrics.baseline import MeanBaseline
from zoo.metrics.bootstrap import mean_interval
from zoo.metrics.summary import HandScores, measure, names_of, summarize
from zoo.model import HandMeshModel, records

# What no answer depends on, and published weights need not carry: random state, and losses.
NOT_NEEDED = ("data_preprocessor.draws", "losses.")
BASELINE_BATCHES = 32  # of training labels; 2000 hands fix a mean to about 1 mm


@dataclass(frozen=True)
class Evaluation:
    """What one pass over the validation shards said."""

    metrics: dict[str, float]
    intervals: dict[str, tuple[float, float]]  # 95 %, bootstrap over hands
    baseline: dict[str, float]
    records: list[dict[str, Any]]  # one a hand: prediction and target
    keys: list[tuple[str, str]]  # (source, key)
    skipped: dict[str, Any]
    is_left: list[bool]  # of the hand in the picture; records are of its mirror image then


def evaluate(
    config: Mapping[str, Any],
    model: HandMeshModel,
    val_shards: Data,
    train_shards: Data | None = None,
    *,
    seed: int = 0,
) -> Evaluation:
    """Every metric of the config over every labelled hand of the shards.

    train_shards: where the baseline takes its averages; without them the validation labels
        themselves, which flatters the baseline and is never kinder to the model.
    """
    metrics = build_metrics(config)
    skipped, scores, said, targets, origins = SkippedSamples(), [], [], [], []
    lefts: list[bool] = []
    model.eval()
    with torch.no_grad():
        for batch in val_loader(config, val_shards):
            skipped.add(batch)
            if not len(batch):
                continue
            data = model.data_preprocessor(batch, False)
            prediction = model(data["inputs"])
            mesh = model.hand.place(prediction)
            target = model.hand.place_target(data["data_samples"])
            origins.append([(frame.source, frame.key) for frame in batch.labelled])
            lefts += [frame.is_left for frame in batch.labelled]
            scores += measure(metrics.values(), mesh, target, origins[-1])
            said += records(prediction, mesh, target)
            targets.append(target)
    averages = targets if train_shards is None else train_labels(config, model, train_shards)
    names = names_of(metrics)
    return Evaluation(
        metrics=summarize(scores, names),
        intervals=_intervals(scores, names, seed),
        baseline=MeanBaseline.of(averages).scores(targets, metrics, origins),
        records=said,
        keys=[pair for batch in origins for pair in batch],
        skipped=skipped.summary(),
        is_left=lefts,
    )


@torch.no_grad()
def train_labels(config: Mapping[str, Any], model: HandMeshModel, shards: Data) -> list[HandTarget]:
    """Labels of the first training hands, as evaluation would present them."""
    loader: StreamLoader = val_loader(config, shards)
    batches: list[FrameBatch] = list(islice(iter(loader), BASELINE_BATCHES))
    return [
        model.hand.place_target(model.data_preprocessor(batch, False)["data_samples"])
        for batch in batches
        if len(batch)
    ]


def load_weights(model: HandMeshModel, checkpoint: str | Path) -> int:
    """Fills the model from a checkpoint or a folder of one; returns the step it was taken at.

    checkpoint: of a run, or what `zoo weights convert` wrote. Discriminators may be absent from it.
    Raises CheckpointUnreadable for a file that is none, ValueError when a key does not match.
    """
    path = Path(checkpoint)
    if path.is_dir():
        found, converted = checkpoints.latest(path), path / checkpoints.CONVERTED
        if found is None and not converted.is_file():
            raise checkpoints.CheckpointUnreadable(
                f"{path}: no checkpoint (iter_*.pth) is in this folder; name a run of zoo train."
            )
        path = converted if found is None else found[0]
    content = checkpoints.load(path)
    state = content["state_dict"]
    expected = model.state_dict()
    odd = sorted(
        {name for name in expected.keys() ^ state.keys() if not name.startswith(NOT_NEEDED)}
        | {n for n in expected.keys() & state.keys() if expected[n].shape != state[n].shape}
    )
    if odd:
        raise ValueError(
            f"{path} does not fit this config: {len(odd)} weights are missing, unknown or of "
            f"another shape, {odd[0]} among them. Use the config, --set values and --size it was "
            f"trained with (run.json beside it has them)."
        )
    model.load_state_dict(state, strict=False)
    return int(content.get("meta", {}).get("iter", 0))


def save_predictions(path: Path, evaluation: Evaluation) -> None:
    """The seam below which no model is needed: every prediction and label as one npz."""
    arrays: dict[str, np.ndarray] = {
        "source": np.array([source for source, _ in evaluation.keys]),
        "key": np.array([key for _, key in evaluation.keys]),
    }
    for part in ("prediction", "target"):
        for name in evaluation.records[0].get(part, {}):
            arrays[f"{part}/{name}"] = np.stack([row[part][name] for row in evaluation.records])
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    get_file_backend(str(path), backend_args=checkpoints.ATOMIC).put(buffer.getvalue(), path)


def _intervals(
    scores: list[HandScores], names: list[str], seed: int
) -> dict[str, tuple[float, float]]:
    found = {}
    for name in names:
        values, counts = zip(*(hand.values[name] for hand in scores), strict=True)
        interval = mean_interval(values, counts, rng=np.random.default_rng(seed))
        found[name] = (interval.low, interval.high)
    return found

"""Bugs of metrics: names that promise other things, and scores without labels."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor

from benchmarks.faults import Fault, Plant, with_config, with_settings
from zoo.contracts import HandMesh, HandTarget
from zoo.metrics.joints import MPJPE, PAMPJPE, RootMPJPE

Scores = tuple[Tensor, Tensor]


class NotAligned(RootMPJPE):
    """Root-relative under the name of the aligned one."""

    name = "pa_mpjpe_mm"


class Absolute(MPJPE):
    """Absolute under the name of the root-relative one."""

    name = "root_mpjpe_mm"


class TooForgiving(PAMPJPE):
    """Aligned under the name of the root-relative one."""

    name = "root_mpjpe_mm"


class Centimetres(MPJPE):
    """Ten times too small."""

    def __call__(self, mesh: HandMesh, target: HandTarget) -> Scores:
        """As MPJPE, in cm."""
        values, counts = super().__call__(mesh, target)
        return values / 10, counts


class ZeroWhereEmpty(MPJPE):
    """A hand without labels is perfect."""

    def __call__(self, mesh: HandMesh, target: HandTarget) -> Scores:
        """As MPJPE, 0 with a count where nothing is labelled."""
        values, counts = super().__call__(mesh, target)
        return torch.where(counts > 0, values, 0.0), counts.clamp(min=1)


class ReadsEverything(MPJPE):
    """Forgets which joints are labelled."""

    def __call__(self, mesh: HandMesh, target: HandTarget) -> Scores:
        """The mean over all 21 joints."""
        errors = (mesh.joints - target.joints).norm(dim=-1).mean(-1) * 1000
        return errors.double(), torch.full((len(errors),), 21)


class BatchMean(MPJPE):
    """Gives every hand the mean of its batch."""

    def __call__(self, mesh: HandMesh, target: HandTarget) -> Scores:
        """As MPJPE, averaged over the batch."""
        values, counts = super().__call__(mesh, target)
        return values.nanmean().expand_as(values), counts


class AgainstItself(MPJPE):
    """Compares the prediction with itself."""

    def __call__(self, mesh: HandMesh, target: HandTarget) -> Scores:
        """Zero."""
        return torch.zeros(len(mesh.joints), dtype=torch.float64), (target.joints_valid > 0).sum(-1)


class SixteenJoints(MPJPE):
    """Scores the first sixteen joints alone."""

    def __call__(self, mesh: HandMesh, target: HandTarget) -> Scores:
        """As MPJPE, without the last five joints."""
        valid = target.joints_valid.clone()
        valid[:, 16:] = 0
        return super().__call__(mesh, dataclasses.replace(target, joints_valid=valid))


def _metric(name: str, kind: type) -> Plant:
    def change(config: dict[str, Any]) -> None:
        config["evaluation"]["metrics"][name] = {"type": kind}

    return with_config(change)


FAULTS = (
    Fault(
        "pa-is-root-relative",
        _metric("pa_mpjpe", NotAligned),
        ("metric.name", "evaluation.metrics.pa_mpjpe"),
        "What is called PA-MPJPE aligns nothing (P-37).",
    ),
    Fault(
        "root-relative-is-absolute",
        _metric("root_mpjpe", Absolute),
        ("metric.name", "evaluation.metrics.root_mpjpe"),
        "What is called root-aligned is absolute (P-37).",
    ),
    Fault(
        "root-relative-is-aligned",
        _metric("root_mpjpe", TooForgiving),
        ("metric.name", "evaluation.metrics.root_mpjpe"),
        "Procrustes alignment hides the error it should show (P-37).",
    ),
    Fault(
        "centimetres-called-mm",
        _metric("mpjpe", Centimetres),
        ("metric.name", "evaluation.metrics.mpjpe"),
        "The unit in the name is not the unit of the number.",
    ),
    Fault(
        "metric-of-nothing",
        _metric("mpjpe", AgainstItself),
        ("metric.name", "evaluation.metrics.mpjpe"),
        "The prediction is compared with itself, so every model is perfect.",
    ),
    Fault(
        "empty-is-perfect",
        _metric("mpjpe", ZeroWhereEmpty),
        ("metric.empty", "evaluation.metrics.mpjpe"),
        "An evaluation without labels scores 0 and stays the best for ever (P-26).",
    ),
    Fault(
        "placeholders-are-scored",
        _metric("mpjpe", ReadsEverything),
        ("metric.empty", "evaluation.metrics.mpjpe"),
        "Labels that are not valid are scored.",
    ),
    Fault(
        "every-hand-scores-the-mean",
        _metric("mpjpe", BatchMean),
        ("metric.hands", "evaluation.metrics.mpjpe"),
        "Scores depend on how evaluation is batched.",
    ),
    Fault(
        "sixteen-joints-are-scored",
        _metric("mpjpe", SixteenJoints),
        ("metric.complete", "evaluation.metrics.mpjpe"),
        "A finger is left out, and the number is compared with others' all the same.",
    ),
    Fault(
        "best-is-worst",
        with_settings("default_hooks.checkpoint.rule='greater'"),
        ("metric.best", "default_hooks.checkpoint"),
        "The checkpoint with the largest error is kept.",
    ),
    Fault(
        "best-by-an-unknown-metric",
        with_settings("default_hooks.checkpoint.save_best='pa_mpjpe'"),
        ("metric.best", "default_hooks.checkpoint.save_best"),
        "The best checkpoint is chosen by a name nothing measures.",
    ),
)

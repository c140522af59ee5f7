"""One meaning of "mean over what is labelled", so that no loss invents its own mask."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Literal

import torch
import torch.distributed as dist
from torch import Tensor

from zoo.contracts import HandMesh, HandTarget, Prediction

Reduction = Literal["mean", "sum", "batch_mean", "component_sum"]
Norm = Literal["l1", "l2", "euclidean"]
Unit = Literal["m", "mm"]

UNITS_PER_METRE: dict[str, float] = {"m": 1.0, "mm": 1000.0}
REDUCTIONS = ("mean", "sum", "batch_mean", "component_sum")
NORMS = ("l1", "l2", "euclidean")


def labelled(label: Tensor, valid: Tensor) -> Tensor:
    """The label where it is valid and zero elsewhere, so that a NaN in it can reach no gradient.

    label: (..., *rest). valid: (...), valid where positive.
    """
    trailing = (1,) * (label.ndim - valid.ndim)
    return torch.where(valid.reshape(*valid.shape, *trailing) > 0, label, torch.zeros_like(label))


def sum_over_valid(value: Tensor, valid: Tensor) -> Tensor:
    """The sum of the values that are valid; a graded validity (HaMeR's confidence) weighs them.

    value, valid: the same shape, one entry a label; raises ValueError otherwise, because a silent
    broadcast counts labels that do not exist.
    """
    _check_shapes(value, valid)
    chosen = torch.where(valid > 0, value, torch.zeros_like(value))
    return (chosen * _weights(valid, value)).sum()


def mean_over_valid(value: Tensor, valid: Tensor) -> Tensor:
    """The mean of the values that are valid; without any, zero that still hangs on the graph.

    value, valid: the same shape, one entry a label; raises ValueError otherwise. While several
    processes train, it is divided by their mean weight: the mean of their gradients is then that of
    one process with all their hands, however unevenly labels are spread.
    """
    total = sum_over_valid(value, valid)
    weight = _mean_of_processes(_weights(valid, value).sum())
    return total / torch.where(weight > 0, weight, torch.ones_like(weight))


def reduce_errors(errors: Tensor, valid: Tensor, reduction: Reduction) -> Tensor:
    """One number of the errors of many labels.

    errors: (*labels, *components), e.g. (B, J, 3). valid: (*labels).
    reduction: "mean" averages components, then valid labels; "sum" adds everything up (HaMeR: the
    term grows with the batch); "batch_mean" adds valid labels but divides by all of them, so that
    unlabelled hands dilute the term (CS-ViT2 of February 2026, as released); "component_sum" adds
    the components of a label, then averages valid labels (the masked mean of CS-ViT2's first
    version, as released, where it is given a mask without components).
    """
    if errors.shape[: valid.ndim] != valid.shape:
        _check_shapes(errors, valid)
    components = errors.reshape(*valid.shape, -1)
    if reduction == "sum":
        return sum_over_valid(components.sum(-1), valid)
    if reduction == "batch_mean":
        return sum_over_valid(components.mean(-1), valid) / max(valid.numel(), 1)
    if reduction == "component_sum":
        return mean_over_valid(components.sum(-1), valid)
    return mean_over_valid(components.mean(-1), valid)


def distance(difference: Tensor, norm: Norm) -> Tensor:
    """Errors of differences: |d| ("l1") or d^2 ("l2") a component, or the length ("euclidean").

    difference: (..., n). returns: (..., n), or (..., 1) for "euclidean"; the gradient at zero is
    zero, not NaN.
    """
    if norm == "l1":
        return difference.abs()
    if norm == "l2":
        return difference.square()
    return torch.linalg.vector_norm(difference, dim=-1, keepdim=True)


def one_of(name: str, found: str, possible: tuple[str, ...]) -> str:
    """`found`, or a ValueError that says which values the argument `name` may have."""
    if found not in possible:
        raise ValueError(f"{name} is {found!r}; choose one of {', '.join(map(repr, possible))}.")
    return found


def in_float32(forward: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A loss's forward that sees float32 whatever autocast or precision surrounds it."""

    @functools.wraps(forward)
    def run(self, prediction: Prediction, mesh: HandMesh, target: HandTarget) -> Tensor:
        single = torch.float32
        with torch.autocast(mesh.joints.device.type, enabled=False):
            return forward(self, prediction.to(single), mesh.to(single), target.to(single))

    return run


def _mean_of_processes(weight: Tensor) -> Tensor:
    together = dist.is_available() and dist.is_initialized() and torch.is_grad_enabled()
    if not together or dist.get_world_size() == 1:
        return weight
    total = weight.detach().clone()
    dist.all_reduce(total)
    return total / dist.get_world_size()


def _weights(valid: Tensor, like: Tensor) -> Tensor:
    return torch.where(valid > 0, valid, torch.zeros_like(valid)).to(like.dtype)


def _check_shapes(value: Tensor, valid: Tensor) -> None:
    if value.shape != valid.shape:
        raise ValueError(
            f"A loss has values of shape {tuple(value.shape)} but validity of shape "
            f"{tuple(valid.shape)}; give one validity for each label, no broadcasting is done."
        )

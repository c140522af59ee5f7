"""Least-squares alignment of point sets, defined once for every metric that aligns."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.geometry.rotation import nearest_rotation

_EPSILONS = 8  # units of rounding below which a spread counts as none


def align(
    points: Tensor,
    target: Tensor,
    valid: Tensor | None = None,
    *,
    translate: bool = True,
    scale: bool = False,
    rotate: bool = False,
) -> Tensor:
    """The points moved onto the target as well as the allowed motions can.

    Minimises the weighted sum of squared distances over the chosen group; all points move, also
    those without weight. Where nothing determines a motion (all points equal, no valid point)
    that motion is left out, never NaN. Source: Umeyama, PAMI 1991.

    points, target: (B, N, 3) m.
    valid: (B, N) weights >= 0, or None for all ones; invalid targets are never read.
    returns: (B, N, 3) m.
    """
    weight = torch.ones_like(points[..., 0]) if valid is None else valid.to(points.dtype)
    weight = weight[..., None]
    target = torch.where(weight > 0, target, torch.zeros_like(target))
    source = torch.where(weight > 0, points, torch.zeros_like(points))
    total = weight.sum(-2, keepdim=True).clamp(min=torch.finfo(points.dtype).tiny)
    from_center, to_center = points.new_zeros(2, *points.shape[:-2], 1, 3)
    if translate:
        from_center = (weight * source).sum(-2, keepdim=True) / total
        to_center = (weight * target).sum(-2, keepdim=True) / total
    noise = _rounding(source, weight), _rounding(target, weight)
    source, target = source - from_center, target - to_center
    motion = _rotation(source, target, weight, noise) if rotate else _identity(points)
    if scale:
        motion = motion * _scale(source, target, weight, motion, noise)
    return (points - from_center) @ motion.mT + to_center


def _rotation(
    source: Tensor, target: Tensor, weight: Tensor, noise: tuple[Tensor, Tensor]
) -> Tensor:
    """(B, 3, 3) with target ~ rotation @ source; identity where rounding alone would decide."""
    covariance = target.mT @ (weight * source)
    largest = covariance.abs().amax((-2, -1), keepdim=True)
    undetermined = largest <= noise[0] * noise[1] / _EPSILONS / torch.finfo(largest.dtype).eps
    # divided by its largest entry, so that millimetres and metres meet the solver alike
    scaled = covariance / torch.where(undetermined, 1.0, largest)
    return nearest_rotation(torch.where(undetermined, _identity(target), scaled))


def _scale(
    source: Tensor,
    target: Tensor,
    weight: Tensor,
    rotation: Tensor,
    noise: tuple[Tensor, Tensor],
) -> Tensor:
    """(B, 1, 1) least-squares scale; 1 where the source is a single point."""
    overlap = (weight * (source @ rotation.mT) * target).sum((-2, -1), keepdim=True)
    spread = (weight * source.square()).sum((-2, -1), keepdim=True)
    single = spread <= noise[0].square()
    return torch.where(single, 1.0, overlap / torch.where(single, 1.0, spread))


def _rounding(points: Tensor, weight: Tensor) -> Tensor:
    """(B, 1, 1) how far rounding may have moved the points, root of the weighted sum of squares."""
    size = (weight * points.square()).sum((-2, -1), keepdim=True).sqrt()
    return _EPSILONS * torch.finfo(points.dtype).eps * size


def _identity(points: Tensor) -> Tensor:
    return torch.eye(3, dtype=points.dtype, device=points.device).expand(*points.shape[:-2], 3, 3)

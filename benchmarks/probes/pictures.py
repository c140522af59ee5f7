"""Measures of frames and of what a network sees of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.contracts import Frame

THUMBNAIL = 16  # cells a side
SAME, PLAIN = 3.0, 10.0  # grey levels: apart as copies may be; spread of what is told apart
_FIRST_LAYERS = nn.Conv2d | nn.Linear | nn.Conv3d


def first_input(backbone: nn.Module, images: Tensor) -> Tensor | None:
    """What the first convolution or linear layer of a backbone sees of some crops.

    returns: (B, 3, H, W), or None where no layer sees a picture of three channels.
    """
    seen: list[Tensor] = []
    layers = [module for module in backbone.modules() if isinstance(module, _FIRST_LAYERS)]
    handles = [
        layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach().float()))
        for layer in layers
    ]
    try:
        with torch.no_grad():
            backbone(images)
    finally:
        for handle in handles:
            handle.remove()
    pictures = [x for x in seen if x.ndim == 4 and x.shape[1] == 3]
    return pictures[0] if pictures else None


def skin(image: Tensor, keypoints: Tensor, valid: Tensor) -> Tensor | None:
    """The median colour at the keypoints of a hand; None where none is in the picture.

    image: (3, h, w). keypoints: (21, 2) px. valid: (21,). returns: (3,).
    """
    height, width = image.shape[-2:]
    x, y = keypoints.round().long().unbind(-1)
    inside = (valid > 0) & (x >= 0) & (x < width) & (y >= 0) & (y < height)
    if not inside.any():
        return None
    return image[:, y[inside], x[inside]].float().median(-1).values


def depths(frames: Sequence[Frame]) -> np.ndarray:
    """m, of every labelled wrist in a measured camera."""
    known = [f.label for f in frames if f.label.joints_valid[0] > 0 and f.label.has_intrinsics > 0]
    return np.array([float(label.joints[0, 2]) for label in known])


def focals(frames: Sequence[Frame]) -> np.ndarray:
    """Focal lengths in longer sides of their pictures."""
    known = [f for f in frames if f.label.has_intrinsics > 0]
    return np.array([float(f.intrinsics[0, 0]) / max(f.image.shape[1:]) for f in known])


def boxes(frames: Sequence[Frame]) -> np.ndarray:
    """Longer sides of hand boxes in longer sides of their pictures."""
    sides = [float((f.hand_box[2:] - f.hand_box[:2]).amax()) for f in frames]
    return np.array([side / max(f.image.shape[1:]) for side, f in zip(sides, frames, strict=True)])


def nearly_the_same(known: Sequence[Frame], asked: Sequence[Frame]) -> int:
    """How many of the asked frames show what a known one shows, whatever their size and format.

    Thumbnails of grey levels are compared; plain pictures, which are all alike, do not count.
    """
    one, other = (torch.stack([_thumbnail(f.image) for f in frames]) for frames in (asked, known))
    apart = torch.cdist(one, other) / THUMBNAIL
    return int(((apart.amin(1) < SAME) & (one.std(1) > PLAIN)).sum())


def _thumbnail(image: Tensor) -> Tensor:
    """(THUMBNAIL**2,) grey levels."""
    return F.adaptive_avg_pool2d(image.float().mean(0, keepdim=True), THUMBNAIL).flatten()

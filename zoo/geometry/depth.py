"""Depth maps under a change of view: readings are moved as points are, and none is invented."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.geometry.camera import inverse_intrinsics


def warp_depth(
    depths: Sequence[Tensor | None], crop_from_frame: Tensor, size: tuple[int, int]
) -> Tensor | None:
    """Depth maps of crops: each pixel has the reading nearest to it in the picture, moved.

    A reading z at pixel p is the point z K^-1 p, which X' = L X takes to the depth z (H p)_3 with
    H = K' L K^-1. Between two readings none is blended, so an outline stays an outline.

    depths: B depth maps (h, w) m, 0 where unknown, or None of a hand without one.
    crop_from_frame: (B, 3, 3), H as `zoo.geometry.view.pixel_homography` gives it, not rescaled.
    size: (H, W) px.
    returns: (B, H, W) float32 m on the device of `crop_from_frame`, 0 where unknown; None where no
        hand has depth.
    """
    shapes = [depth.shape for depth in depths if depth is not None]
    if not shapes:
        return None
    device = crop_from_frame.device
    height, width = (max(sides) for sides in zip(*shapes, strict=True))
    readings = torch.zeros(len(depths), height, width, device=device)
    for row, depth in zip(readings, depths, strict=True):
        if depth is not None:
            row[: depth.shape[0], : depth.shape[1]] = depth.to(device, non_blocking=True)
    homography = crop_from_frame.double()
    sources = _pixels(size, homography) @ torch.linalg.inv_ex(homography).inverse.mT
    nearest = (sources[..., :2] / sources[..., 2:]).nan_to_num(-1).round()
    span = nearest.new_tensor((width - 1, height - 1))
    inside = ((nearest >= 0) & (nearest <= span)).all(-1)
    column, row = nearest.clamp(min=0).minimum(span).long().unbind(-1)
    found = readings.flatten(1).gather(1, row * width + column)
    growth = (F.pad(nearest, (0, 1), value=1.0) * homography[:, None, 2]).sum(-1)
    moved = torch.where(inside & (growth > 0), found * growth, 0.0)
    return moved.float().unflatten(1, size)


def reshaped_depth(depth: Tensor, intrinsics: Tensor, shape: Tensor, wrist: Tensor) -> Tensor:
    """Depth maps after the space about each wrist was changed while the picture stayed as it is.

    depth: (B, H, W) m, 0 where unknown.
    intrinsics: (B, 3, 3) px, the camera of the crops.
    shape: (B, 3, 3), what happens to the points about the wrist.
    wrist: (B, 3) m, camera.
    returns: (B, H, W) m, 0 where it was unknown.
    """
    rays = _pixels(depth.shape[-2:], intrinsics) @ inverse_intrinsics(intrinsics).mT
    points = rays.unflatten(1, depth.shape[-2:]) * depth[..., None]
    wrist = wrist[:, None, None]
    moved = wrist[..., 2] + ((points - wrist) * shape[:, None, None, 2]).sum(-1)
    return torch.where(depth > 0, moved.clamp(min=0), 0.0)


def _pixels(size: tuple[int, int], like: Tensor) -> Tensor:
    """(H * W, 3) homogeneous pixels in row-major order, with the type and device of `like`."""
    ys, xs = torch.meshgrid(*(torch.arange(n).to(like) for n in size), indexing="ij")
    return torch.stack((xs, ys, torch.ones_like(xs)), dim=-1).flatten(0, 1)

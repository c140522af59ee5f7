"""The pinhole camera and the boxes it sees, so that the half-pixel convention lives in one file."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def project(points: Tensor, intrinsics: Tensor, *, min_depth: float | None = None) -> Tensor:
    """Pixels of camera-frame points seen by a pinhole camera.

    points: (..., N, 3) m, in front of the camera.
    intrinsics: (..., 3, 3) px.
    min_depth: m; nearer points (a wild prediction) are seen as if they stood at this depth, so
        that pixels and gradients stay bounded. None divides as it is.
    returns: (..., N, 2) px, (0, 0) at the centre of the top-left pixel.
    """
    if min_depth is not None:
        depth = points[..., 2:].clamp(min=min_depth)
        points = torch.cat((points[..., :2], depth), dim=-1)
    image = points @ intrinsics.mT
    return image[..., :2] / image[..., 2:]


def unproject(pixels: Tensor, depth: Tensor, intrinsics: Tensor) -> Tensor:
    """Camera-frame points that a pinhole camera sees at these pixels and depths.

    pixels: (..., N, 2) px.
    depth: (..., N) m, along the optical axis.
    intrinsics: (..., 3, 3) px.
    returns: (..., N, 3) m.
    """
    return _at_unit_depth(pixels, intrinsics) * depth[..., None]


def seen_alike(position: Tensor, intrinsics: Tensor, other: Tensor) -> Tensor:
    """Where a small thing stands for another camera that sees it at the same pixel, equally large.

    position: (..., 3) m in the camera of `intrinsics`.
    intrinsics, other: (..., 3, 3) px of one picture; the sizes agree along x, and along y where
        both cameras have square pixels.
    returns: (..., 3) m in the other camera.
    """
    pixel = project(position[..., None, :], intrinsics)
    depth = position[..., 2:] * other[..., :1, 0] / intrinsics[..., :1, 0]
    return unproject(pixel, depth, other)[..., 0, :]


def rays(pixels: Tensor, intrinsics: Tensor) -> Tensor:
    """Directions in which a pinhole camera sees these pixels.

    pixels: (..., N, 2) px.
    intrinsics: (..., 3, 3) px.
    returns: (..., N, 3) unit vectors, camera.
    """
    return F.normalize(_at_unit_depth(pixels, intrinsics), dim=-1)


def inverse_intrinsics(intrinsics: Tensor) -> Tensor:
    """K^-1 in closed form: exact in the last row and without a device synchronisation.

    intrinsics: (..., 3, 3) px, upper triangular with last row (0, 0, 1).
    returns: (..., 3, 3).
    """
    fx, skew, cx = intrinsics[..., 0, :].unbind(-1)
    fy, cy = intrinsics[..., 1, 1], intrinsics[..., 1, 2]
    zero, one = torch.zeros_like(fx), torch.ones_like(fx)
    rows = (
        torch.stack((1 / fx, -skew / (fx * fy), (skew * cy / fy - cx) / fx), dim=-1),
        torch.stack((zero, 1 / fy, -cy / fy), dim=-1),
        torch.stack((zero, zero, one), dim=-1),
    )
    return torch.stack(rows, dim=-2)


def assumed_intrinsics(size: Tensor) -> Tensor:
    """A camera for pictures that came without one: focal length = picture diagonal (53 degrees).

    size: (B, 2) px, height and width.
    returns: (B, 3, 3) px, principal point at the picture's centre. Source: the prior of SPEC and
        CLIFF for pictures from the internet.
    """
    focal = torch.linalg.vector_norm(size, dim=-1)
    zero, one = torch.zeros_like(focal), torch.ones_like(focal)
    center_y, center_x = ((size - 1) / 2).unbind(-1)
    entries = (focal, zero, center_x, zero, focal, center_y, zero, zero, one)
    return torch.stack(entries, dim=-1).unflatten(-1, (3, 3))


def box_of_points(points: Tensor, valid: Tensor) -> Tensor:
    """The smallest box around the valid points; zeros where none is valid.

    points: (B, N, 2) px; values of invalid points (NaN too) are never read.
    valid: (B, N), true or non-zero where a point counts.
    returns: (B, 4) px, x0 y0 x1 y1.
    """
    seen = (valid > 0)[..., None]
    low = points.masked_fill(~seen, torch.inf).amin(-2)
    high = points.masked_fill(~seen, -torch.inf).amax(-2)
    return torch.cat((low, high), dim=-1).masked_fill(~seen.any(-2), 0)


def square_box(box: Tensor, *, expand: float | Tensor) -> Tensor:
    """The square about the same centre whose side is the longer side of the box times `expand`.

    box: (B, 4) px, x0 y0 x1 y1.
    expand: a number, or (B,).
    returns: (B, 4) px.
    """
    low, high = box[..., :2], box[..., 2:]
    half = ((high - low).amax(-1) * expand / 2)[..., None]
    center = (low + high) / 2
    return torch.cat((center - half, center + half), dim=-1)


def _at_unit_depth(pixels: Tensor, intrinsics: Tensor) -> Tensor:
    homogeneous = F.pad(pixels, (0, 1), value=1.0)
    return homogeneous @ inverse_intrinsics(intrinsics).mT

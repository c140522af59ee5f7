"""Where a posed hand's vertices lie on feature maps, right and as two releases had it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

FOCAL = 5000.0  # px, of the virtual camera of HaMeR, WiLoR and UTNet
_MM = 1000.0


def cells_of_picture(
    vertices: Tensor,
    camera: Tensor,
    *,
    map_size: tuple[int, int],
    crop_size: tuple[int, int],
    token_grid: tuple[int, int],
) -> Tensor:
    """The map's cells in which the picture shows each vertex.

    vertices: (B, V, 3) m, MANO's own frame. camera: (B, 3) s, tx, ty.
    map_size: rows and columns of the map, which covers what the tokens cover.
    crop_size: (H, W) px. token_grid: rows and columns of square patches, centred in the crop.
    returns: (B, V, 2) x and y in cells, (0, 0) at the centre of the first.
    """
    height, width = crop_size
    seen = normalised(vertices, camera, side=max(crop_size))
    rows, columns = token_grid
    patch = min(height / rows, width / columns)
    covered = seen.new_tensor((columns * patch, rows * patch))
    offset = seen * max(crop_size) + 0.5  # px from the crop's centre: cx is W / 2, not (W - 1) / 2
    size = seen.new_tensor(map_size[::-1])
    return (offset / covered + 0.5) * size - 0.5


def cells_as_wilor_released(
    vertices: Tensor, camera: Tensor, *, map_size: tuple[int, int]
) -> Tensor:
    """Normalised coordinates of about +-0.5 taken for cells, as the released WiLoR samples.

    Every vertex then reads within half a cell of the top left corner. The published weights were
    trained with it. Arguments and result as `cells_of_picture`.
    """
    return normalised(vertices, camera, side=map_size[0])


def cells_as_utnet_released(
    vertices: Tensor, camera: Tensor, *, map_size: tuple[int, int]
) -> Tensor:
    """Millimetres times camera scale taken for cells, as the released UTNet samples.

    At the initial camera nearly every vertex is off the map. Arguments and result as
    `cells_of_picture`.
    """
    center = vertices.new_tensor(map_size[::-1]) / 2
    return vertices[..., :2] * _MM * camera[:, None, :1] + center + camera[:, None, 1:]


def normalised(vertices: Tensor, camera: Tensor, *, side: float, focal: float = FOCAL) -> Tensor:
    """Vertices as the virtual camera sees them, in sides of the crop, its centre at zero.

    vertices: (B, V, 3) m. camera: (B, 3) s, tx, ty. side: px, of the image `focal` is told for.
    returns: (B, V, 2), about +-0.5.
    """
    depth = 2 * focal / (side * camera[:, None, :1] + 1e-9)
    points = vertices[..., :2] + camera[:, None, 1:]
    return focal / side * points / (vertices[..., 2:] + depth)


def sample(features: Tensor, cells: Tensor) -> Tensor:
    """A map's values at points, bilinear between cell centres, zero outside.

    features: (B, C, rows, columns). cells: (B, V, 2) x and y.
    returns: (B, C, V).
    """
    rows, columns = features.shape[-2:]
    last = cells.new_tensor((max(columns - 1, 1), max(rows - 1, 1)))
    grid = (2 * cells / last - 1)[:, :, None]
    return F.grid_sample(features, grid, align_corners=True, padding_mode="zeros")[..., 0]


def share_inside(cells: Tensor, map_size: tuple[int, int]) -> Tensor:
    """How many of the points lie between the first and the last cell's centre.

    cells: (B, V, 2). returns: a scalar in [0, 1].
    """
    last = cells.new_tensor(map_size[::-1]) - 1
    return ((cells >= 0) & (cells <= last)).all(-1).float().mean()


def touched(shape: torch.Size, cells: Tensor) -> Tensor:
    """Which cells of a map a sampling reads with a weight above zero.

    shape: (rows, columns). returns: (rows, columns) bool.
    """
    probe = torch.zeros(1, 1, *shape, device=cells.device, requires_grad=True)
    with torch.enable_grad():
        sample(probe, cells[:1].detach()).sum().backward()
    return probe.grad[0, 0] > 0

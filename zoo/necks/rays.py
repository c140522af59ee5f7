"""The viewing rays of a crop, in the one order that every neck reads them in."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.contracts import CropView


def ray_grid(view: CropView, num_samples: int) -> tuple[Tensor, Tensor]:
    """Rays through an even grid of the crop, x first: sample (i, j) is row i * num_samples + j.

    As in CS-ViT2 the crop is the square [0, width] x [0, height], not its pixels' outline.

    returns: (B, num_samples^2, 2) x and y of the unit rays; (num_samples^2, 2) their places as
        fractions of the crop's width and height; fp32.
    """
    height, width = view.crop_size
    intrinsics = view.intrinsics.float()
    steps = torch.arange(num_samples, device=intrinsics.device)
    fraction = (steps + 0.5) / num_samples
    place = torch.cartesian_prod(fraction, fraction)
    pixels = place * place.new_tensor((width, height))
    focal = intrinsics[:, None, (0, 1), (0, 1)]
    slope = (pixels - intrinsics[:, None, :2, 2]) / focal
    ray = slope / torch.linalg.vector_norm(
        torch.cat((slope, torch.ones_like(slope[..., :1])), dim=-1), dim=-1, keepdim=True
    )
    return ray, place

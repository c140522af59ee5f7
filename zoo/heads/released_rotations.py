"""UTNet's way from matrices back to rotation vectors, kept to show what it does to a training."""

from __future__ import annotations

import torch
from torch import Tensor

_MARGIN = 1e-7  # of the cosine
_SMALLEST = 1e-3  # rad; below it the answer is zero


def rotvec_as_released(rotmats: Tensor) -> Tensor:
    """Rotation vectors as the released UTNet computes them: wrong near pi, zero below 1e-3 rad.

    3.1415 rad come back as 0.596 with a gradient of about -6434; a turn below 1e-3 rad comes back
    as zero and passes no gradient. `zoo.geometry.rotation.rotmat_to_rotvec` is the right one.

    rotmats: (..., 3, 3).
    returns: (..., 3) rad.
    """
    trace = rotmats.diagonal(dim1=-2, dim2=-1).sum(-1, keepdim=True)
    angle = ((trace - 1) / 2).clamp(-1 + _MARGIN, 1 - _MARGIN).acos()
    turn = rotmats - rotmats.mT
    axis = torch.stack((turn[..., 2, 1], turn[..., 0, 2], turn[..., 1, 0]), dim=-1)
    rotvec = axis / (2 * angle.sin()) * angle
    return torch.where(angle < _SMALLEST, torch.zeros_like(rotvec), rotvec)

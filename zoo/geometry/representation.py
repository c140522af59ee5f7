"""How rotations are written as numbers that a network estimates and a loss may compare."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor

from zoo.geometry.rotation import (
    rot6d_to_rotmat,
    rotmat_to_rot6d,
    rotmat_to_rotvec,
    rotmat_to_unitquat,
    rotvec_to_rotmat,
    unitquat_to_rotmat,
)


class Representation(NamedTuple):
    """So many numbers a rotation, and the way there and back."""

    width: int
    to_rotmat: Callable[[Tensor], Tensor]  # (..., width) -> (..., 3, 3)
    from_rotmat: Callable[[Tensor], Tensor]  # (..., 3, 3) -> (..., width)


def _any_quat_to_rotmat(quaternion: Tensor) -> Tensor:
    return unitquat_to_rotmat(F.normalize(quaternion, dim=-1))


REPRESENTATIONS = {
    "rot6d_columns": Representation(
        6, partial(rot6d_to_rotmat, order="columns"), partial(rotmat_to_rot6d, order="columns")
    ),
    "rot6d_rows": Representation(
        6, partial(rot6d_to_rotmat, order="rows"), partial(rotmat_to_rot6d, order="rows")
    ),
    "rotvec": Representation(3, rotvec_to_rotmat, rotmat_to_rotvec),
    "quat": Representation(4, _any_quat_to_rotmat, rotmat_to_unitquat),
}

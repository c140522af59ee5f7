"""One place for rotations, so that no two parts of the zoo read the same numbers differently."""

from __future__ import annotations

from typing import Literal

import roma
import torch
import torch.nn.functional as F
from torch import Tensor

Rot6dOrder = Literal["columns", "rows"]


def rotvec_to_rotmat(rotvec: Tensor) -> Tensor:
    """Rotation matrices of rotation vectors (axis times angle).

    rotvec: (..., 3) rad; zero and angles beyond pi are allowed, gradients stay finite.
    returns: (..., 3, 3).
    """
    return roma.rotvec_to_rotmat(rotvec)


def rotmat_to_rotvec(rotmats: Tensor) -> Tensor:
    """Rotation vectors with angles in [0, pi]; at pi the sign of the axis is arbitrary.

    rotmats: (..., 3, 3) proper rotations.
    returns: (..., 3) rad; gradients are finite at 0 and at pi.
    """
    return roma.rotmat_to_rotvec(rotmats)


def unitquat_to_rotmat(quaternion: Tensor) -> Tensor:
    """Rotation matrices of quaternions, which are brought to length 1 first.

    quaternion: (..., 4) as (w, x, y, z).
    returns: (..., 3, 3).
    """
    return roma.unitquat_to_rotmat(roma.quat_wxyz_to_xyzw(F.normalize(quaternion, dim=-1)))


def rotmat_to_unitquat(rotmats: Tensor) -> Tensor:
    """Unit quaternions of rotation matrices, on the half sphere w >= 0.

    rotmats: (..., 3, 3).
    returns: (..., 4) as (w, x, y, z).
    """
    quaternion = roma.quat_xyzw_to_wxyz(roma.rotmat_to_unitquat(rotmats))
    return torch.where(quaternion[..., :1] < 0, -quaternion, quaternion)


def rot6d_to_rotmat(rot6d: Tensor, *, order: Rot6dOrder) -> Tensor:
    """Rotation matrices of the continuous 6D representation, by Gram-Schmidt.

    Zero or parallel columns give zero (not NaN) columns. Source: Zhou et al., CVPR 2019.

    rot6d: (..., 6); "columns": first column, then second column (HaMeR, WiLoR, CS-ViT2); "rows":
        the three rows of the first two columns, interleaved (SPIN, HMR).
    returns: (..., 3, 3).
    """
    first, second = _columns(rot6d, order)
    x = F.normalize(first, dim=-1)
    y = F.normalize(second - (x * second).sum(-1, keepdim=True) * x, dim=-1)
    return torch.stack((x, y, torch.linalg.cross(x, y)), dim=-1)


def rotmat_to_rot6d(rotmats: Tensor, *, order: Rot6dOrder) -> Tensor:
    """The first two columns of rotation matrices, as six numbers.

    rotmats: (..., 3, 3).
    returns: (..., 6) in the given order, see `rot6d_to_rotmat`.
    """
    _check_order(order)
    columns = rotmats[..., :2]
    return (columns if order == "rows" else columns.mT).flatten(-2)


def geodesic_angle(rotmats: Tensor, other: Tensor) -> Tensor:
    """The angle of the rotation between two rotations, exact near 0 and near pi.

    rotmats, other: (..., 3, 3).
    returns: (...) rad in [0, pi]; gradients are finite everywhere (0 at exactly 0 and pi).
    """
    between = rotmats.mT @ other
    axis = torch.stack(
        (
            between[..., 2, 1] - between[..., 1, 2],
            between[..., 0, 2] - between[..., 2, 0],
            between[..., 1, 0] - between[..., 0, 1],
        ),
        dim=-1,
    )
    trace = between.diagonal(dim1=-2, dim2=-1).sum(-1)
    # an arc cosine would lose half the digits and its gradient at both ends
    return torch.atan2(torch.linalg.vector_norm(axis, dim=-1), trace - 1)


def nearest_rotation(matrices: Tensor) -> Tensor:
    """The proper rotation nearest to each matrix in the Frobenius norm.

    matrices: (..., 3, 3).
    returns: (..., 3, 3) with determinant +1.
    """
    return roma.special_procrustes(matrices)


def rotation_about_z(angle: Tensor) -> Tensor:
    """Rotations that turn x towards y: clockwise on a picture, whose y points down.

    angle: (B,) rad.
    returns: (B, 3, 3).
    """
    zero, one = torch.zeros_like(angle), torch.ones_like(angle)
    cos, sin = angle.cos(), angle.sin()
    return torch.stack((cos, -sin, zero, sin, cos, zero, zero, zero, one), -1).unflatten(-1, (3, 3))


def _columns(rot6d: Tensor, order: Rot6dOrder) -> tuple[Tensor, Tensor]:
    _check_order(order)
    shape = (3, 2) if order == "rows" else (2, 3)
    return rot6d.unflatten(-1, shape).unbind(-1 if order == "rows" else -2)


def _check_order(order: str) -> None:
    if order not in ("columns", "rows"):
        raise ValueError(
            f"order of a 6D rotation is 'columns' (HaMeR, CS-ViT2) or 'rows' (SPIN), not {order!r}"
        )

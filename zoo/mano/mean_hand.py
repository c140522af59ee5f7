"""Where hands that a network corrects start from: the numbers of an average hand."""

from __future__ import annotations

from os import PathLike
from typing import Protocol

import torch
from torch import Tensor

from zoo.contracts import NUM_BETAS, NUM_ROTATIONS
from zoo.geometry.representation import REPRESENTATIONS
from zoo.mano.unpickler import BlockedPickle, read_npz

ROOTS = ("as_released", "corrected")
PARALLEL_ROOT = (1.0, 0.0, 0.0, -1.0, 0.0, 1.5e-7)  # two columns, the sine between them 1.5e-7
_FILE_ORDER = "rot6d_columns"  # how mano_mean_params.npz writes rotations


class HasMeanPose(Protocol):
    """What is asked of a hand model."""

    def mean_pose_rotmats(self) -> Tensor: ...  # (K, 3, 3) absolute


def mean_hand(
    hand: HasMeanPose | None,
    mean_params: str | PathLike[str] | None,
    representation: str,
    *,
    root: str = "corrected",
) -> tuple[Tensor, Tensor]:
    """Pose and shape of a mean hand as numbers a network reads.

    hand: gives the mean pose, with zero betas; upright and unbent when it is None.
    mean_params: npz with `pose` (96,) rot6d in columns and `shape` (10,), which is taken instead.
    root: "as_released" has the wrist of the public file, which is stored in the transposed layout:
        read as the fingers are, its two columns are parallel to within rounding, and Gram-Schmidt
        makes an arbitrary quarter turn of them. "corrected" has the hand's, or the given file's.
    returns: pose (16, width of the representation), betas (10,).
    Errors: ValueError for a file that holds something else, or another `root`.
    """
    if root not in ROOTS:
        raise ValueError(f"The mean hand's root is {' or '.join(map(repr, ROOTS))}, not {root!r}.")
    pose, betas = _mean_numbers(hand, mean_params, representation)
    if root == "as_released":
        numbers = pose.new_tensor(PARALLEL_ROOT)
        if representation != _FILE_ORDER:
            rotmat = REPRESENTATIONS[_FILE_ORDER].to_rotmat(numbers)
            numbers = REPRESENTATIONS[representation].from_rotmat(rotmat)
        pose = torch.cat((numbers[None], pose[1:]))
    return pose, betas


def _mean_numbers(
    hand: HasMeanPose | None, mean_params: str | PathLike[str] | None, representation: str
) -> tuple[Tensor, Tensor]:
    written = REPRESENTATIONS[representation]
    if mean_params is None:
        rotmats = torch.eye(3).expand(NUM_ROTATIONS, 3, 3)
        if hand is not None:
            rotmats = hand.mean_pose_rotmats().detach().float()
        return written.from_rotmat(rotmats), rotmats.new_zeros(NUM_BETAS)
    pose, betas = _read(mean_params)
    if representation != _FILE_ORDER:
        pose = written.from_rotmat(REPRESENTATIONS[_FILE_ORDER].to_rotmat(pose))
    return pose, betas


def _read(path: str | PathLike[str]) -> tuple[Tensor, Tensor]:
    try:
        file = read_npz(path)
    except BlockedPickle as error:
        raise ValueError(f"{path}: a pickle in it asks for {error}; nothing was run.") from error
    if missing := {"pose", "shape"} - set(file):
        raise ValueError(
            f"{path} is no file of mean hand parameters: {sorted(missing)} missing, found "
            f"{sorted(file)}; the mano_mean_params.npz of HaMeR and WiLoR holds pose and shape."
        )
    pose, betas = (torch.from_numpy(file[key]).float() for key in ("pose", "shape"))
    return pose.view(NUM_ROTATIONS, -1), betas.view(NUM_BETAS)

"""Poses and shapes without pictures, for a prior that learns what hands look like."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from zoo.contracts import NUM_BETAS, NUM_ROTATIONS
from zoo.geometry.rotation import rotvec_to_rotmat
from zoo.mano.procedural import PosePrior
from zoo.mano.unpickler import BlockedPickle, read_npz

_FINGER_JOINTS = NUM_ROTATIONS - 1
_FROM_PRIOR = 8192  # poses drawn where there is no file


class HandBatch(NamedTuple):
    """Hands as a discriminator sees them: without place, direction or picture."""

    rotmats: Tensor  # (B, 15, 3, 3) absolute
    betas: Tensor  # (B, 10)


class RealHands:
    """Poses and betas that hands were seen with, drawn in any number, any order again.

    rotvecs: (N, 45) rad, absolute axis-angle of the finger joints.
    betas: (N, 10).
    """

    def __init__(self, rotvecs: np.ndarray, betas: np.ndarray) -> None:
        self.rotvecs = torch.from_numpy(np.ascontiguousarray(rotvecs, np.float32))
        self.betas = torch.from_numpy(np.ascontiguousarray(betas, np.float32))

    def __len__(self) -> int:
        return len(self.betas)

    @classmethod
    def from_file(cls, file: str | PathLike[str]) -> Self:
        """The hands of an npz with `hand_pose` (N, 48 or 45) rad and `betas` (N, 10).

        Of 48 numbers the first three turn the whole hand and are left out, as HaMeR does with its
        freihand_mocap.npz.
        Errors: ValueError where the file is not there or holds something else.
        """
        path = Path(file).expanduser()
        if not path.is_file():
            raise ValueError(
                f"{path}: no such file of real poses; HaMeR's is freihand_mocap.npz. Set `poses` "
                "to an npz with hand_pose and betas, or to None for the poses of clayhand."
            )
        try:
            content = read_npz(path)
            arrays = {key: content[key] for key in ("hand_pose", "betas")}
        except BlockedPickle as error:
            raise ValueError(
                f"{path}: a pickle in it asks for {error}, which no pose needs; nothing was run."
            ) from error
        except (KeyError, ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(
                f"{path} is no readable npz with hand_pose (N, 48) and betas (N, 10): {error}"
            ) from error
        _check(path, arrays["hand_pose"], arrays["betas"])
        return cls(arrays["hand_pose"][:, -3 * _FINGER_JOINTS :], arrays["betas"])

    @classmethod
    def from_prior(cls, seed: int) -> Self:
        """Poses a person could hold, and shapes, of the hand that needs no licence."""
        rng = np.random.default_rng(seed)
        betas = rng.standard_normal((_FROM_PRIOR, NUM_BETAS)).clip(-2.5, 2.5)
        return cls(PosePrior.load().sample(_FROM_PRIOR, rng), betas)

    def draw(self, count: int, *, entropy: Sequence[int], device: torch.device) -> HandBatch:
        """So many hands; the same entropy draws the same ones."""
        rng = np.random.default_rng(np.random.SeedSequence(tuple(entropy)))
        chosen = torch.from_numpy(rng.integers(len(self), size=count))
        rotvecs = self.rotvecs[chosen].to(device).unflatten(-1, (_FINGER_JOINTS, 3))
        return HandBatch(rotvec_to_rotmat(rotvecs), self.betas[chosen].to(device))


def _check(path: Path, pose: np.ndarray, betas: np.ndarray) -> None:
    widths = (3 * _FINGER_JOINTS, 3 * NUM_ROTATIONS)
    fits = pose.dtype.kind in "fiu" and betas.dtype.kind in "fiu"
    fits = (
        fits
        and pose.ndim == betas.ndim == 2
        and pose.shape[1] in widths
        and betas.shape[1] == NUM_BETAS
    )
    if not fits or not 0 < len(pose) == len(betas):
        raise ValueError(
            f"{path}: hand_pose has shape {pose.shape} and betas {betas.shape}; wanted are (N, 48) "
            "or (N, 45) and (N, 10) of the same N."
        )
    if not (np.isfinite(pose).all() and np.isfinite(betas).all()):
        raise ValueError(f"{path}: hand_pose or betas holds numbers that are not finite.")

"""Where an error comes from: which alignment removes it, and which finger holds it."""

from __future__ import annotations

from torch import Tensor

from zoo.contracts import HandMesh, HandTarget
from zoo.geometry.alignment import align
from zoo.mano.topology import FINGERS
from zoo.metrics.joints import MM_PER_M, alignable, from_wrist, in_measured_camera, mean_error

FINGER_JOINTS = 4  # base to tip


class AlignedMPJPE:
    """Mean joint error after the allowed motions have brought the joints as close as they can.

    Every step of the staircase counts the same hands (measured camera, at least three labelled
    joints), so that their differences mean something.
    """

    def __init__(
        self, *, translate: bool = False, scale: bool = False, rotate: bool = False
    ) -> None:
        self.motions = {"translate": translate, "scale": scale, "rotate": rotate}
        allowed = [motion for motion, is_on in self.motions.items() if is_on]
        self.name = f"mpjpe_after_{'_'.join(allowed) or 'nothing'}_mm"
        self.similarity_invariant = len(allowed) == len(self.motions)

    def __call__(self, mesh: HandMesh, target: HandTarget) -> tuple[Tensor, Tensor]:
        valid = alignable(in_measured_camera(target.joints_valid, target))
        predicted, label = mesh.joints.double(), target.joints.double()
        aligned = align(predicted, label, valid.double(), **self.motions)
        return mean_error(aligned, label, valid, MM_PER_M)


class FingerMPJPE:
    """Mean joint error of one finger's four joints, relative to each hand's own wrist."""

    def __init__(self, *, finger: str) -> None:
        if finger not in FINGERS:
            known = ", ".join(map(repr, FINGERS))
            raise ValueError(f"FingerMPJPE.finger is {finger!r}; choose one of {known}.")
        first = 1 + FINGER_JOINTS * FINGERS.index(finger)
        self.joints = slice(first, first + FINGER_JOINTS)
        self.name = f"{finger}_mpjpe_mm"

    def __call__(self, mesh: HandMesh, target: HandTarget) -> tuple[Tensor, Tensor]:
        predicted, label, valid = (part[:, self.joints] for part in from_wrist(mesh, target))
        return mean_error(predicted, label, valid, MM_PER_M)


def staircase() -> dict[str, AlignedMPJPE]:
    """The five steps from the error as it stands to PA-MPJPE, by what they allow.

    The drop at "translation" is where the hand is, at "scale" how large or far it is, at
    "rotation" which way it turns; what "all" leaves is the pose of the fingers.
    """
    return {
        "nothing": AlignedMPJPE(),
        "translation": AlignedMPJPE(translate=True),
        "scale": AlignedMPJPE(translate=True, scale=True),
        "rotation": AlignedMPJPE(translate=True, rotate=True),
        "all": AlignedMPJPE(translate=True, scale=True, rotate=True),
    }


def fingers() -> dict[str, FingerMPJPE]:
    """One metric a finger, by its name."""
    return {finger: FingerMPJPE(finger=finger) for finger in FINGERS}

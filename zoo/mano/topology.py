"""Orders, parents, tips and mirrors of the hand, so that no other file spells an index."""

from __future__ import annotations

import torch
from torch import Tensor

FINGERS = ("thumb", "index", "middle", "ring", "pinky")

# MANO's order of rotations: little finger before ring, thumb last.
ROTATION_NAMES = (
    "wrist",
    *(
        f"{finger}{k}"
        for finger in ("index", "middle", "pinky", "ring", "thumb")
        for k in (1, 2, 3)
    ),
)
PARENTS = (-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 0, 10, 11, 0, 13, 14)

# OpenPose's order of joints: finger by finger from the thumb, base to tip.
JOINT_NAMES = ("wrist", *(f"{finger}{k}" for finger in FINGERS for k in (1, 2, 3, "_tip")))
# Row j of the 21 OpenPose joints is entry OPENPOSE_FROM_MANO[j] of (16 MANO joints, 5 tips).
OPENPOSE_FROM_MANO = (0, 13, 14, 15, 16, 1, 2, 3, 17, 4, 5, 6, 18, 10, 11, 12, 19, 7, 8, 9, 20)
# Where MANO's joint k stands among the 21.
MANO_FROM_OPENPOSE = tuple(OPENPOSE_FROM_MANO.index(k) for k in range(16))

# Vertex at each finger's tip, in the order of FINGERS. The field knows two lists, 1 to 3 mm apart,
# so a tip definition belongs to every reported number.
TIP_VERTICES = (744, 320, 443, 554, 671)
TIP_DEFINITIONS = {
    "vertices": TIP_VERTICES,  # smplx, HaMeR, WiLoR
    "manopth": (745, 317, 444, 556, 673),  # manopth, UTNet; CS-ViT2's regressor has 445 for 444
}

# (parent, child) of every bone in OpenPose's order, for drawing.
BONES = tuple((0 if k % 4 == 1 else k - 1, k) for k in range(1, 21))

MIDDLE_FINGER = (9, 10, 11, 12)


def mirror_points(points: Tensor) -> Tensor:
    """Points of the other hand: x changes sign.

    points: (..., 3) m, any frame whose x axis is the mirrored one.
    """
    return points * points.new_tensor((-1.0, 1.0, 1.0))


def mirror_rotvec(rotvec: Tensor) -> Tensor:
    """Axis-angle rotations of the other hand, every joint and the wrist alike.

    rotvec: (..., 3) rad.
    """
    return rotvec * rotvec.new_tensor((1.0, -1.0, -1.0))


def mirror_rotmats(rotmats: Tensor) -> Tensor:
    """Rotation matrices of the other hand: M R M with M = diag(-1, 1, 1).

    rotmats: (..., 3, 3).
    """
    sign = rotmats.new_tensor((-1.0, 1.0, 1.0))
    return rotmats * torch.outer(sign, sign)


def hand_scale(joints: Tensor) -> Tensor:
    """Length of the middle finger, the sum of its three bones (CS-ViT2's unit of distance).

    joints: (..., 21, 3) m, OpenPose order.
    returns: (...,) m, about 0.08 for an adult.
    """
    chain = joints[..., MIDDLE_FINGER, :]
    return (chain[..., 1:, :] - chain[..., :-1, :]).norm(dim=-1).sum(-1)

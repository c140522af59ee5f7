"""The hand as its own ruler, for heads that tell distances but cannot know a hand's size."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from zoo.contracts import HandMesh
from zoo.mano.topology import MIDDLE_FINGER, hand_scale

_HALF_SURE = 0.5  # a label less certain than that is no ruler (CS-ViT2)
_SHORTEST = 1e-4  # m; a hand this small has no usable length


def known_length(joints: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """The hand length of labelled joints, and whether the label holds all four joints it needs.

    joints: (B, 21, 3) m; values of invalid joints (NaN too) are never read.
    valid: (B, 21), above a half where a joint is known well enough to measure by.
    returns: (B,) m, 1 where it is not known; (B,) bool.
    """
    known = (valid[:, MIDDLE_FINGER] > _HALF_SURE).all(-1)
    length = hand_scale(torch.where(known[:, None, None], joints, torch.zeros_like(joints)))
    known = known & (length > _SHORTEST)
    return torch.where(known, length, torch.ones_like(length)), known


def at_length(mesh: HandMesh, position: Tensor, length: Tensor) -> HandMesh:
    """The mesh put where it would stand, had its distance been read with another hand length.

    For a head that says how many hand lengths away the wrist is: its own hand's length made that
    metres, and here `length` does. The surface itself keeps its size; `keypoints` stay as they are.

    position: (B, 3) m, camera, where that head placed the wrist.
    length: (B,) m.
    """
    own = hand_scale(mesh.joints).detach().clamp(min=_SHORTEST)
    shift = (position * (length / own - 1)[:, None])[:, None]
    return dataclasses.replace(mesh, vertices=mesh.vertices + shift, joints=mesh.joints + shift)

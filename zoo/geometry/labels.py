"""Labels that move without their picture, or stay behind it: what loaders do wrong or undo."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from zoo.contracts import HandTarget
from zoo.geometry.view import turn


def apart_after(step: Tensor, apart: Tensor | None, moves: str) -> Tensor | None:
    """What separates the labels from the picture after one more change of view.

    step: (B, 3, 3) of the change.
    apart: (B, 3, 3) what has separated them so far; None where nothing has.
    moves: "all", "picture" (joints and orientation stay) or "labels" (the picture stays).
    returns: (B, 3, 3) in the axes after the change, or None.

    Raises:
        ValueError: for another `moves`.
    """
    if moves not in ("all", "picture", "labels"):
        raise ValueError(f"an augmentation moves 'all', 'picture' or 'labels', not {moves!r}")
    if apart is None and moves == "all":
        return None
    so_far = torch.eye(3).to(step).expand_as(step) if apart is None else apart
    if moves == "labels":
        return step @ so_far
    back = torch.linalg.inv_ex(step).inverse
    return so_far @ back if moves == "picture" else step @ so_far @ back


def moved_alone(target: HandTarget, linear: Tensor) -> HandTarget:
    """The labels with joints, vertices and orientation moved; the keypoints stay on the picture.

    linear: (B, 3, 3) on camera-frame points.
    """
    moved = dataclasses.replace(
        target,
        joints=target.joints @ linear.mT,  # labels that are not valid are zeros and stay so
        rotmats=turn(target.rotmats, linear),
    )
    if target.vertices is None:
        return moved
    return dataclasses.replace(moved, vertices=target.vertices @ linear.mT)

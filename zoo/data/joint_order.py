"""Tells from many hands' joints alone in which order they are listed, and which hand it is."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from zoo.mano.topology import BONES, FINGERS, OPENPOSE_FROM_MANO

_CHAINS = np.arange(1, 21).reshape(5, 4)  # thumb, index, middle, ring, little; base to tip
_BASES = (5, 9, 13, 17)
_ADJACENT = (*itertools.pairwise(_BASES), (2, 5))  # knuckles side by side; thumb beside index
KNUCKLES = 4.0  # weight of the knuckle line, which alone tells one finger from another
_LAYOUTS = {  # rows that hold wrist and five chains, base to tip, in some order of fingers
    "wrist first, base to tip": (0, _CHAINS),
    "wrist first, tip to base": (0, _CHAINS[:, ::-1]),
    "wrist last, base to tip": (20, _CHAINS - 1),
    "wrist last, tip to base": (20, _CHAINS[:, ::-1] - 1),
}


def order_cost(distances: np.ndarray, order: np.ndarray) -> float:
    """Length of the skeleton drawn over joints gathered by `order`, and of its knuckle line.

    distances: (21, 21) mean distance between the joints as listed, any unit.
    """
    gathered = distances[np.ix_(order, order)]
    bones = sum(gathered[a, b] for a, b in BONES)
    return float(bones + KNUCKLES * sum(gathered[a, b] for a, b in _ADJACENT))


def orders() -> Iterator[tuple[str, np.ndarray]]:
    """Every order a hand may be listed in: a name, and the gather table to OpenPose's."""
    for layout, (wrist, chains) in _LAYOUTS.items():
        for fingers in itertools.permutations(range(5)):
            named = ", ".join(FINGERS[fingers.index(slot)] for slot in range(5))
            yield f"{layout}: {named}", np.r_[wrist, chains[list(fingers)].ravel()]
    yield "MANO's 16 joints, then 5 tips", np.array(OPENPOSE_FROM_MANO)


def best_order(distances: np.ndarray) -> tuple[str, np.ndarray, float]:
    """The order whose skeleton is shortest: name, gather table (21,), and its cost by identity's.

    distances: (21, 21) mean distance between the joints as listed, any unit.
    """
    name, order = min(orders(), key=lambda item: order_cost(distances, item[1]))
    return name, order, order_cost(distances, order) / order_cost(distances, np.arange(21))


def curl(joints: np.ndarray) -> float:
    """How far the four fingers bend as a right hand's do: positive right, negative left.

    The axis a finger bends about points to the thumb's side of a right hand and away from it on a
    left one. Near 0 for straight fingers, which tell nothing; 1 for four right angles at both
    finger joints.

    joints: (21, 3) any unit and frame whose axes are right-handed, OpenPose order.
    """
    towards_thumb = joints[5] - joints[17]
    towards_thumb = towards_thumb / max(np.linalg.norm(towards_thumb), 1e-12)
    bones = np.diff(joints[_CHAINS[1:]], axis=1)
    bones = bones / np.maximum(np.linalg.norm(bones, axis=-1, keepdims=True), 1e-12)
    axes = np.cross(bones[:, :-1], bones[:, 1:])
    return float((axes @ towards_thumb).mean())

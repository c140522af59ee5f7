"""Relaxes the cage onto the implicit skin: even triangles, exact surface, fixed connectivity."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from zoo.mano.procedural.anatomy import LONG_FINGERS, WRIST_EDGE
from zoo.mano.procedural.cage import NUM_PALM, NUM_VERTICES, Cage, Tube, build_cage
from zoo.mano.procedural.surface import gradient, hand_sdf, project
from zoo.mano.procedural.triangles import adjacency, check_disc, flip_edges

ROUNDS = (60, 60, 40)  # smoothing steps between edge flips


@dataclass(frozen=True)
class RestMesh:
    """The rest hand in mm, wrist joint at zero."""

    points: np.ndarray  # (778, 3)
    faces: np.ndarray  # (1538, 3)
    tubes: dict[str, Tube]


def rest_mesh() -> RestMesh:
    """The hand of the rest pose, every vertex on the implicit skin."""
    cage = build_cage()
    check_disc(cage.faces, NUM_VERTICES)
    moving, stiffness = _moving(cage)
    points = cage.points.copy()
    points[moving] = project(points[moving])
    palm = np.arange(NUM_VERTICES) < NUM_PALM
    for steps in ROUNDS:
        _smooth(points, cage, moving, stiffness, steps)
        cage = replace(cage, faces=flip_edges(points, cage.faces, palm))
    points[moving] = project(points[moving], steps=4)
    points[cage.wrist_row, 0] = -WRIST_EDGE
    poles = [tube.pole for tube in cage.tubes.values()]
    rings = np.setdiff1d(np.arange(NUM_PALM, NUM_VERTICES), poles)
    points[rings] = project(points[rings], steps=3)
    check_disc(cage.faces, NUM_VERTICES)
    return RestMesh(points, cage.faces, cage.tubes)


def _moving(cage: Cage) -> tuple[np.ndarray, np.ndarray]:
    """Vertices that slide along the skin, and how freely: the palm and the start of each tube."""
    first = np.concatenate([tube.rings[0] for tube in cage.tubes.values()])
    second = np.array(cage.tubes["thumb"].rings[1])
    stiffness = np.ones(NUM_VERTICES)
    stiffness[first], stiffness[second] = 0.25, 0.12
    for name in LONG_FINGERS:
        stiffness[cage.tubes[name].base] = 0.45
    moving = np.unique(np.concatenate((np.arange(NUM_PALM), first, second)))
    return moving, stiffness[moving, None]


def _smooth(points, cage: Cage, moving, stiffness, steps: int) -> None:
    """Tangential Laplacian steps, each followed by a Newton step back onto the skin; in place."""
    rows = adjacency(cage.faces, NUM_VERTICES)[moving]
    valence = np.asarray(rows.sum(1))
    for _ in range(steps):
        here = points[moving]
        slope = gradient(hand_sdf, here)
        steepness = np.maximum((slope**2).sum(1, keepdims=True), 0.2)
        pull = rows @ points / valence - here
        pull -= (pull * slope).sum(1, keepdims=True) * slope / steepness
        here = here + 0.5 * stiffness * pull
        back = np.clip(hand_sdf(here)[:, None] / steepness, -4, 4)
        points[moving] = here - back * slope
        points[cage.wrist_row, 0] = -WRIST_EDGE

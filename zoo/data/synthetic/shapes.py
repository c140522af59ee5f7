"""Closed shapes with outward faces, for things that hands hold or hide behind."""

from __future__ import annotations

import numpy as np

Shape = tuple[np.ndarray, np.ndarray]  # vertices (V, 3) m, faces (F, 3) int64

_SIDES = 18


def ball(radii: np.ndarray) -> Shape:
    """An ellipsoid around the origin with its poles on z."""
    angles = np.linspace(0, np.pi, 9)
    vertices, faces = turned(np.stack([np.sin(angles), -np.cos(angles)], 1))
    return vertices * radii, faces


def tube(radius: float, length: float, taper: float) -> Shape:
    """A closed cylinder along z with rounded rims; `taper` is one end's radius over the other's."""
    half, rim = length / 2, 0.12 * radius
    profile = [(0, -half), (radius - rim, -half), (radius, -half + rim)]
    profile += [(radius * taper, half - rim), (radius * taper - rim, half), (0, half)]
    return turned(np.array(profile))


def bottle(radius: float, length: float) -> Shape:
    """A body, a shoulder, a neck and a cap along z."""
    parts = [(0, 0), (0.95, 0), (1, 0.02), (1, 0.6), (0.85, 0.7), (0.35, 0.82), (0.33, 0.9)]
    parts += [(0.4, 0.9), (0.4, 1), (0, 1)]
    return turned((np.array(parts) - [0, 0.5]) * [radius, length])


def block(sides: np.ndarray) -> Shape:
    """A box around the origin whose faces share no vertices, so that its edges stay sharp."""
    vertices, faces = [], []
    for axis in range(3):
        for sign in (-1.0, 1.0):
            across, along = np.roll(np.eye(3), -axis, 0)[1:] * sides / 2
            outward = sign * np.eye(3)[axis] * sides / 2
            corners = [-across - along, across - along, across + along, along - across]
            first = len(vertices)
            vertices += [outward + corner for corner in corners[:: int(sign)]]
            faces += [[first, first + 1, first + 2], [first, first + 2, first + 3]]
    return np.array(vertices), np.array(faces)


def turned(profile: np.ndarray) -> Shape:
    """A surface of revolution about z.

    profile: (N, 2) radius and z in metres, bottom to top, zero radius at both ends.
    """
    angle = 2 * np.pi * np.arange(_SIDES) / _SIDES
    ring = np.stack([np.cos(angle), np.sin(angle)], 1)
    vertices = np.concatenate([np.column_stack([r * ring, np.full(_SIDES, z)]) for r, z in profile])
    near = np.arange(_SIDES * (len(profile) - 1))
    after = near - near % _SIDES + (near + 1) % _SIDES
    faces = np.concatenate(
        [
            np.stack([near, after, after + _SIDES], 1),
            np.stack([near, after + _SIDES, near + _SIDES], 1),
        ]
    )
    return vertices, faces

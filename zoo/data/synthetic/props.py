"""Things beside a hand: what it holds, what hides a part of it, and another hand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation


@dataclass(frozen=True)
class Prop:
    """A plain-coloured shape; vertices are moved with the scene, faces are outward."""

    vertices: np.ndarray  # (V, 3) m
    faces: np.ndarray  # (F, 3) int64
    colour: np.ndarray  # (3,) linear RGB


def sphere(radii: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """An ellipsoid around the origin with its poles on z."""
    angles = np.linspace(0, np.pi, 9)
    profile = np.stack([np.sin(angles), -np.cos(angles)], 1)
    vertices, faces = _turned(profile, 14)
    return vertices * radii, faces


def cylinder(radius: float, length: float, taper: float) -> tuple[np.ndarray, np.ndarray]:
    """A closed, slightly rounded cylinder along z; `taper` is one end's radius over the other's."""
    half, r = length / 2, radius
    edge = 0.12 * radius
    profile = [(0, -half), (r - edge, -half), (r, -half + edge)]
    profile += [(r * taper, half - edge), (r * taper - edge, half), (0, half)]
    return _turned(np.array(profile), 20)


def box(sides: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A box around the origin whose faces share no vertices, so that its edges stay sharp."""
    vertices, faces = [], []
    for axis in range(3):
        for sign in (-1.0, 1.0):
            u, v = np.roll(np.eye(3), -axis, 0)[1:] * sides / 2
            w = sign * np.eye(3)[axis] * sides / 2
            corners = [w - u - v, w + u - v, w + u + v, w - u + v]
            first = len(vertices)
            vertices += corners if sign > 0 else corners[::-1]
            faces += [[first, first + 1, first + 2], [first, first + 2, first + 3]]
    return np.array(vertices), np.array(faces)


def _turned(profile: np.ndarray, sides: int) -> tuple[np.ndarray, np.ndarray]:
    """A surface of revolution about z from (radius, z) points, bottom to top."""
    angle = 2 * np.pi * np.arange(sides) / sides
    ring = np.stack([np.cos(angle), np.sin(angle), np.zeros(sides)], 1)
    vertices = np.concatenate([r * ring + [0, 0, z] for r, z in profile])
    faces = []
    for k in range(len(profile) - 1):
        near = k * sides + np.arange(sides)
        after = k * sides + (np.arange(sides) + 1) % sides
        faces += [np.stack([near, after, after + sides], 1)]
        faces += [np.stack([near, after + sides, near + sides], 1)]
    return vertices, np.concatenate(faces).astype(np.int64)


def draw_props(rng: np.random.Generator, joints: np.ndarray, orient: np.ndarray) -> list[Prop]:
    """Shapes for one scene, where the first frame's hand is.

    joints: (21, 3) m, camera.  orient: (3, 3) wrist to camera.
    """
    props = []
    if rng.random() < 0.3:
        props.append(_held(rng, joints, orient))
    if rng.random() < 0.25:
        props.append(_in_front(rng, joints))
    return props


def _shape(rng: np.random.Generator, scale: float) -> tuple[np.ndarray, np.ndarray]:
    kind = rng.random()
    if kind < 0.45:
        radius = scale * rng.uniform(0.4, 1.0)
        return cylinder(radius, radius * rng.uniform(3, 8), rng.uniform(0.7, 1))
    if kind < 0.75:
        return box(scale * rng.uniform(0.4, 2.5, 3))
    return sphere(scale * rng.uniform(0.7, 1.3, 3))


def _held(rng: np.random.Generator, joints: np.ndarray, orient: np.ndarray) -> Prop:
    """Something in the palm, its long side across the fingers."""
    knuckles, tips = joints[[5, 9, 13, 17]].mean(0), joints[[8, 12, 16, 20]].mean(0)
    palm = -orient[:, 1]
    gap = np.linalg.norm(tips - knuckles)
    radius = np.clip(0.35 * gap, 0.008, 0.032) * rng.uniform(0.7, 1.1)
    vertices, faces = _shape(rng, radius)
    turn = orient @ Rotation.from_rotvec(rng.normal(0, 0.25, 3)).as_matrix()
    centre = 0.5 * (knuckles + tips) + palm * (0.012 + radius)
    return Prop(vertices @ turn.T + centre, faces, rng.random(3) ** 1.8)


def _in_front(rng: np.random.Generator, joints: np.ndarray) -> Prop:
    """Something nearer than the hand that hides part of it from one side."""
    rays = joints[:, :2] / joints[:, 2:]
    low, high = rays.min(0), rays.max(0)
    depth = joints[:, 2].min() * rng.uniform(0.6, 0.9)
    scale = (high - low).max() * depth * rng.uniform(0.12, 0.3)
    side = Rotation.from_rotvec([0, 0, rng.uniform(0, 2 * np.pi)]).as_matrix()[:2, 0]
    ray = (low + high) / 2 + side * (high - low) * rng.uniform(0.35, 0.6)
    vertices, faces = _shape(rng, scale)
    turn = Rotation.from_quat(rng.standard_normal(4)).as_matrix()
    return Prop(vertices @ turn.T + depth * np.append(ray, 1), faces, rng.random(3) ** 1.8)

"""Things beside a hand: what it holds, what hides a part of it, and another hand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from zoo.data.synthetic.appearance import Look
from zoo.data.synthetic.backgrounds import thing_colour
from zoo.data.synthetic.body import THING, Body, Mesh
from zoo.data.synthetic.hand import PosableHand
from zoo.data.synthetic.scene import Scene
from zoo.data.synthetic.shapes import Shape, ball, block, bottle, tube
from zoo.mano.procedural import PosePrior

HELD, IN_FRONT, SECOND_HAND = 0.3, 0.2, 0.12  # how often
_ROWS_A_PROP = 8
_FIRST_ROW = 32  # the clip's rows before it belong to the sleeve


@dataclass(frozen=True)
class Prop:
    """A mesh in the first frame's camera; `held` moves with the wrist."""

    mesh: Mesh
    held: bool = False

    def at(self, scene: Scene, frame: int) -> Mesh:
        """The mesh where it is in one frame."""
        if not self.held or frame == 0:
            return self.mesh
        turn = scene.orient[frame] @ scene.orient[0].T
        return self.mesh.moved(turn, scene.joints[frame, 0] - turn @ scene.joints[0, 0])


def draw_props(
    rng: np.random.Generator,
    scene: Scene,
    look: Look,
    body: Body,
    hand: PosableHand,
    prior: PosePrior,
) -> list[Prop]:
    """What else is in the picture; paints the texels it needs."""
    props = []
    if rng.random() < HELD:
        props.append(Prop(_thing(rng, body, 0, *_held(rng, scene)), held=True))
    if rng.random() < IN_FRONT:
        props.append(Prop(_thing(rng, body, 1, *_in_front(rng, scene.joints[0]))))
    if rng.random() < SECOND_HAND:
        props.append(Prop(_second_hand(rng, scene, look, body, hand, prior)))
    return props


def _thing(
    rng: np.random.Generator, body: Body, number: int, vertices: np.ndarray, faces: np.ndarray
) -> Mesh:
    """A shape painted in one or two colours, a face at a time."""
    first = _FIRST_ROW + number * _ROWS_A_PROP
    colours = np.stack([thing_colour(rng), thing_colour(rng)])
    tone = np.arange(_ROWS_A_PROP) % 2 if rng.random() < 0.3 else np.zeros(_ROWS_A_PROP, int)
    texels = np.full((_ROWS_A_PROP, 45, 4), rng.uniform(0, 0.6), np.float32)
    mottle = 1 + rng.uniform(0, 0.12) * rng.standard_normal((_ROWS_A_PROP, 45, 1))
    texels[..., :3] = (colours[tone][:, None] * mottle).clip(0, 1)
    body.paint(first, texels)
    band = np.arange(len(faces)) // int(rng.choice([1, 2, 18, 36]))
    rows = body.first_clip_row + first + band % _ROWS_A_PROP
    return Mesh(vertices, faces, rows, np.full(len(faces), THING, np.int8))


def _shape(rng: np.random.Generator, radius: float) -> Shape:
    kind = rng.random()
    if kind < 0.3:
        return tube(radius, radius * rng.uniform(3, 9), rng.uniform(0.75, 1))
    if kind < 0.5:
        return bottle(radius, radius * rng.uniform(5, 8))
    if kind < 0.6:
        return tube(rng.uniform(0.004, 0.007), rng.uniform(0.1, 0.18), rng.uniform(0.4, 1))
    if kind < 0.85:
        return block(radius * rng.uniform([0.3, 1.2, 2], [1.5, 2.5, 5]))
    return ball(radius * rng.uniform(0.9, 1.3, 3))


def _held(rng: np.random.Generator, scene: Scene) -> Shape:
    """Something in the palm, its long side across the fingers."""
    joints, orient = scene.joints[0], scene.orient[0]
    knuckles, tips = joints[[5, 9, 13, 17]].mean(0), joints[[8, 12, 16, 20]].mean(0)
    gap = np.linalg.norm(tips - knuckles)
    radius = float(np.clip(0.35 * gap, 0.008, 0.032) * rng.uniform(0.7, 1.1))
    vertices, faces = _shape(rng, radius)
    turn = orient @ Rotation.from_rotvec(rng.normal(0, 0.25, 3)).as_matrix()
    thickness = np.abs(vertices[:, 1]).max()
    centre = 0.5 * (knuckles + tips) - orient[:, 1] * (0.011 + 0.9 * thickness)
    centre = centre + orient[:, 2] * rng.normal(0, 0.015)
    return vertices @ turn.T + centre, faces


def _in_front(rng: np.random.Generator, joints: np.ndarray) -> Shape:
    """Something nearer than the hand that hides part of it from one side."""
    rays = joints[:, :2] / joints[:, 2:]
    low, high = rays.min(0), rays.max(0)
    depth = joints[:, 2].min() * rng.uniform(0.6, 0.9)
    radius = (high - low).max() * depth * rng.uniform(0.10, 0.25)
    angle = rng.uniform(0, 2 * np.pi)
    side = np.array([np.cos(angle), np.sin(angle)])
    ray = (low + high) / 2 + side * (high - low) * rng.uniform(0.4, 0.65)
    vertices, faces = _shape(rng, float(radius))
    turn = Rotation.from_quat(rng.standard_normal(4)).as_matrix()
    return vertices @ turn.T + depth * np.append(ray, 1), faces


def _second_hand(
    rng: np.random.Generator,
    scene: Scene,
    look: Look,
    body: Body,
    hand: PosableHand,
    prior: PosePrior,
) -> Mesh:
    """The same person's other hand beside the first, seldom over it."""
    turns = Rotation.from_rotvec(
        np.concatenate([rng.normal(0, 1.5, 3), prior.sample(1, rng)[0]]).reshape(16, 3)
    ).as_matrix()
    vertices, joints = hand.pose(turns, scene.betas)
    mesh = body.arm(vertices, turns[0], look.bend, look.sleeve, mirrored=True)
    own = (joints.min(0) + joints.max(0)) / 2 * [-1, 1, 1]
    first = scene.joints[0]
    centre = (first.min(0) + first.max(0)) / 2
    angle, away = rng.uniform(0, 2 * np.pi), rng.uniform(0.11, 0.2)
    offset = np.array([away * np.cos(angle), away * np.sin(angle), rng.normal(0, 0.03)])
    return mesh.moved(np.eye(3), centre + offset - own)

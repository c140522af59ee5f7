from __future__ import annotations

import dataclasses

import pytest
import torch

from zoo.contracts import HandMesh, HandTarget
from zoo.geometry.camera import project

HANDS, VERTICES = 5, 60
INTRINSICS = torch.tensor([[300.0, 0, 112], [0, 310, 110], [0, 0, 1]])


def some_mesh(seed: int) -> HandMesh:
    rng = torch.Generator().manual_seed(seed)
    place = torch.tensor([0.02, -0.01, 0.6])
    joints = torch.randn(HANDS, 21, 3, generator=rng) * 0.04 + place
    vertices = torch.randn(HANDS, VERTICES, 3, generator=rng) * 0.04 + place
    return HandMesh(vertices, joints, project(joints, INTRINSICS.expand(HANDS, 3, 3)))


def target_of(mesh: HandMesh) -> HandTarget:
    """A label for every field that the mesh shows."""
    hands = len(mesh.joints)
    return HandTarget(
        rotmats=torch.eye(3).expand(hands, 16, 3, 3),
        betas=torch.zeros(hands, 10),
        has_mano=torch.ones(hands),
        joints=mesh.joints,
        joints_valid=torch.ones(hands, 21),
        keypoints=mesh.keypoints,
        keypoints_valid=torch.ones(hands, 21),
        has_intrinsics=torch.ones(hands),
        vertices=mesh.vertices,
        vertices_valid=torch.ones(hands),
    )


@pytest.fixture
def mesh():
    return some_mesh(0)


@pytest.fixture
def other_mesh():
    return some_mesh(1)


@pytest.fixture
def label_of():
    return target_of


@pytest.fixture
def without():
    """Labels of some hands marked as missing, whatever they hold set to `filling`."""

    def unlabel(target: HandTarget, missing: list[int], filling: float = 0.0) -> HandTarget:
        changes = {}
        for field in dataclasses.fields(target):
            value = getattr(target, field.name).clone()
            is_validity = "valid" in field.name or field.name.startswith("has_")
            value[missing] = 0.0 if is_validity else filling
            changes[field.name] = value
        return dataclasses.replace(target, **changes)

    return unlabel


@pytest.fixture
def moved():
    """A mesh after a similarity of space: rotation about its wrists' origin, scale, translation."""

    def move(
        mesh: HandMesh,
        *,
        rotation: torch.Tensor | None = None,
        scale: float = 1.0,
        translation: tuple[float, float, float] = (0.0, 0.0, 0.0),
    ) -> HandMesh:
        turn = torch.eye(3) if rotation is None else rotation

        def carry(points: torch.Tensor) -> torch.Tensor:
            return scale * points @ turn.mT + torch.tensor(translation)

        return dataclasses.replace(mesh, joints=carry(mesh.joints), vertices=carry(mesh.vertices))

    return move

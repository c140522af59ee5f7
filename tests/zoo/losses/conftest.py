from __future__ import annotations

import dataclasses

import pytest
import torch

from zoo.contracts import CameraPose, HandMesh, HandTarget, Prediction
from zoo.geometry.camera import project
from zoo.geometry.rotation import rotvec_to_rotmat

HANDS, VERTICES, BINS = 4, 30, 24
INTRINSICS = torch.tensor([[300.0, 0, 112], [0, 310, 110], [0, 0, 1]])


def some_hands(seed: int, grad: bool = False) -> tuple[Prediction, HandMesh]:
    """A prediction whose outputs are leaves of the graph, and its mesh."""
    rng = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=rng)

    offset = torch.tensor([0.02, -0.01, 0.6])
    joints = normal(HANDS, 21, 3) * 0.04 + offset
    vertices = normal(HANDS, VERTICES, 3) * 0.04 + offset
    rotmats = rotvec_to_rotmat(normal(HANDS, 16, 3) * 0.5).clone()
    betas = normal(HANDS, 10)
    aux = {}
    for axis, center in zip("xyz", offset.tolist(), strict=True):
        aux[f"log_heatmap_{axis}"] = normal(HANDS, BINS).log_softmax(-1)
        grid = torch.linspace(center - 0.3, center + 0.3, BINS)
        aux[f"heatmap_centers_{axis}"] = grid.expand(HANDS, BINS)
        aux[f"heatmap_lengths_{axis}"] = torch.linspace(-8, 12, BINS).expand(HANDS, BINS)
    aux |= more_readings(normal)
    if grad:
        heatmaps = [value for name, value in aux.items() if name.startswith("log")]
        read = [aux[name] for name in ("wrist_in_hands", "depth_logits", "depth_residuals")]
        for leaf in (joints, vertices, rotmats, betas, aux["pose_rotvec"], *heatmaps, *read):
            leaf.requires_grad_()
    intrinsics = INTRINSICS.expand(HANDS, 3, 3)
    camera = CameraPose(joints[:, 0], "wrist", intrinsics)
    mesh = HandMesh(vertices, joints, project(joints, intrinsics))
    return Prediction(rotmats, betas, camera, aux), mesh


def more_readings(normal) -> dict[str, torch.Tensor]:
    """What cameras with bins, with a crop's heat map or in hand lengths tell."""
    return {
        "wrist_in_hands": normal(HANDS, 3) + torch.tensor([0.0, 0.0, 7.0]),
        "pose_rotvec": normal(HANDS, 16, 3) * 0.5,
        "depth_logits": normal(HANDS, 8),
        "depth_residuals": normal(HANDS, 8) * 0.3,
        "depth_log_prior": torch.full((HANDS,), 0.55).log(),
        "depth_bin_centers": torch.linspace(-0.64, 0.65, 8).expand(HANDS, 8),
        "depth_box_edge": torch.full((HANDS,), 60.0),
        "log_heatmap_crop": normal(HANDS, 12 * 10).log_softmax(-1).unflatten(-1, (12, 10)),
        "heatmap_columns": torch.linspace(0, 224, 10).expand(HANDS, 10),
        "heatmap_rows": torch.linspace(0, 224, 12).expand(HANDS, 12),
    }


def some_target(seed: int) -> HandTarget:
    """A full set of valid labels."""
    said, mesh = some_hands(seed)
    one = torch.ones(HANDS)
    return HandTarget(
        rotmats=said.rotmats,
        betas=said.betas,
        has_mano=one,
        joints=mesh.joints,
        joints_valid=torch.ones(HANDS, 21),
        keypoints=mesh.keypoints,
        keypoints_valid=torch.ones(HANDS, 21),
        has_intrinsics=one,
        vertices=mesh.vertices,
        vertices_valid=one,
    )


@pytest.fixture
def hands():
    return some_hands


@pytest.fixture
def labels():
    return some_target


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

"""Every head and camera that ships can be held by a graph of any number of hands."""

from __future__ import annotations

import pytest
import torch

from registry.catalog import cameras
from registry.config import load
from registry.whole import build_model
from zoo.app.export.graph import OUTPUTS, HandGraph, as_tensors, trace
from zoo.contracts import CropView

HANDS = 3
DIM = 8


def crops(height: int, width: int) -> CropView:
    """Crops of noise, their boxes well inside."""
    rng = torch.Generator().manual_seed(0)
    camera = torch.tensor([[200.0, 0, width / 2], [0, 200.0, height / 2], [0, 0, 1]])
    corner = torch.rand(HANDS, 2, generator=rng) * 10 + 5
    return CropView(
        images=torch.rand(HANDS, 3, height, width, generator=rng),
        intrinsics=camera.repeat(HANDS, 1, 1),
        hand_box=torch.cat((corner, corner + 40), dim=-1),
        frame_from_crop=torch.eye(3).repeat(HANDS, 1, 1),
        is_left=torch.zeros(HANDS, dtype=torch.bool),
    )


def first(view: CropView, count: int) -> dict[str, torch.Tensor]:
    return as_tensors(view.map(lambda tensor: tensor[:count].clone()))


@pytest.mark.parametrize("config", [pytest.param("wilor", marks=pytest.mark.slow), "utnet"])
@torch.no_grad()
def test_heads_that_refine_their_own_mesh_are_traced_for_any_number_of_hands(config):
    model = build_model(load(config, ["model.backbone.depth=1"], size="tiny")).eval()
    model.precision = "fp32"
    tree = model.hand.skinning.parents
    view = crops(*model.backbone.image_size)
    graph, program = HandGraph(model), trace(model, view).module()
    assert model.hand.skinning.parents is tree, "the model is as it was"
    for count in (1, HANDS):
        wanted, said = graph(**first(view, count)), program(**first(view, count))
        for name in OUTPUTS:
            torch.testing.assert_close(said[name], wanted[name], rtol=1e-4, atol=1e-4)


class _Placed(torch.nn.Module):
    def __init__(self, camera: torch.nn.Module) -> None:
        super().__init__()
        self.camera = camera

    def forward(self, token: torch.Tensor, intrinsics: torch.Tensor, box: torch.Tensor):
        blank = token.new_zeros(token.shape[0], 3, 64, 64)
        eye, left = torch.eye(3).expand(token.shape[0], 3, 3), token[:, 0] > 0
        reading = self.camera(token, None, CropView(blank, intrinsics, box, eye, left))
        return reading.pose.position


@pytest.mark.parametrize("name", cameras.names())
@torch.no_grad()
def test_cameras_are_traced_for_any_number_of_hands(name):
    camera = _Placed(cameras.get(name)(dim=DIM).eval())
    view = crops(64, 64)
    token = torch.randn(HANDS, DIM, generator=torch.Generator().manual_seed(1))
    batch = ({0: torch.export.Dim("batch", min=1)},) * 3
    given = (token[:2], view.intrinsics[:2], view.hand_box[:2])
    program = torch.export.export(camera, given, dynamic_shapes=batch).module()
    for count in (1, HANDS):
        said = program(token[:count], view.intrinsics[:count], view.hand_box[:count])
        wanted = camera(token[:count], view.intrinsics[:count], view.hand_box[:count])
        torch.testing.assert_close(said, wanted)

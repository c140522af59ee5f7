"""Heads that refine a coarse hand look where the hand is, whatever backbone they stand on."""

from __future__ import annotations

import pytest
import torch

from registry.build import build_model_parts
from registry.config import load
from registry.whole import build_model
from zoo.app.parts.example_hands import posed_hands
from zoo.contracts import CropView
from zoo.geometry.camera import project
from zoo.heads.cameras.utnet import UTNetCamera
from zoo.heads.cameras.weak_perspective import WeakPerspectiveCamera
from zoo.heads.mesh_graph import MeshGraph
from zoo.heads.vertex_sampling import cells_of_picture, sample, share_inside

CONFIGS = ("wilor", "utnet")


def blank(images: torch.Tensor) -> CropView:
    eye = torch.eye(3).expand(len(images), 3, 3)
    box = torch.zeros(len(images), 4)
    return CropView(images, eye, box, eye, box[:, 0] > 0)


@pytest.fixture(scope="module", params=CONFIGS)
def model(request):
    torch.manual_seed(0)
    return build_model(load(request.param, size="tiny")).eval()


@pytest.fixture(scope="module")
def view(model) -> CropView:
    batch = posed_hands(model.hand, 3, seed=0)
    return model.data_preprocessor(batch, False)["inputs"]


@torch.no_grad()
def test_an_untrained_head_starts_on_the_maps_at_the_mean_hand(model, view):
    tokens = model.backbone(view.images)
    numbers, features = model.head.coarse(tokens)
    pose, betas, camera = numbers.split(model.head.coarse.widths, dim=-1)
    rotmats = model.head.representation.to_rotmat(pose.unflatten(-1, (16, -1)))
    mean = model.hand.mean_pose_rotmats()
    torch.testing.assert_close(rotmats, mean.expand(3, -1, -1, -1), atol=0.2, rtol=0)
    vertices, _ = model.hand(rotmats, betas)
    maps = getattr(model.head, "deconv", None) or model.head.upsampler
    for level in maps(features):
        cells = model.head.cells(vertices, camera, level)
        assert share_inside(cells, level.shape[-2:]) > 0.7


def test_the_coarse_camera_is_told_by_what_the_maps_show(model, view):
    tokens = model.backbone(view.images).detach()
    prediction = model.head.read(model.head.query(tokens, view), view)
    prediction.rotmats.square().sum().backward()
    gradient = model.head.coarse.deccam.weight.grad
    assert gradient is not None
    assert gradient.abs().sum() > 0


def test_a_map_is_read_where_the_camera_sees_the_vertex():
    vertices = torch.rand(2, 50, 3, generator=torch.Generator().manual_seed(0)) * 0.1 - 0.05
    values = torch.tensor([[4.0, 0.01, -0.02], [6.0, 0.0, 0.03]])
    camera = WeakPerspectiveCamera(dim=1)
    torch.nn.init.zeros_(camera.linear.weight)
    torch.nn.init.zeros_(camera.linear.bias)
    images = torch.zeros(2, 3, 256, 256)
    view = blank(images)
    place = camera(torch.zeros(2, 1), values, view).pose
    pixels = project(vertices + place.position[:, None], place.intrinsics)
    # Every pixel of the crop's middle 192 columns holds its own place.
    rows, columns = torch.meshgrid(torch.arange(256.0), torch.arange(32.0, 224.0), indexing="ij")
    own = torch.stack((columns, rows)).expand(2, 2, 256, 192)
    cells = cells_of_picture(
        vertices, values, map_size=(256, 192), crop_size=(256, 256), token_grid=(16, 12)
    )
    torch.testing.assert_close(sample(own, cells).mT, pixels, atol=1e-2, rtol=0)


@pytest.mark.parametrize("head", ["vertex_refiner", "graph_refiner"])
def test_a_backbone_without_hand_tokens_gets_them_from_a_decoder_layer(head):
    config = load("hamer", size="tiny")
    config["model"]["losses"] = {}
    config["model"]["head"] = {"type": head, "camera": config["model"]["head"]["camera"]}
    config["model"]["head"] |= {"vertex_refiner": {"query_dim": 28}}.get(head, {"channels": 8})
    built = build_model_parts(config).head
    assert built.coarse.looks is not None
    tokens = torch.randn(2, 48, 192, generator=torch.Generator().manual_seed(0))
    numbers, features = built.coarse(tokens)
    assert numbers.shape[-1] == sum(built.coarse.widths)
    assert features.shape[-2:] == (8, 6)
    assert numbers[0].ne(numbers[1]).any()


def test_of_several_layers_the_last_is_the_map():
    config = load("hamer", size="tiny")
    config["model"]["losses"] = {}
    config["model"]["head"] = {"type": "graph_refiner", "camera": {"type": "weak_perspective"}}
    config["model"]["head"]["channels"] = 8
    coarse = build_model_parts(config).head.coarse
    levels = torch.randn(2, 3, 48, 192, generator=torch.Generator().manual_seed(0))
    _, features = coarse(levels.flatten(1, 2))
    _, alone = coarse(levels[:, -1])
    torch.testing.assert_close(features, alone)


def test_a_vertex_hears_its_neighbours_and_not_itself():
    faces = torch.tensor([[0, 1, 2], [1, 2, 3]])
    for self_loops in (False, True):
        graph = MeshGraph(faces=faces, widths=(1, 1), self_loops=self_loops)
        torch.nn.init.ones_(graph.layers[0].weight)
        torch.nn.init.zeros_(graph.layers[0].bias)
        only_first = torch.tensor([[[1.0], [0.0], [0.0], [0.0]]])
        heard = graph(only_first)[0, :, 0].detach()
        assert (heard[0] > 0) == self_loops
        assert heard[1] > 0
        assert heard[2] > 0
        assert heard[3] == 0


def test_utnets_camera_keeps_the_estimate_unless_it_refines():
    view = blank(torch.zeros(2, 3, 64, 64))
    estimate = torch.tensor([[4.0, 0.1, 0.0], [5.0, 0.0, 0.1]])
    token = torch.randn(2, 8, generator=torch.Generator().manual_seed(0))
    kept = UTNetCamera(dim=8)
    assert not list(kept.parameters())
    assert torch.equal(kept(token, estimate, view).values, estimate)
    assert not torch.equal(UTNetCamera(dim=8, refine=True)(token, estimate, view).values, estimate)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("wilor", "model.head.sampling=everywhere"),
        ("wilor", "model.head.query_dim=100"),
        ("utnet", "model.backbone.grid=guessed"),
        ("utnet", "model.head.camera.projection=twice"),
        ("utnet", "model.backbone.mean_root=file"),
    ],
)
def test_a_wrong_choice_is_refused_with_the_possible_ones(name, change):
    with pytest.raises(ValueError, match=r"can be|multiple of 7|is '|choose|as_released"):
        build_model_parts(load(name, [change], size="tiny"))


def test_each_mistake_of_utnet_is_one_argument():
    released, corrected = load("utnet_as_released"), load("utnet")
    head, camera = released["model"]["head"], released["model"]["head"]["camera"]
    switched = {key for key, value in head.items() if value == "as_released"}
    assert switched == {"sampling", "rotations", "mean_root"}
    assert {key for key, value in camera.items() if value == "as_released"} == {
        "projection",
        "width",
    }
    assert "as_released" not in str(corrected)

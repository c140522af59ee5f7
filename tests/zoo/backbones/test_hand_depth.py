"""UTNet reads depth where a hand has it, about a middle that it measures itself."""

from __future__ import annotations

import pytest
import torch

from zoo.backbones.hand_depth import in_cube
from zoo.backbones.utnet import UTNetViT
from zoo.contracts import CropView
from zoo.mano import procedural
from zoo.mano.layer import ManoLayer

SIZE = 64
BOX = torch.tensor([[16.0, 16.0, 48.0, 48.0]])


@pytest.fixture(scope="module")
def backbone():
    torch.manual_seed(0)
    sizes = {"image_size": (SIZE, SIZE), "dim": 32, "depth": 1, "num_heads": 2, "drop_path": 0.0}
    hand = ManoLayer(asset=procedural.load())
    return UTNetViT(hand=hand, modality="rgbd", **sizes).eval()


def view_of(depth, boxes=None):
    count = 3 if depth is None else len(depth)
    eye = torch.eye(3).expand(count, 3, 3)
    images = torch.rand(count, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    boxes = BOX.expand(count, 4) if boxes is None else boxes
    return CropView(images, eye, boxes, eye, torch.zeros(count).bool(), depth)


def some_depth(count=3, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return 0.5 + 0.05 * torch.rand(count, SIZE, SIZE, generator=rng)


def test_depth_is_told_in_half_sides_from_the_middle_of_the_hand():
    depth = torch.full((1, SIZE, SIZE), 0.6)
    depth[0, 0, :5] = torch.tensor([0.6 + 0.07, 0.6 - 0.07, 0.3, 2.0, 0.0])
    numbers, known = in_cube(depth, BOX, side=0.28)
    assert known.tolist() == [True]
    torch.testing.assert_close(numbers[0, 0, :6], torch.tensor([0.5, -0.5, -1, 1, 1, 0]))


def test_the_middle_is_that_of_the_inner_box_and_a_few_readings_do_not_move_it():
    depth = torch.full((1, SIZE, SIZE), 3.0)  # a wall
    depth[0, 20:45, 20:45] = 0.7
    depth[0, 30:34, 30:34] = 0.2  # flies before the lens
    depth[0, 34:38, 20:45] = 0  # what the sensor missed
    numbers, _ = in_cube(depth, BOX, side=0.28)
    assert numbers[0, 40, 40] == 0
    assert numbers[0, 0, 0] == 1
    assert numbers[0, 36, 40] == 1


def test_a_hand_whose_box_holds_no_reading_has_no_depth():
    depth = some_depth()
    depth[1] = 0
    depth[2, 16:49, 16:49] = 0  # all around it, nothing on it
    _, known = in_cube(depth, BOX.expand(3, 4), side=0.28)
    assert known.tolist() == [True, False, False]
    ring = torch.zeros(1, SIZE, SIZE)
    ring[0, 17:19, 17:47] = 0.5  # in the box, not in its inner half
    numbers, known = in_cube(ring, BOX, side=0.28)
    assert known.tolist() == [True]
    assert numbers[0, 18, 30] == 0


def test_moving_the_hand_away_changes_nothing_that_is_told():
    depth = some_depth()
    near, far = (in_cube(depth + away, BOX.expand(3, 4), side=0.28)[0] for away in (0.0, 1.0))
    torch.testing.assert_close(near, far, atol=1e-5, rtol=0)


@torch.no_grad()
def test_only_hands_with_depth_are_seen_differently(backbone):
    depth = some_depth()
    depth[1] = 0
    view = view_of(depth)
    with_depth, colour = backbone.see(view), backbone(view.images)
    change = (with_depth - colour).abs().amax((1, 2))
    assert change[0] > 1e-2
    assert change[1] < 1e-6
    assert change[2] > 1e-2
    assert torch.equal(backbone.see(view_of(None)), colour)


@torch.no_grad()
def test_training_drops_depth_as_often_as_it_says_and_as_its_generator_says(backbone):
    count = 600
    view = view_of(some_depth(count))
    read = []
    backbone.train()
    handle = backbone.register_forward_pre_hook(lambda _, given: read.append(given[2]))
    # blocks would only cost time here
    blocks, backbone.blocks = backbone.blocks, torch.nn.ModuleList()
    for seed in (1, 1, 2):
        backbone.see(view, rng=torch.Generator().manual_seed(seed))
    backbone.eval().see(view)
    backbone.blocks = blocks
    handle.remove()
    first, again, other, judged = read
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert abs(first.float().mean() - 0.6) < 0.08
    assert judged.all()


def test_every_weight_is_in_the_graph_even_where_no_hand_has_depth(backbone):
    backbone.train()
    for depth in (None, some_depth()):
        backbone.zero_grad()
        tokens = backbone.see(view_of(depth), rng=torch.Generator().manual_seed(0))
        tokens[..., 0].sum().backward()  # a whole token sums to a constant
        assert all(p.grad is not None for p in backbone.depth_embed.parameters())
        reached = backbone.depth_embed.proj.weight.grad.abs().sum() > 0
        assert reached == (depth is not None)
    backbone.eval()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"modality": "d"}, "'rgb' or 'rgbd'"),
        ({"depth_dropout": 1.0}, "depth_dropout"),
        ({"cube": 0}, "cube"),
    ],
)
def test_nonsense_is_refused(changes, words):
    sizes = {"image_size": (SIZE, SIZE), "dim": 32, "depth": 1, "num_heads": 2}
    hand = ManoLayer(asset=procedural.load())
    with pytest.raises(ValueError, match=words):
        UTNetViT(hand=hand, **sizes, **changes)


def test_a_backbone_of_colour_refuses_depth_and_ignores_that_of_a_view():
    sizes = {"image_size": (SIZE, SIZE), "dim": 32, "depth": 1, "num_heads": 2}
    colour = UTNetViT(hand=ManoLayer(asset=procedural.load()), **sizes).eval()
    view = view_of(some_depth())
    assert torch.equal(colour.see(view), colour(view.images))
    with pytest.raises(ValueError, match="modality='rgb'"):
        colour(view.images, view.depth, torch.ones(3).bool())

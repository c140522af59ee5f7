from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from zoo.contracts import HandQuery, Head
from zoo.geometry.representation import REPRESENTATIONS
from zoo.heads.cameras.heatmap import HeatmapCamera
from zoo.heads.cameras.metric import MetricCamera
from zoo.heads.cameras.weak_perspective import WeakPerspectiveCamera
from zoo.heads.mano_decoder import ManoDecoder

WIDTH, DIM = 24, 32
TOKENS = torch.randn(4, 10, WIDTH, generator=torch.Generator().manual_seed(0))
CAMERAS = {"heatmap": HeatmapCamera, "metric": MetricCamera, "weak": WeakPerspectiveCamera}


def head(hand=None, *, camera: str = "metric", **changes) -> ManoDecoder:
    torch.manual_seed(0)
    settings = {"dim": DIM, "depth": 2, "num_heads": 2, "head_dim": 8, "mlp_dim": 64}
    readout = CAMERAS[camera](dim=DIM)
    return ManoDecoder(token_dim=WIDTH, camera=readout, hand=hand, **settings | changes)


def answer(model: ManoDecoder, view, tokens=TOKENS):
    return model.read(model.query(tokens, view), view)


@pytest.mark.parametrize("camera", CAMERAS)
@pytest.mark.parametrize("representation", REPRESENTATIONS)
def test_any_camera_and_representation_gives_a_hand_a_crop(hand, view, camera, representation):
    model = head(hand, camera=camera, representation=representation, steps=2)
    assert isinstance(model, Head)
    prediction = answer(model, view)
    assert prediction.rotmats.shape == (4, 16, 3, 3)
    assert prediction.betas.shape == (4, 10)
    assert prediction.camera.position.shape == (4, 3)
    assert prediction.aux.keys() == model.provides
    product = prediction.rotmats @ prediction.rotmats.mT
    torch.testing.assert_close(product, torch.eye(3).expand_as(product), atol=1e-5, rtol=0)


@pytest.mark.parametrize("camera", CAMERAS)
def test_each_step_but_the_last_is_an_earlier_prediction(hand, view, camera):
    three, two = head(hand, camera=camera, steps=3), head(hand, camera=camera, steps=2)
    final, shorter = answer(three, view), answer(two, view)
    assert len(final.earlier) == 2
    torch.testing.assert_close(final.earlier[1].rotmats, shorter.rotmats)
    torch.testing.assert_close(final.earlier[1].camera.position, shorter.camera.position)
    assert final.earlier[1].aux.keys() == three.provides


def test_the_running_estimate_enters_every_query(hand, view):
    model = head(hand, steps=3)
    query = model.query(TOKENS, view)
    first, second, third = query.estimates
    last = torch.cat(
        (model.decpose(query.token), model.decshape(query.token), model.camera.linear(query.token)),
        dim=-1,
    )
    # A constant query would make every correction the same.
    assert not torch.allclose(second - first, third - second, atol=1e-3)
    assert not torch.allclose(third - second, last, atol=1e-3)


def test_another_estimate_after_step_one_changes_what_step_two_decodes(hand, view):
    model = head(hand, steps=2)
    token = model.query(TOKENS, view).token
    with torch.no_grad():
        model.decpose.bias += 0.5  # moves the estimate of step one, not what decodes it
    assert not torch.allclose(model.query(TOKENS, view).token, token, atol=1e-3)


@pytest.mark.parametrize("camera", ["metric", "weak"])
def test_a_residual_answer_stands_on_the_estimate(hand, view, camera):
    model = head(hand, camera=camera)
    query = model.query(TOKENS, view)
    moved = dataclasses.replace(query, estimates=(query.estimates[0] + 0.1,))
    prediction, other = model.read(query, view), model.read(moved, view)
    torch.testing.assert_close(other.betas, prediction.betas + 0.1)
    assert not torch.allclose(other.rotmats, prediction.rotmats)
    assert not torch.allclose(other.camera.position, prediction.camera.position)


@pytest.mark.parametrize("camera", CAMERAS)
def test_without_residual_the_token_alone_speaks(hand, view, camera):
    model = head(hand, camera=camera, residual=False)
    query = model.query(TOKENS, view)
    moved = dataclasses.replace(query, estimates=(query.estimates[0] + 0.1,))
    prediction, other = model.read(query, view), model.read(moved, view)
    torch.testing.assert_close(other.betas, prediction.betas, atol=0, rtol=0)
    torch.testing.assert_close(other.rotmats, prediction.rotmats, atol=0, rtol=0)
    assert torch.equal(other.camera.position, prediction.camera.position)


def test_a_token_moved_by_a_temporal_part_moves_the_hand(hand, view):
    model = head(hand, camera="heatmap", steps=2)
    query = model.query(TOKENS, view)
    refined = HandQuery(token=query.token + 0.5, estimates=query.estimates)
    prediction, other = model.read(query, view), model.read(refined, view)
    for name in ("rotmats", "betas"):
        assert not torch.allclose(getattr(prediction, name), getattr(other, name), atol=1e-4)
    assert not torch.allclose(prediction.camera.position, other.camera.position, atol=1e-5)
    assert other.earlier == ()


def test_a_query_can_be_cut_to_one_frame_of_each_clip(hand, view):
    model = head(hand, camera="heatmap", steps=2)
    query = model.query(TOKENS, view)
    last = query.map(lambda tensor: tensor.unflatten(0, (2, 2))[:, -1])
    view_of_last = view.map(lambda tensor: tensor.unflatten(0, (2, 2))[:, -1])
    prediction = model.read(last, view_of_last)
    torch.testing.assert_close(prediction.betas, model.read(query, view).betas[1::2])
    assert len(prediction.earlier[0].betas) == 2


def test_a_silent_head_says_the_mean_hand(hand, view):
    for representation in REPRESENTATIONS:
        model = head(hand, representation=representation, camera="weak", steps=3)
        for readout in (model.decpose, model.decshape, model.camera.linear):
            torch.nn.init.zeros_(readout.weight)
            torch.nn.init.zeros_(readout.bias)
        prediction = answer(model, view)
        expected = hand.mean_pose_rotmats().expand(4, -1, -1, -1)
        torch.testing.assert_close(prediction.rotmats, expected, atol=1e-5, rtol=0)
        assert not prediction.betas.any()
        assert (prediction.camera.position[:, 2] > 0).all()


@pytest.mark.parametrize("init", ["random", "zero"])
def test_relative_rotations_start_at_the_mean_pose(hand, view, init):
    model = head(hand, representation="rotvec", init=init, residual=False, relative_to_mean=True)
    torch.nn.init.zeros_(model.decpose.weight)
    torch.nn.init.zeros_(model.decpose.bias)
    expected = hand.mean_pose_rotmats().expand(4, -1, -1, -1)
    torch.testing.assert_close(answer(model, view).rotmats, expected, atol=1e-5, rtol=0)


def test_relative_and_absolute_rotations_differ_by_the_mean_pose_alone(hand, view):
    settings = {"representation": "rotvec", "init": "zero", "residual": False}
    relative, absolute = head(hand, relative_to_mean=True, **settings), head(**settings)
    from_rotmat = REPRESENTATIONS["rotvec"].from_rotmat
    with torch.no_grad():
        absolute.decpose.bias += from_rotmat(hand.mean_pose_rotmats()).flatten()
    torch.testing.assert_close(
        answer(relative, view).rotmats, answer(absolute, view).rotmats, atol=1e-5, rtol=0
    )


def test_a_random_start_is_the_same_for_the_same_seed():
    first, again, other = (head(init="random", seed=seed) for seed in (3, 3, 4))
    assert torch.equal(first.init_hand_pose, again.init_hand_pose)
    assert not torch.equal(first.init_hand_pose, other.init_hand_pose)


@pytest.mark.parametrize("representation", REPRESENTATIONS)
def test_mean_parameters_come_from_a_file(hand, tmp_path, view, representation):
    columns = REPRESENTATIONS["rot6d_columns"]
    pose = columns.from_rotmat(hand.mean_pose_rotmats()).flatten().numpy()
    shape = np.linspace(-1, 1, 10, dtype=np.float32)
    np.savez(tmp_path / "mean.npz", pose=pose, shape=shape, cam=np.zeros(3))
    model = head(representation=representation, mean_params=tmp_path / "mean.npz")
    torch.testing.assert_close(model.init_betas[0], torch.from_numpy(shape))
    start = model.init_hand_pose.view(16, -1)
    rotmats = model.representation.to_rotmat(start)
    torch.testing.assert_close(rotmats, hand.mean_pose_rotmats(), atol=1e-5, rtol=0)


def test_a_file_without_mean_parameters_says_so(tmp_path):
    np.savez(tmp_path / "other.npz", vertices=np.zeros(3))
    with pytest.raises(ValueError, match=r"no file of mean hand parameters.*pose.*shape"):
        head(mean_params=tmp_path / "other.npz")


@pytest.mark.parametrize("camera", CAMERAS)
@pytest.mark.parametrize("residual", [True, False])
def test_gradients_reach_every_parameter(hand, view, camera, residual):
    model = head(hand, camera=camera, residual=residual, steps=2)
    prediction = answer(model, view)
    total = prediction.camera.position.square().sum() + prediction.betas.square().sum()
    (total + (prediction.rotmats * torch.linspace(0, 1, 9).view(3, 3)).sum()).backward()
    silent = {n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()}
    assert silent == set()


def test_one_crop_does_not_depend_on_the_others(hand, view):
    model = head(hand, camera="heatmap", steps=3).eval()
    alone = answer(model, view.map(lambda tensor: tensor[2:3]), TOKENS[2:3])
    together = answer(model, view)
    torch.testing.assert_close(alone.rotmats, together.rotmats[2:3], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(
        alone.camera.position, together.camera.position[2:3], atol=1e-5, rtol=1e-5
    )


@pytest.mark.parametrize("camera", CAMERAS)
def test_everything_with_a_unit_is_fp32_under_autocast(hand, view, camera):
    model = head(hand, camera=camera, steps=2)
    with torch.autocast("cpu", torch.bfloat16):
        query = model.query(TOKENS.bfloat16(), view)
        prediction = model.read(query, view)
    said = [query.token, *query.estimates, prediction.rotmats, prediction.betas]
    said += [prediction.camera.position, prediction.camera.intrinsics, *prediction.aux.values()]
    assert {tensor.dtype for tensor in said} == {torch.float32}
    product = prediction.rotmats @ prediction.rotmats.mT
    torch.testing.assert_close(product, torch.eye(3).expand_as(product), atol=1e-5, rtol=0)


def test_reading_out_is_exact_under_autocast(hand, view):
    model = head(hand, camera="heatmap")
    query = model.query(TOKENS, view)
    exact = model.read(query, view)
    with torch.autocast("cpu", torch.bfloat16):
        cast = model.read(query, view)
    assert torch.equal(cast.betas, exact.betas)
    assert torch.equal(cast.camera.position, exact.camera.position)


def test_dropout_can_be_changed(hand, view):
    model = head(hand, dropout=0.0).train()
    assert torch.equal(model.query(TOKENS, view).token, model.query(TOKENS, view).token)
    model.set_dropout(0.5)
    assert not torch.equal(model.query(TOKENS, view).token, model.query(TOKENS, view).token)


def test_a_small_readout_gain_starts_near_the_mean_hand(hand, view):
    near, far = head(hand, readout_gain=0.01), head(hand)
    mean = hand.mean_pose_rotmats()
    distance = [
        (answer(model, view).rotmats - mean).abs().max()
        for model in (_without_bias(near), _without_bias(far))
    ]
    assert distance[0] < 0.1 * distance[1]


def _without_bias(model: ManoDecoder) -> ManoDecoder:
    torch.nn.init.zeros_(model.decpose.bias)
    return model


def test_a_constant_query_is_one_number_wide(hand, view):
    model = head(hand, query="zero")
    assert model.transformer.to_token_embedding.in_features == 1
    assert answer(model, view).betas.shape == (4, 10)


def test_a_constant_query_repeats_its_correction_and_says_so(hand, view):
    with pytest.warns(UserWarning, match="makes the same correction 3 times"):
        model = head(hand, query="zero", steps=3)
    said = answer(model, view)
    betas = torch.stack([step.betas for step in (*said.earlier, said)])
    torch.testing.assert_close(betas[1] - betas[0], betas[2] - betas[1])
    assert (betas[1] - betas[0]).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"init": "average"}, "init is 'average'; it can be 'mean', 'random', 'zero'"),
        ({"representation": "euler"}, "representation is 'euler'; it can be 'rot6d_columns'"),
        ({"steps": 0}, "one step or more, not steps=0"),
        ({"init": "mean"}, "needs the mean pose of a hand and was given none"),
        ({"init": "zero", "relative_to_mean": True}, "only as rotation vectors"),
        (
            {"init": "zero", "relative_to_mean": True, "representation": "rotvec"},
            "relative_to_mean=True needs the mean pose of a hand",
        ),
    ],
)
def test_what_cannot_be_built_is_refused_with_a_way_out(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        head(**arguments)

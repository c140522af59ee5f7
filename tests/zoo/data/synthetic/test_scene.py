"""A scene's labels obey the camera and the hand model, to the digit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from zoo.data.synthetic.hand import PosableHand
from zoo.data.synthetic.labels import arrays_of
from zoo.data.synthetic.scene import FARTHEST, FILL, NEAREST, draw_scene
from zoo.mano.layer import ManoLayer
from zoo.mano.procedural import PosePrior, load
from zoo.mano.topology import mirror_points, mirror_rotmats

SIZE = 160


@pytest.fixture(scope="module")
def layer():
    return ManoLayer(asset=load())


@pytest.fixture(scope="module")
def scenes():
    hand, prior = PosableHand(load()), PosePrior.load()
    draw = [(n, 1) for n in range(150)] + [(n, 6) for n in range(150, 160)]
    return [
        draw_scene(np.random.default_rng(n), hand, prior, frames=frames, image_size=SIZE)
        for n, frames in draw
    ]


@pytest.fixture(scope="module")
def labels(scenes):
    """Arrays of every scene, hands and frames flattened together, with side."""
    every = [arrays_of(scene, SIZE) for scene in scenes]
    flat = {
        name: np.concatenate(
            [arrays[name].reshape(-1, *arrays[name].shape[2:]) for arrays in every]
        )
        for name in every[0]
        if every[0][name].ndim >= 2
        and every[0][name].shape[0] == 1
        and name not in ("K",)
        and name not in ("cam_from_world", "has_K", "has_extr")
    }
    flat["K"] = np.concatenate([arrays["K"] for arrays in every])
    flat["is_left"] = np.concatenate(
        [np.full(len(scene.transl), scene.is_left) for scene in scenes]
    )
    return flat


def test_points_project_onto_their_keypoints(labels):
    image = np.einsum("nij,nkj->nki", labels["K"].astype(float), labels["kp3d"].astype(float))
    seen = image[..., :2] / image[..., 2:]
    assert np.abs(seen - labels["kp2d"]).max() < 1e-3


def test_the_hand_model_gives_the_labelled_joints_on_both_sides(labels, layer):
    left = torch.tensor(labels["is_left"])
    assert 0 < left.sum() < len(left)
    rotvecs = np.concatenate([labels["mano_global"], labels["mano_pose"]], 1).reshape(-1, 3)
    rotmats = torch.tensor(Rotation.from_rotvec(rotvecs).as_matrix()).view(-1, 16, 3, 3).float()
    transl = torch.tensor(labels["mano_transl"])
    as_right = torch.where(left[:, None, None, None], mirror_rotmats(rotmats), rotmats)
    _, joints = layer(as_right, torch.tensor(labels["mano_betas"]))
    joints = torch.where(left[:, None, None], mirror_points(joints), joints) + transl[:, None]
    assert (joints - torch.tensor(labels["kp3d"])).abs().max() < 1e-6


def test_the_tight_box_leaves_room_for_a_crop_of_twice_its_size(labels):
    box = labels["bbox_xyxy"]
    share = (box[:, 2:] - box[:, :2]).max(1) / SIZE
    single = share[:150]
    assert single.min() > FILL[0] - 1e-6
    assert single.max() < FILL[1] + 1e-6
    assert box.min() > 0
    assert box.max() < SIZE - 1


def test_cameras_distances_and_places_vary(labels):
    depth = labels["kp3d"][:150].mean(1)[:, 2]
    assert depth.min() < 1.2 * NEAREST
    assert depth.max() > 0.8 * FARTHEST
    focal = labels["K"][:150, 0, 0] / SIZE
    assert focal.max() / focal.min() > 4
    ray = labels["kp3d"][:150].mean(1)
    assert np.std(ray[:, 0] / ray[:, 2]) > 0.15


def test_a_hand_may_turn_any_way(labels):
    turned = Rotation.from_rotvec(labels["mano_global"][:150]).as_matrix()
    # A uniform rotation's columns have a mean of zero and a variance of a third in each entry.
    assert np.abs(turned.mean(0)).max() < 0.3
    assert np.abs((turned**2).mean(0) - 1 / 3).max() < 0.12


def test_no_finger_bends_backwards_out_of_the_prior(labels):
    poses = labels["mano_pose"]
    limits = PosePrior.load().sample(3000, np.random.default_rng(0))
    mirrored = limits.reshape(-1, 15, 3) * [1, -1, -1]
    limits = np.concatenate([limits, mirrored.reshape(-1, 45)])
    assert (poses >= limits.min(0) - 0.35).all()
    assert (poses <= limits.max(0) + 0.35).all()


def test_a_clip_moves_smoothly_and_its_clock_with_it(scenes):
    clips = [scene for scene in scenes if len(scene.transl) > 1]
    assert len(clips) == 10
    for clip in clips:
        steps = np.diff(clip.timestamps)
        assert (steps > 0).all()
        seconds = steps[:, None] / 1e9
        assert 5 <= 1 / seconds.mean() <= 60.5
        speed = np.linalg.norm(np.diff(clip.joints[:, 0], axis=0), axis=1) / seconds[:, 0]
        assert speed.max() < 1.5  # m/s, of the wrist
        assert not np.allclose(clip.rotvecs[0, 1:], clip.rotvecs[-1, 1:], atol=1e-3)


def test_one_generator_state_is_one_scene(scenes):
    hand, prior = PosableHand(load()), PosePrior.load()
    again = draw_scene(np.random.default_rng(155), hand, prior, frames=6, image_size=SIZE)
    first, second = arrays_of(again, SIZE), arrays_of(scenes[155], SIZE)
    assert all(first[name].tobytes() == second[name].tobytes() for name in first)

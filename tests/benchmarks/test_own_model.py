"""A stranger's module is diagnosed behind the same face as a model of the zoo."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from benchmarks import exhibits
from benchmarks.own_model import hand_of, wrap
from benchmarks.subject import rendered_frames
from zoo.contracts import ClipView
from zoo.geometry.rotation import rotvec_to_rotmat


class Stranger(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.look = nn.Conv2d(3, 8, 8, stride=8)
        self.say = nn.Linear(8, 48 + 10 + 3)

    def forward(self, images):
        return self.say(self.look(images).mean((-1, -2)))


def read(out, view):
    rotmats = rotvec_to_rotmat(out[:, :48].unflatten(1, (16, 3)))
    position = out[:, 58:] + out.new_tensor((0.0, 0.0, 0.6))
    return hand_of(rotmats, out[:, 48:58], position=position, view=view)


def joint_loss(prediction, mesh, target):
    return (mesh.joints - target.joints).abs().mean()


@pytest.fixture(scope="module")
def frames():
    return rendered_frames(4, seed=0, image_size=64)


@pytest.fixture
def subject(frames):
    losses = {"joints": joint_loss}
    return wrap(Stranger, read=read, losses=losses, crop=(48, 64), frames=frames, name="stranger")


def test_a_module_sees_crops_of_the_size_it_asked_for_and_gives_hands(subject):
    seen = exhibits.see(subject, 3, training=False)
    assert seen.view.crop_size == (48, 64)
    assert seen.mesh.joints.shape == (3, 21, 3)
    assert torch.equal(seen.mesh.joints[:, 0], seen.prediction.camera.position)


def test_the_users_terms_train_the_users_parameters(subject):
    model = subject.fresh_model()
    view, target = subject.batch(2, training=True)
    terms = model.loss_terms(model.predict_hand(view), model.hand.place_target(target))
    assert list(terms) == ["loss_joints"]
    terms["loss_joints"].backward()
    assert model.module.say.weight.grad.abs().sum() > 0


def test_a_fresh_model_is_the_same_each_time(subject):
    weights = [subject.fresh_model().module.say.weight for _ in range(2)]
    assert torch.equal(*weights)


def test_a_wrong_shape_is_answered_with_the_right_one(frames):
    def wrong(out, view):
        return hand_of(out[:, :48], out[:, 48:58], position=out[:, 58:], view=view)

    subject = wrap(Stranger, read=wrong, crop=(64, 64), frames=frames)
    with pytest.raises(ValueError, match=r"rotmats has the shape \(2, 48\).*\(2, 16, 3, 3\)"):
        exhibits.see(subject, 2, training=False)


def test_trained_weights_are_put_in(frames):
    trained = Stranger()
    subject = wrap(Stranger, read=read, crop=(64, 64), frames=frames, weights=trained.state_dict())
    assert torch.equal(subject.model.module.say.bias, trained.say.bias)


def test_labels_projected_by_the_crops_camera_land_on_the_keypoints(subject):
    trip = exhibits.round_trip(exhibits.see(subject, 4, training=True))
    assert trip["worst_px"] < 1e-2


def test_of_clips_the_last_frames_are_shown(subject):
    view, _ = subject.batch(4, training=False)
    clips = ClipView(frames=view, times=torch.zeros(2, 2, dtype=torch.float64))
    last = exhibits.last_frames(clips)
    assert torch.equal(last.images, view.images[1::2])
    assert exhibits.last_frames(view) is view


def test_scales_stand_in_one_unit_and_have_a_label_to_compare_with(subject):
    rows = {row.quantity: row for row in exhibits.scales(exhibits.see(subject, 4, training=False))}
    reach = rows["hand, wrist to middle tip"]
    assert reach.unit == "m"
    assert 0.05 < reach.label[1] < 0.25
    assert rows["keypoints x"].label[2] <= 64
    low, middle, high = rows["finger rotations"].prediction
    assert 0 <= low <= middle <= high <= 3.15


def test_surfaces_of_two_subjects_share_the_first_ones_camera(subject, frames):
    seen = [exhibits.see(subject, 2, training=True, seed=s) for s in (0, 0)]
    turned = torch.tensor([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    other = seen[1]
    moved = exhibits.Seen(
        other.view,
        other.target.map(lambda t: t),
        other.prediction,
        other.mesh.map(lambda t: t),
    )
    object.__setattr__(moved.target, "joints", other.target.joints @ turned.mT)
    object.__setattr__(moved.mesh, "vertices", other.mesh.vertices @ turned.mT)
    object.__setattr__(moved.mesh, "joints", other.mesh.joints @ turned.mT)
    label, first, second = exhibits.surfaces([seen[0], moved], ["a", "b"], 0)
    assert label.subject is None
    torch.testing.assert_close(second.vertices, first.vertices, atol=1e-5, rtol=1e-5)


def test_errors_of_a_checkpoint_shrink_as_more_motions_are_allowed(subject):
    found = exhibits.errors(subject)
    steps = found["staircase_mm"]
    assert steps["all"] <= steps["rotation"] <= steps["translation"] <= steps["nothing"]
    assert set(found["fingers_mm"]) == {"thumb", "index", "middle", "ring", "pinky"}

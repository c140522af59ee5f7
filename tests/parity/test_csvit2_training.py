"""One training step of the whole Stage 1 of three versions: losses, metrics and every gradient.

Each version is its config and, below, the options that bring the released behaviour back. One thing
no option says: the reprojection counted pixels of the picture, and ours counts those of the crop.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from zoo.contracts import HandMesh, HandTarget, Prediction
from zoo.mano.hand_length import at_length, known_length
from zoo.mano.topology import hand_scale
from zoo.metrics.joints import MPJPE, RTE, RootMPJPE
from zoo.metrics.vertices import MPVPE, RootMPVPE
from zoo.weights.csvit2 import our_name

FILE = "csvit2_training.npz"
RECORDED = np.load(Path(__file__).parents[1] / "oracles" / FILE)
CLOSE = {"rtol": 1e-5, "atol": 1e-5}
GRADIENTS = {"rtol": 1e-3, "atol": 1e-6}
NORMS = {"rtol": 1e-3, "atol": 1e-6}
IN_MM = {"rtol": 1e-5, "atol": 2e-3}
DILUTED = {"reduction": "batch_mean"}
RELEASED = {
    "old": {
        "joints": {"weight": 1.0},
        "root_joints": {"unlabelled_wrist": "use"},
        "numbers": {"weight": 1.0},
    },
    "feb10": {
        "rotations": DILUTED,
        "betas": DILUTED,
        "wrist": {"outside": "vanish", "measured_cameras_only": False, "sigma": 0.5} | DILUTED,
        "joints": {"origin": "position", "unlabelled_wrist": "use"} | DILUTED,
        "reprojection": {"hand_scale": "label", "target": "joints", "nearest": 1e-11} | DILUTED,
    },
}
RELEASED["old_clips"] = RELEASED["old"]
RELEASED["head"] = {
    name: {key: value for key, value in options.items() if key != "reduction"}
    for name, options in RELEASED["feb10"].items()
}
NAMES = {
    "old": {
        "joints": "kps3d_cam",
        "root_joints": "kps3d_rel",
        "vertices": "verts_rel",
        "numbers": "param",
    },
    "feb10": {
        "rotations": "theta",
        "betas": "shape",
        "wrist": "trans",
        "joints": "joint_rel",
        "reprojection": "joint_img",
    },
}
METRICS = {"mpjpe": MPJPE(), "mpjpe_rel": RootMPJPE(), "mpvpe": MPVPE(), "rte": RTE()}
METRICS |= {"mpvpe_rel": RootMPVPE()}


@dataclasses.dataclass(frozen=True)
class Step:
    """A version's whole forward pass on the recorded hands; `model` keeps the gradients."""

    model: torch.nn.Module
    prediction: Prediction
    mesh: HandMesh
    target: HandTarget
    terms: dict[str, Tensor]  # weighted


def recorded(name: str) -> Tensor:
    return torch.from_numpy(RECORDED[name])


@pytest.fixture(params=["old", "old_clips", "feb10", "head"], scope="module")
def case(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def step(case, csvit2_network, csvit2_losses, csvit2_hand, by_rule, tmp_path_factory) -> Step:
    version, own = case.removesuffix("_clips"), case.endswith("_clips")
    labels = csvit2_losses(FILE if own else "csvit2_network.npz")
    inputs = f"{case}/inputs" if own else "inputs"
    changes = {
        f"model.losses.{term}.{name}": value
        for term, options in RELEASED[case].items()
        for name, value in options.items()
    }
    changes |= csvit2_hand | {"model.hand.detach_wrist": version != "old"}
    model = csvit2_network.model_of(version, by_rule, tmp_path_factory.mktemp(case), changes)
    for name in {"rotations", "numbers"} & set(model.losses):
        labels.numbers(model.losses[name], f"{inputs}/mano_pose", absolute=True)
    view = csvit2_network.view_of(csvit2_network.inputs_of(labels.arrays, f"{inputs}/"))
    prediction = model(view)
    # The reprojection was in the picture's pixels, whose camera the crop's view has left behind.
    camera = dataclasses.replace(prediction.camera, intrinsics=labels.intrinsics(inputs))
    prediction = dataclasses.replace(prediction, camera=camera)
    target = model.hand.place_target(labels.target(inputs))
    stored = dataclasses.replace(target, joints_valid=labels.flat(f"{inputs}/joint_valid"))
    terms = model.loss_terms(prediction, stored)
    return Step(model, prediction, model.hand.place(prediction), target, terms)


def test_losses_and_gradients_are_those_of_the_original(case, step):
    names = NAMES["old" if case.startswith("old") else "feb10"]
    for ours, theirs in names.items():
        value = step.terms[f"loss_{ours}"] / step.model.losses[ours].weight
        torch.testing.assert_close(value, recorded(f"{case}/forward/loss_{theirs}"), **CLOSE)
    total = sum(step.terms.values())
    torch.testing.assert_close(total, recorded(f"{case}/forward/loss"), **CLOSE)
    total.backward()
    weights = dict(step.model.named_parameters())
    for name in RECORDED:
        if name.startswith(f"{case}/grad/"):
            ours = weights[our_name(name.removeprefix(f"{case}/grad/"))]
            torch.testing.assert_close(ours.grad, recorded(name), **GRADIENTS)
    known = {our_name(str(name)) for name in RECORDED[f"{case}/names"]}
    reached = {name for name, weight in weights.items() if weight.grad is not None}
    assert reached == known & set(weights), "another set of weights has a gradient"
    for name, norm in zip(RECORDED[f"{case}/names"], recorded(f"{case}/norms"), strict=True):
        torch.testing.assert_close(weights[our_name(str(name))].grad.norm(), norm, **NORMS)


@torch.no_grad()
def test_metrics_are_those_of_the_original(case, step):
    mesh, target = step.mesh, step.target
    if not case.startswith("old"):  # the label's hand length placed what was measured
        mesh = at_length(mesh, step.prediction.camera.position, hand_scale(target.joints))
        known = known_length(target.joints, target.joints_valid)[1].float()
        joints_valid = target.joints_valid * known[:, None]
        valid = {"joints_valid": joints_valid, "vertices_valid": known, "has_intrinsics": known}
        target = dataclasses.replace(target, **valid)
    place = recorded(f"{case}/forward/joint_cam_pred").flatten(0, 1)
    torch.testing.assert_close(mesh.joints * 1000, place, **IN_MM)
    for theirs, metric in METRICS.items():
        if f"{case}/forward/micro_{theirs}" in RECORDED:
            values, counts = metric(mesh, target)
            mean = (values * counts).nansum() / counts.sum()
            expected = recorded(f"{case}/forward/micro_{theirs}").double()
            torch.testing.assert_close(mean, expected, **IN_MM, msg=lambda m, n=theirs: n + m)


@pytest.mark.parametrize("case", ["feb10"], scope="module")
@torch.no_grad()
def test_its_own_length_placed_a_hand_where_the_label_had_none(case, step):
    # The released version crossed hands: column j asks whether label j has a length.
    assert recorded("feb10/predict_full/norm_valid").flatten().tolist() == [1, 1, 0]
    place = recorded("feb10/predict_full/joint_cam_pred")
    torch.testing.assert_close(step.mesh.joints * 1000, place[:, 2], **IN_MM)
    position = recorded("feb10/predict_full/trans_pred_denorm")[:, 2]
    torch.testing.assert_close(step.prediction.camera.position * 1000, position, **IN_MM)
    by_label = at_length(step.mesh, step.prediction.camera.position, hand_scale(step.target.joints))
    for column in (0, 1):
        torch.testing.assert_close(by_label.joints * 1000, place[:, column], **IN_MM)

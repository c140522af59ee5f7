"""CS-ViT2's losses of January and February 2026 and their gradients, against recorded ones."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from zoo.losses.heatmap import HeatmapCrossEntropy
from zoo.losses.joints import JointLoss, RootRelativeJointLoss
from zoo.losses.parameters import BetasLoss, PoseNumbersLoss
from zoo.losses.position import ParameterLoss, PositionLoss
from zoo.losses.reduce import reduce_errors
from zoo.losses.reprojection import Reprojection
from zoo.losses.vertices import VertexLoss

CLOSE = {"rtol": 2e-5, "atol": 1e-5}
GRADIENTS = {"rtol": 1e-3, "atol": 1e-6}
NEAREST = 1e-11  # m: the original clamps depth at 1e-8 mm

# January: metres; masked means; the hand's wrist is subtracted with its gradient.

JANUARY = [
    f"{norm}_global{scope}_{masks}"
    for norm, scopes, allowed in (
        ("l1", "10", ("partial", "allvalid", "nonevalid")),
        ("l2", "10", ("partial",)),
    )
    for scope in scopes
    for masks in allowed
]


@pytest.fixture(scope="module")
def january(csvit2_losses):
    return csvit2_losses("csvit2_losses_old.npz")


@pytest.mark.parametrize("case", JANUARY)
def test_january_terms_and_gradients(january, case):
    norm, scope, masks = case.split("_")
    said = january.predict("inputs", "inputs", detach_betas=False)
    target = january.hand.place_target(january.target("inputs", masks))
    stored = january.target("inputs", masks, wrists=False)
    numbers = january.numbers(ParameterLoss(weight=1.0, norm=norm), "inputs/mano_pose")
    terms = {
        "kps3d_cam": said.of(JointLoss(weight=1.0, norm=norm), stored),
        "kps3d_rel": said.of(
            RootRelativeJointLoss(weight=1.0, norm=norm, unlabelled_wrist="use"), stored
        ),
        "verts_rel": said.of(VertexLoss(weight=1.0, norm=norm), target),
        "param": said.of(numbers, target),
    }
    for name, value in terms.items():
        torch.testing.assert_close(value, january(f"{case}/loss_{name}"), **CLOSE)
    if scope == "global0":
        terms = {name: value for name, value in terms.items() if name.endswith("_rel")}
    check_sum(january, case, sum(terms.values()), said.leaves)


# February: hand lengths; means over unlabelled hands too; the wrist is subtracted without gradient.

FEBRUARY = [
    *(f"T1_heatmap{h}_global1_{m}" for h in (1, 0) for m in ("partial", "allvalid", "nonevalid")),
    *(f"T{t}_heatmap1_global1_partial_sigma0.4" for t in (1, 3)),
    *(f"T3_heatmap{h}_global1_partial" for h in (1, 0)),
    # The switch has no effect there.
    *(f"T1_heatmap{h}_global0_{m}" for h in (1, 0) for m in ("partial", "allvalid", "nonevalid")),
    *(f"T3_heatmap{h}_global0_partial" for h in (1, 0)),
    *(f"T{t}_heatmap1_global0_partial_sigma0.4" for t in (1, 3)),
]
WEIGHTS = {"theta": 3.0, "shape": 3.0, "trans": 0.05, "joint_rel": 0.012, "joint_img": 0.002}


@pytest.fixture(scope="module")
def february(csvit2_losses):
    return csvit2_losses("csvit2_losses_feb10.npz", detach_wrist=True)


def as_released(heatmap: bool, sigma: float) -> dict[str, torch.nn.Module]:
    """The five terms with the released reduction, scale and origin."""
    diluted = {"reduction": "batch_mean"}
    trans = PositionLoss(weight=0.05, unit="hand", **diluted)
    if heatmap:
        trans = HeatmapCrossEntropy(
            weight=0.05,
            sigma=sigma,
            norm_by_hand=True,
            outside="vanish",
            measured_cameras_only=False,
            **diluted,
        )
    return {
        "theta": PoseNumbersLoss(weight=3.0, representation="rotvec", **diluted),
        "shape": BetasLoss(weight=3.0, norm="l1", **diluted),
        "trans": trans,
        "joint_rel": RootRelativeJointLoss(
            weight=0.012, unit="mm", origin="position", unlabelled_wrist="use", **diluted
        ),
        "joint_img": Reprojection(
            weight=0.002, nearest=NEAREST, hand_scale="label", target="joints", **diluted
        ),
    }


@pytest.mark.parametrize("case", FEBRUARY)
def test_february_terms_and_gradients(february, case):
    frames, heatmap, _, masks, *rest = case.split("_")
    inputs = f"inputs_{frames}"
    said = february.predict(inputs, inputs, in_hands=True)
    heat = {
        axis: february.flat(f"{inputs}/log_hm_{axis}").clone().requires_grad_() for axis in "xyz"
    }
    for axis, leaf in heat.items():
        said.prediction.aux[f"log_heatmap_{axis}"] = leaf
        said.prediction.aux[f"heatmap_lengths_{axis}"] = february(f"centers_handunits/{axis}")
    terms = as_released(heatmap == "heatmap1", 0.4 if rest else 0.09)
    february.numbers(terms["theta"], f"{inputs}/mano_pose", -1)
    target = february.target(inputs, masks, -1, wrists=False)
    values = {name: said.of(term, target) for name, term in terms.items()}
    for name, value in values.items():
        torch.testing.assert_close(value, february(f"{case}/loss_{name}"), **CLOSE)
    leaves = dict(said.leaves)
    if heatmap == "heatmap1":
        leaves |= {f"log_hm_{axis}": heat[axis] for axis in "xz"}
    total = sum(WEIGHTS[name] * value for name, value in values.items())
    check_sum(february, case, total, leaves)


# The bundle of January's end: squares for parameters, 1 and 10 and 0.1 for joints.


def test_the_bundle_between_them(february):
    said = february.predict("bundle1_inputs", "bundle1_inputs", detach_betas=False)
    target = february.hand.place_target(february.target("bundle1_inputs", wrists=True))
    stored = february.target("bundle1_inputs", wrists=False)
    diluted = {"reduction": "batch_mean"}
    shape = said.of(BetasLoss(weight=1.0, norm="l2", **diluted), target)
    numbers = PoseNumbersLoss(weight=1.0, representation="rotvec", norm="l2", **diluted)
    theta = said.of(february.numbers(numbers, "bundle1_inputs/mano_pose"), target)
    surface = said.of(VertexLoss(weight=1.0, unit="mm", **diluted), target)
    relative = said.of(
        RootRelativeJointLoss(weight=1.0, unit="mm", unlabelled_wrist="use", **diluted), stored
    )
    parameters = {"theta": theta, "shape": shape, "verts": surface}
    without = {**parameters, "joint": relative}
    for name, value in without.items():
        expected = february(f"bundle1_global0/loss_{name}")
        torch.testing.assert_close(value, expected, rtol=2e-4, atol=1e-5)
    known = stored.joints_valid * february.flat("bundle1_inputs/norm_valid")[:, None]
    measured = dataclasses.replace(stored, joints_valid=known)  # hands whose length is known
    place = said.of(PositionLoss(weight=10.0, unit="mm", **diluted), measured)
    seen, label = (february.flat(f"bundle1_inputs/joint_img_{n}") for n in ("pred", "gt"))
    picture = reduce_errors((seen - label).abs(), known, "batch_mean")
    joint = relative + 10 * place + 0.1 * picture
    joints = {"joint": joint, "joint_root": place, "joint_rel": relative, "joint_img": picture}
    for name, value in {**parameters, **joints}.items():
        expected = february(f"bundle1_global1/loss_{name}")
        torch.testing.assert_close(value, expected, rtol=2e-4, atol=1e-5)


def check_sum(recorded, case: str, total: torch.Tensor, leaves: dict[str, torch.Tensor]) -> None:
    """The weighted sum and its gradient on every recorded leaf."""
    torch.testing.assert_close(total, recorded(f"{case}/loss"), **CLOSE)
    total.backward()
    for name, leaf in leaves.items():
        expected = recorded.flat(f"{case}/grad_{name}")
        found = torch.zeros_like(expected) if leaf.grad is None else leaf.grad
        torch.testing.assert_close(found, expected, **GRADIENTS)

"""CS-ViT2's losses of April 2026 and their gradients, four ways to place the wrist, as recorded."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from zoo.geometry.camera import unproject
from zoo.losses.crop_heatmap import CropHeatmapCrossEntropy
from zoo.losses.distance_bins import DistanceBinLoss
from zoo.losses.heatmap import HeatmapCrossEntropy
from zoo.losses.joints import RootRelativeJointLoss
from zoo.losses.parameters import BetasLoss, PoseNumbersLoss
from zoo.losses.position import PositionLoss
from zoo.losses.reprojection import Reprojection

CLOSE = {"rtol": 2e-5, "atol": 1e-5}
GRADIENTS = {"rtol": 1e-3, "atol": 1e-6}
NEAREST = 1e-11  # m: the original clamps depth at 1e-8 mm
RANGES = {"depth": (-0.73, 0.74), "distance": (-0.71, 0.75)}
HANDS = 12  # four clips of three frames
CASES = {
    "handunits_heatmap_l1": {"sigma": 0.4},
    "handunits_heatmap_robust": {"sigma": 0.4, "knee": 20.0},
    "mm_heatmap_l1": {"sigma": 0.03},
    "mm_heatmap_l1_nonevalid": {"sigma": 0.03},
    "mm_notheatmap_robust": {"knee": 20.0},
    "xy_rootz": {"sigma": 0.03, "bins": "depth"},
    "xy_rootz_filtered": {"sigma": 0.03, "bins": "depth", "keypoints": 16, "edge": 40.0},
    "patch_uv_rho": {"bins": "distance", "uv": 8.0},
}


@pytest.fixture(scope="module")
def april(csvit2_losses):
    return csvit2_losses("csvit2_losses_head.npz", detach_wrist=True)


def wrist_term(case: str, sigma: float | None, bins: str | None) -> torch.nn.Module:
    if bins == "distance":
        return PositionLoss(weight=0.05, unit="mm", measured_cameras_only=True)
    in_hands = case.startswith("handunits")
    if sigma is None:
        return PositionLoss(weight=0.05, unit="hand" if in_hands else "mm")
    return HeatmapCrossEntropy(
        weight=0.05,
        sigma=sigma,
        axes="xy" if bins else "xyz",
        norm_by_hand=in_hands,
        outside="vanish",
        measured_cameras_only=False,
    )


def heat_maps(april, case: str, aux: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Leaves of the recorded heat maps, put where a head would."""
    in_hands, leaves = case.startswith("handunits"), {}
    for axis in "xyz":
        if f"{case}/aux_log_hm_{axis}" in april:
            leaf = april.flat(f"{case}/aux_log_hm_{axis}").clone().requires_grad_()
            aux[f"log_heatmap_{axis}"] = leaves[f"log_hm_{axis}"] = leaf
        if f"{case}/{axis}_centers" in april:
            name = "heatmap_lengths" if in_hands else "heatmap_centers"
            aux[f"{name}_{axis}"] = april(f"{case}/{axis}_centers") / (1 if in_hands else 1000)
    return leaves


def bins(april, case: str, quantity: str, aux: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Leaves of the recorded bins, put where a head would; the prior in metres."""
    short = {"depth": "z", "distance": "rho"}[quantity]
    names = {"logits": f"{short}_cls_logits", "residuals": f"{short}_residuals"}
    leaves = {
        name: april.flat(f"{case}/aux_{name}").clone().requires_grad_()
        for name in (*names.values(), f"log_{short}_prior")
    }
    aux |= {f"{quantity}_{ours}": leaves[theirs] for ours, theirs in names.items()}
    aux[f"{quantity}_log_prior"] = leaves[f"log_{short}_prior"][:, 0] - math.log(1000)
    low, high = RANGES[quantity]
    centers = low + (torch.arange(8) + 0.5) * (high - low) / 8
    box = april.flat("inputs/hand_bbox")
    aux[f"{quantity}_bin_centers"] = centers.expand(HANDS, -1)
    aux[f"{quantity}_box_edge"] = (box[:, 2:] - box[:, :2]).amin(-1)
    return leaves


@pytest.mark.parametrize("case", CASES)
def test_terms_and_gradients(april, case):
    options = CASES[case]
    masks = "nonevalid" if "nonevalid" in case else "partial"
    in_hands, quantity = case.startswith("handunits"), options.get("bins")
    said = april.predict(case, "inputs", in_hands=in_hands)
    target = april.target("inputs", masks, wrists=False)
    leaves = said.leaves | heat_maps(april, case, said.prediction.aux)
    numbers = PoseNumbersLoss(weight=3.0, representation="rotvec")
    terms = {
        "theta": april.numbers(numbers, "inputs/mano_pose"),
        "shape": BetasLoss(weight=3.0, norm="l1"),
        "trans": wrist_term(case, options.get("sigma"), quantity),
        "joint_rel": RootRelativeJointLoss(
            weight=0.012, unit="mm", origin="position", unlabelled_wrist="use"
        ),
        "joint_img": Reprojection(
            weight=0.002,
            nearest=NEAREST,
            knee=options.get("knee"),
            hand_scale="label" if in_hands else "predicted",
            target="joints",
            measured_cameras_only=True,
        ),
    }
    if quantity:
        leaves |= bins(april, case, quantity, said.prediction.aux)
        least = {"min_keypoints": options.get("keypoints", 0)}
        least |= {"min_box_edge": options.get("edge", 0.0)}
        for part, name in (("class", "root_z_cls"), ("residual", "root_z_res")):
            terms[name] = DistanceBinLoss(weight=1.0, quantity=quantity, part=part, **least)
    values = {name: said.of(term, target) for name, term in terms.items()}
    if "uv" in options:
        values["uv_patch"] = seen(april, case, said, target, options["uv"])
    total = 0
    for name, value in values.items():
        torch.testing.assert_close(value, april(f"{case}/loss_{name}"), **CLOSE)
        total = total + value * (terms[name].weight if name in terms else 1.0)
    torch.testing.assert_close(total, april(f"{case}/loss"), **CLOSE)
    total.backward()
    for name, leaf in leaves.items():
        if f"{case}/grad_{name}" in april:
            expected = april.flat(f"{case}/grad_{name}")
            torch.testing.assert_close(leaf.grad, expected, **GRADIENTS)


def seen(april, case: str, said, target, sigma: float) -> torch.Tensor:
    """The loss on where the wrist is seen; only there do recorded keypoints count crop px."""
    aux = said.prediction.aux
    aux["log_heatmap_crop"] = april.flat(f"{case}/aux_log_hm_uv_patch")
    aux["heatmap_columns"] = april(f"{case}/x_centers").expand(HANDS, -1)
    aux["heatmap_rows"] = april(f"{case}/y_centers").expand(HANDS, -1)
    keypoints = april.flat("inputs/joint_patch_resized")
    term = CropHeatmapCrossEntropy(weight=1.0, sigma=sigma, outside="vanish")
    return said.of(term, dataclasses.replace(target, keypoints=keypoints))


def test_without_a_heat_map_the_seen_wrist_costs_its_distance_in_px(april):
    case = "patch_uv_rho_notheatmap"
    said = april.predict(case, "inputs")
    pixels = april.flat(f"{case}/aux_pred_uv_patch")
    intrinsics = said.prediction.camera.intrinsics
    wrist = unproject(pixels[:, None], torch.ones(HANDS, 1), intrinsics)
    mesh = dataclasses.replace(said.mesh, joints=wrist.expand(-1, 21, -1))
    target = april.target("inputs", wrists=False)
    target = dataclasses.replace(target, keypoints=april.flat("inputs/joint_patch_resized"))
    value = Reprojection(weight=1.0, joints="wrist")(said.prediction, mesh, target)
    torch.testing.assert_close(value, april(f"{case}/loss_uv_patch"), rtol=1e-4, atol=1e-4)


def test_a_source_with_keypoints_alone_costs_its_distance_in_crop_px(april):
    # There a name chose the hands and one spelling was missed; here a batch is what it holds.
    case, first = "mm_heatmap_l1_coco", slice(0, 3)  # the frames of the one clip of that name
    said = april.predict(case, "inputs")
    box = april.flat("inputs/patch_bbox")
    scale = 224 / (box[:, 2:] - box[:, :2])
    camera = said.prediction.camera
    intrinsics = camera.intrinsics.clone()
    intrinsics[:, (0, 1), (0, 1)] *= scale
    intrinsics[:, :2, 2] = (intrinsics[:, :2, 2] - box[:, :2]) * scale
    camera = dataclasses.replace(camera, intrinsics=intrinsics)
    target = april.target("inputs", wrists=False)
    target = dataclasses.replace(target, keypoints=april.flat("inputs/joint_patch_resized"))
    prediction = dataclasses.replace(said.prediction, camera=camera)
    chosen = (part.map(lambda tensor: tensor[first]) for part in (prediction, said.mesh, target))
    term = Reprojection(weight=0.0005, nearest=NEAREST, measured_cameras_only=True)
    value = term(*chosen)
    torch.testing.assert_close(value, april(f"{case}/loss_coco_patch_2d"), **CLOSE)
    more = april(f"{case}/loss") - april("mm_heatmap_l1/loss")
    torch.testing.assert_close(0.0005 * value, more, rtol=1e-4, atol=1e-5)

"""Do outputs and labels have the same unit, size and origin before anything is learnt?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import torch
from torch import Tensor

from benchmarks.probe import ProbeResult
from benchmarks.subject import Subject, last_frames
from zoo.contracts import CropView, Finding, HandMesh, HandTarget, Prediction
from zoo.geometry.camera import project
from zoo.geometry.rotation import geodesic_angle

HANDS = 16
HAND_LENGTH = (0.5, 2.0)  # predicted over labelled, wrist to middle knuckle
CROP_EXTENT = (1 / 20, 20.0)  # of the projected hand; a fresh depth may be off by a factor of 5
DEPTH = (1 / 10, 10.0)
FAR_FROM_MEAN = 1.5  # rad a finger joint, on average; random ones are 2.2 away, healthy up to 1
INVERSE = 0.5  # of the distance to the mean hand: transposed rotations may not come so near it
WILD_BETAS = 5.0  # RMS; people lie within 3
MIDDLE_KNUCKLE = 9


class Scale:
    """One table of ranges: 2D, 3D, pose, betas and camera of prediction and label at step 0.

    UTNet's authors compared formulas on paper and called them consistent; its 2D output was 192
    times too small. Here the model is run, and its numbers are compared with the labels'.
    """

    id: ClassVar[str] = "ledger.scale"
    family: ClassVar[str] = "ledger"
    law: ClassVar[str] = (
        "At step 0 the predicted hand has the size of a hand, in space and in the crop, stands "
        "where hands stand, and its fingers are near the mean hand."
    )
    see: ClassVar[str] = "docs/probes.md#ledger-scale"

    def __call__(self, subject: Subject) -> ProbeResult:
        """Outputs whose range is another one than their label's."""
        model = subject.fresh_model().eval()
        view, target = subject.shown(HANDS, training=False)
        with torch.no_grad():
            prediction = model.predict_hand(view)
            mesh = model.hand.place(prediction)
        said, true = _quantities(mesh, prediction), _labels(target)
        mean_pose = model.hand.mean_pose_rotmats()[1:]
        fingers = prediction.rotmats[:, 1:]
        away = float(geodesic_angle(fingers, mean_pose).mean())
        backwards = float(geodesic_angle(fingers.mT, mean_pose).mean())
        findings = [
            *_size(said, true, target),
            *_place(prediction, said, true, target),
            *_camera(prediction, mesh, last_frames(view)),
            *_start_pose(away, backwards),
            *_betas(prediction),
        ]
        table = {n: {"prediction": _range(said[n]), "label": _range(true[n])} for n in said}
        angles = {"from_mean_hand_rad": away, "transposed_rad": backwards}
        return ProbeResult(tuple(findings), {"ranges": table, **angles})


def _quantities(mesh: HandMesh, prediction: Prediction) -> dict[str, Tensor]:
    return {
        "keypoints_px": mesh.keypoints,
        "joints_m": mesh.joints,
        "relative_joints_m": mesh.joints - mesh.joints[:, :1],
        "position_m": prediction.camera.position,
        "fingers_rad": _turns(prediction.rotmats[:, 1:]),
        "orientation_rad": _turns(prediction.rotmats[:, :1]),
        "betas": prediction.betas,
    }


def _labels(target: HandTarget) -> dict[str, Tensor]:
    seen, mano = (
        target.joints_valid.all(-1) & (target.joints_valid > 0).all(-1),
        target.has_mano > 0,
    )
    return {
        "keypoints_px": target.keypoints[target.keypoints_valid > 0],
        "joints_m": target.joints[seen],
        "relative_joints_m": (target.joints - target.joints[:, :1])[seen],
        "position_m": target.joints[seen][:, 0],
        "fingers_rad": _turns(target.rotmats[mano][:, 1:]),
        "orientation_rad": _turns(target.rotmats[mano][:, :1]),
        "betas": target.betas[mano],
    }


def _turns(rotmats: Tensor) -> Tensor:
    return geodesic_angle(rotmats, torch.eye(3).expand_as(rotmats))


def _range(values: Tensor) -> dict[str, Any]:
    if not values.numel():
        return {"count": 0}
    flat = values.detach().reshape(-1).double()
    low, middle, high = (float(flat.quantile(q)) for q in (0.01, 0.5, 0.99))
    return {"p01": low, "median": middle, "p99": high, "rms": float(flat.square().mean().sqrt())}


def _length(joints: Tensor) -> float:
    return float((joints[:, MIDDLE_KNUCKLE] - joints[:, 0]).norm(dim=-1).median())


def _size(
    said: dict[str, Tensor], true: dict[str, Tensor], target: HandTarget
) -> Iterator[Finding]:
    if len(true["joints_m"]):
        ratio = _length(said["joints_m"]) / max(_length(true["joints_m"]), 1e-9)
        if not HAND_LENGTH[0] < ratio < HAND_LENGTH[1]:
            yield _finding(
                "hand-length",
                "error",
                "model.hand",
                f"The predicted hand is {ratio:.3g} times as long as the labelled one: another "
                "unit, or another joint order.",
                ratio=ratio,
            )
    full = (target.keypoints_valid > 0).all(-1)
    if full.any():
        extent = _extent(said["keypoints_px"]) / max(_extent(target.keypoints[full]), 1e-9)
        if not CROP_EXTENT[0] < extent < CROP_EXTENT[1]:
            yield _finding(
                "crop-extent",
                "error",
                "model.head.camera",
                f"In the crop the predicted hand is {extent:.3g} times as large as the labelled "
                "one: the 2D output is in another unit, or its camera in another image size.",
                ratio=extent,
            )


def _extent(keypoints: Tensor) -> float:
    return float((keypoints - keypoints.mean(1, keepdim=True)).norm(dim=-1).mean(-1).median())


def _place(
    prediction: Prediction, said: dict[str, Tensor], true: dict[str, Tensor], target: HandTarget
) -> Iterator[Finding]:
    known = len(true["joints_m"]) and bool((target.has_intrinsics > 0).any())
    if prediction.camera.anchor != "wrist" or not known:
        return
    ratio = float(said["position_m"][:, 2].median() / true["position_m"][:, 2].median())
    if not DEPTH[0] < ratio < DEPTH[1]:
        yield _finding(
            "depth",
            "error",
            "model.head.camera",
            f"The hand is put at {ratio:.3g} times its labelled depth: another unit, or a sign.",
            ratio=ratio,
        )


def _camera(prediction: Prediction, mesh: HandMesh, view: CropView) -> Iterator[Finding]:
    ahead = mesh.joints[..., 2] > 1e-3
    direct = project(mesh.joints, prediction.camera.intrinsics)
    gap = float((direct - mesh.keypoints)[ahead].abs().max()) if ahead.any() else 0.0
    if not gap < 0.1 + 1e-3 * float(direct[ahead].abs().max() if ahead.any() else 0.0):
        yield _finding(
            "projection",
            "error",
            "model.hand",
            f"Projecting the predicted joints with the predicted camera misses the predicted "
            f"keypoints by {gap:.3g} px.",
            gap_px=gap,
        )
    off = float((prediction.camera.intrinsics - view.intrinsics).abs().max())
    if prediction.camera.anchor == "wrist" and off > 1e-2:
        yield _finding(
            "other-camera",
            "error",
            "model.head.camera",
            f"The read-out places the wrist in a camera that differs from the crop's by {off:.3g} "
            "px: labels of position do not fit it.",
            gap_px=off,
        )
    height, width = view.crop_size
    centre = prediction.camera.intrinsics[:, :2, 2]
    size = centre.new_tensor((width, height))
    if prediction.camera.anchor != "wrist" and not ((centre > 0) & (centre < size)).all():
        yield _finding(
            "principal-point",
            "error",
            "model.head.camera",
            f"The virtual camera's centre {centre[0].tolist()} lies outside the crop of {width} x "
            f"{height} px: its numbers are not pixels of the crop.",
            centre=[float(value) for value in centre[0]],
        )


def _start_pose(away: float, backwards: float) -> Iterator[Finding]:
    if backwards < INVERSE * away:
        yield _finding(
            "transposed",
            "error",
            "model.head",
            f"A fresh head says the mean hand with its fingers bent backwards: {away:.2f} rad from "
            f"it, and {backwards:.2f} rad once its rotations are transposed.",
            angle_rad=away,
            transposed_rad=backwards,
            priority=0,
        )
    if away > FAR_FROM_MEAN:
        yield _finding(
            "start",
            "warning",
            "model.head",
            f"A fresh head says finger rotations that are {away:.2f} rad from the mean hand: it "
            "starts from no hand. Add its answer to the mean hand (residual, init='mean').",
            fix=("model.head.residual=true", "model.head.init=mean"),
            angle_rad=away,
            priority=0,
        )


def _betas(prediction: Prediction) -> Iterator[Finding]:
    rms = float(prediction.betas.square().mean().sqrt())
    if rms > WILD_BETAS:
        yield _finding(
            "betas",
            "warning",
            "model.head",
            f"A fresh head says betas of RMS {rms:.1f}; people lie within 3.",
            rms=rms,
        )


def _finding(
    name: str, severity: Any, path: str, message: str, fix: tuple[str, ...] = (), **evidence: Any
) -> Finding:
    return Finding(f"{Scale.id}/{name}", severity, path, message, evidence, fix)

"""Faults of arithmetic: ties, half turns, hands behind the camera, half precision."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.faults import Fault, override, with_config, with_model
from zoo.contracts import ViewChange
from zoo.geometry.rotation import rotmat_to_rotvec, rotvec_to_rotmat


def robust_with_where(model: nn.Module) -> None:
    def forward(self: Any, original: Any, prediction: Any, mesh: Any, target: Any) -> Tensor:
        size = (mesh.keypoints - target.keypoints).abs()
        beyond = 84 * (1 + torch.log(1 + (size - 84) / 84))
        return torch.where(size <= 84, size, beyond).mean()

    override(model.losses["reprojection"], forward=forward)


def euclidean_by_sqrt(model: nn.Module) -> None:
    def forward(self: Any, original: Any, prediction: Any, mesh: Any, target: Any) -> Tensor:
        return (mesh.joints - target.joints).square().sum(-1).sqrt().mean()

    override(model.losses["joints"], forward=forward)


def angle_by_arccos(model: nn.Module) -> None:
    def forward(self: Any, original: Any, prediction: Any, mesh: Any, target: Any) -> Tensor:
        between = prediction.rotmats.transpose(-1, -2) @ target.rotmats
        trace = between.diagonal(dim1=-2, dim2=-1).sum(-1)
        return torch.acos((trace - 1) / 2).mean()

    override(model.losses["orientation"], forward=forward)


def difference_of_rotvecs(model: nn.Module) -> None:
    def forward(self: Any, original: Any, prediction: Any, mesh: Any, target: Any) -> Tensor:
        said, true = (rotmat_to_rotvec(hand.rotmats) for hand in (prediction, target))
        known = target.has_mano > 0
        error = torch.where(known[:, None, None], (said - true).abs(), 0).mean((1, 2))
        return error.sum() / known.sum().clamp(min=1)

    override(model.losses["orientation"], forward=forward)


def projection_without_floor(model: nn.Module) -> None:
    def forward(self: Any, original: Any, prediction: Any, mesh: Any, target: Any) -> Tensor:
        depth = mesh.joints[..., 2:].clamp(min=1e-8)
        pixels = (mesh.joints / depth) @ prediction.camera.intrinsics.mT
        return (pixels[..., :2] - target.keypoints).abs().mean()

    override(model.losses["reprojection"], forward=forward)


def mean_of_nothing(model: nn.Module) -> None:
    def forward(self: Any, original: Any, prediction: Any, mesh: Any, target: Any) -> Tensor:
        errors = (prediction.betas - target.betas).square().mean(-1)
        return (errors * target.has_mano).sum() / target.has_mano.sum()

    override(model.losses["betas"], forward=forward)


def scale_from_invalid_finger(model: nn.Module) -> None:
    def forward(self: Any, original: Any, prediction: Any, mesh: Any, target: Any) -> Tensor:
        length = (target.joints[:, 12] - target.joints[:, 9]).norm(dim=-1)
        error = (mesh.joints - target.joints).abs().mean((1, 2)) / length
        return (error * target.joints_valid[:, 12]).mean()

    override(model.losses["joints"], forward=forward)


def hand_in_autocast(model: nn.Module) -> None:
    def forward(self: Any, original: Any, rotmats: Tensor, betas: Tensor) -> tuple[Tensor, Tensor]:
        posed = self.skinning(betas=betas, global_orient=rotmats[:, :1], hand_pose=rotmats[:, 1:])
        tips = posed.vertices[:, self.tip_vertices]
        return posed.vertices, torch.cat((posed.joints, tips), 1)[:, self.joint_order]

    def place(self: Any, original: Any, prediction: Any) -> Any:
        mesh = original(prediction)
        if not torch.is_autocast_enabled("cpu"):
            return mesh
        _, joints = self(prediction.rotmats, prediction.betas)
        offset = mesh.joints[:, :1] - joints[:, :1].bfloat16().float()
        return dataclasses.replace(mesh, joints=joints.bfloat16().float() + offset)

    override(model.hand, forward=forward, place=place)


def readout_in_half(model: nn.Module) -> None:
    def read(self: Any, original: Any, query: Any, view: Any) -> Any:
        said = original(query, view)
        low = said.camera.position.bfloat16()
        return dataclasses.replace(said, camera=dataclasses.replace(said.camera, position=low))

    override(model.head, read=read)


def loss_in_half(model: nn.Module) -> None:
    def forward(self: Any, original: Any, prediction: Any, mesh: Any, target: Any) -> Tensor:
        value = original(prediction, mesh, target)
        return value.bfloat16().float() if torch.is_autocast_enabled("cpu") else value

    override(model.losses["reprojection"], forward=forward)


def scale_by_division(model: nn.Module) -> None:
    def forward(self: Any, original: Any, token: Tensor, estimate: Any, view: Any) -> Any:
        reading = original(token, estimate, view)
        depth = 2 * self.focal / (128 * self.linear(token)[:, :1])
        position = torch.cat((reading.pose.position[:, :2], depth), -1)
        pose = dataclasses.replace(reading.pose, position=position)
        return dataclasses.replace(reading, pose=pose)

    override(model.head.camera, forward=forward)


class BareCrop:
    """A crop that divides by the side of the box, whatever it is."""

    blur = eval_blur = None

    def __init__(self, *, size: tuple[int, int], expand: float = 2.0) -> None:
        self.size, self.expand = size, expand

    def hand_box(self, stored: Tensor, keypoints: Tensor, valid: Tensor) -> Tensor:
        return stored

    def __call__(self, intrinsics: Tensor, hand_box: Tensor, rng: Any = None) -> Any:
        side = self.expand * (hand_box[:, 2:] - hand_box[:, :2]).amax(-1)
        scale, centre = self.size[0] / side, (hand_box[:, 2:] + hand_box[:, :2]) / 2
        change = torch.diag_embed(torch.stack((scale, scale, torch.ones_like(scale)), -1))
        change[:, :2, 2] = self.size[0] / 2 - scale[:, None] * centre
        linear = torch.eye(3).expand(len(side), 3, 3)
        return ViewChange(linear, change @ intrinsics)


def bare_crop(config: dict) -> None:
    size = config["augmentation"]["crop"]["size"]
    config["augmentation"]["crop"] = {"type": BareCrop, "size": size}


def through_angles(model: nn.Module) -> None:
    def read(self: Any, original: Any, query: Any, view: Any) -> Any:
        said = original(query, view)
        cosine = (said.rotmats.diagonal(dim1=-2, dim2=-1).sum(-1, keepdim=True) - 1) / 2
        angle = cosine.clamp(-1 + 1e-7, 1 - 1e-7).acos()
        skew = said.rotmats - said.rotmats.mT
        axis = torch.stack((skew[..., 2, 1], skew[..., 0, 2], skew[..., 1, 0]), dim=-1)
        rotvec = torch.where(angle < 1e-3, 0.0, axis / (2 * angle.sin()) * angle)
        return dataclasses.replace(said, rotmats=rotvec_to_rotmat(rotvec))

    override(model.head, read=read)


def detached_rotations(model: nn.Module) -> None:
    def read(self: Any, original: Any, query: Any, view: Any) -> Any:
        said = original(query, view)
        return dataclasses.replace(said, rotmats=0.3 * said.rotmats + 0.7 * said.rotmats.detach())

    override(model.head, read=read)


def start_of(*numbers: float) -> Callable[[nn.Module], None]:
    def change(model: nn.Module) -> None:
        model.head.init_hand_pose[:, :6] = torch.tensor(numbers)

    return change


FAULTS = [
    Fault(
        "logarithm-in-the-unselected-branch",
        with_model(robust_with_where),
        ("numeric.ties", "model.losses.reprojection"),
        "An exact tie of two pixel coordinates makes the gradient NaN (P-01).",
    ),
    Fault(
        "square-root-at-zero",
        with_model(euclidean_by_sqrt),
        ("numeric.ties", "model.losses.joints"),
        "The length of a zero difference has no gradient.",
    ),
    Fault(
        "angle-by-arccos",
        with_model(angle_by_arccos),
        ("numeric.ties", "model.losses.orientation"),
        "arccos has an infinite slope where both rotations agree (P-35).",
    ),
    Fault(
        "difference-of-rotation-vectors",
        with_model(difference_of_rotvecs),
        ("numeric.turns", "model.losses.orientation"),
        "Across a half turn, where upright wrists are, the sign of the vector turns round.",
    ),
    Fault(
        "projection-without-a-floor",
        with_model(projection_without_floor),
        ("numeric.extremes", "model.losses.reprojection"),
        "A hand at depth 0 costs 1e8 pixels (P-17).",
    ),
    Fault(
        "mean-over-no-label",
        with_model(mean_of_nothing),
        ("numeric.extremes", "model.losses.betas"),
        "A batch without MANO labels divides by zero.",
    ),
    Fault(
        "scale-from-an-unlabelled-finger",
        with_model(scale_from_invalid_finger),
        ("numeric.extremes", "model.losses.joints"),
        "Inf times a validity of 0 is NaN (P-01).",
    ),
    Fault(
        "depth-from-a-scale-of-zero",
        with_model(scale_by_division),
        ("numeric.extremes", ""),
        "The scale may pass through zero and nothing holds the division.",
        base="hamer",
    ),
    Fault(
        "crop-of-an-empty-box",
        with_config(bare_crop),
        ("numeric.extremes", "augmentation.crop"),
        "A box without a side makes a crop of NaN (P-30).",
    ),
    Fault(
        "hand-model-inside-autocast",
        with_model(hand_in_autocast),
        ("numeric.precision", "model.hand"),
        "MANO in bf16 moves joints by up to 4 mm (P-02).",
    ),
    Fault(
        "read-out-in-half-precision",
        with_model(readout_in_half),
        ("numeric.precision", "model.head"),
        "Positions leave the head in bf16, in steps of 4 mm at one metre.",
    ),
    Fault(
        "loss-in-half-precision",
        with_model(loss_in_half),
        ("numeric.precision", "model.losses.reprojection"),
        "Pixels above 512 are counted in steps of 4 (P-02).",
    ),
    Fault(
        "rotations-through-angles",
        with_model(through_angles),
        ("numeric.rotations", "model.head"),
        "Matrices are taken to angles by a formula that is wrong near pi and zero near 0 (V8).",
    ),
    Fault(
        "rotations-without-their-gradient",
        with_model(detached_rotations),
        ("numeric.rotations", "model.head"),
        "Rotations pass on a third of the gradient their numbers should get.",
    ),
    Fault(
        "start-of-parallel-columns",
        with_model(start_of(1.0, 0.0, 0.0, -1.0, 0.0, 1.5e-7)),
        ("numeric.start", "model.head"),
        "The mean wrist is read in another layout: two parallel columns are no rotation (V11).",
    ),
    Fault(
        "start-turned-by-a-quarter",
        with_model(start_of(1.0, 0.0, 0.0, 0.0, 0.0, 1.0)),
        ("numeric.start", "model.head"),
        "What Gram-Schmidt makes of parallel columns is an arbitrary quarter turn (V11).",
    ),
]

"""Predictions and labels as CS-ViT2's losses were recorded with them: mm there, metres here."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from torch import Tensor, nn

from zoo.contracts import CameraPose, HandAsset, HandMesh, HandTarget, Prediction
from zoo.geometry.camera import project
from zoo.geometry.representation import REPRESENTATIONS
from zoo.geometry.rotation import rotvec_to_rotmat
from zoo.mano.layer import ManoLayer
from zoo.mano.topology import hand_scale

ORACLES = Path(__file__).parents[1] / "oracles"


def recorded_asset() -> tuple[HandAsset, np.ndarray]:
    """The licence-free hand of the recordings, and (21, 778) its joints in the posed surface."""
    arrays = dict(np.load(ORACLES / "csvit2_hand.npz"))
    regressor = arrays.pop("regressor21")
    return HandAsset(name="recorded", hands_components=np.eye(45), **arrays), regressor


def recorded_hand(*, detach_wrist: bool = False) -> ManoLayer:
    """The recordings' hand as a layer."""
    asset, regressor = recorded_asset()
    return ManoLayer(asset=asset, joint_regressor=regressor, detach_wrist=detach_wrist)


class Recorded:
    """One file of recorded losses; every frame of every clip is a hand of its own.

    frame: None for all frames, -1 for the last of each clip.
    """

    def __init__(self, file: str, hand: ManoLayer) -> None:
        self.arrays, self.hand = np.load(ORACLES / file), hand

    def __call__(self, name: str) -> Tensor:
        return torch.from_numpy(self.arrays[name])

    def __contains__(self, name: str) -> bool:
        return name in self.arrays

    def flat(self, name: str, frame: int | None = None) -> Tensor:
        """(hands, ...) of an array of clips and frames."""
        value = self(name)
        return value.flatten(0, 1) if frame is None else value[:, frame]

    def intrinsics(self, inputs: str, frame: int | None = None) -> Tensor:
        focal, center = (self.flat(f"{inputs}/{name}", frame) for name in ("focal", "princpt"))
        camera = torch.diag_embed(torch.cat([focal, torch.ones_like(focal[:, :1])], dim=-1))
        camera[:, :2, 2] = center
        return camera

    def target(
        self, inputs: str, masks: str = "partial", frame: int | None = None, *, wrists: bool = True
    ) -> HandTarget:
        """The labels; the original compares projections of joints, not labelled keypoints.

        masks: "partial" as stored, "allvalid", "nonevalid".
        wrists: marks every wrist as labelled. The original stores wrist-relative labels beside the
            others, so a wrist without label stops none of its relative terms.
        """
        fill = {"allvalid": 1.0, "nonevalid": 0.0}.get(masks)

        def mask(*names: str) -> Tensor:
            name = next(name for name in names if f"{inputs}/{name}" in self)
            value = self.flat(f"{inputs}/{name}", frame).clone()
            return value if fill is None else value.fill_(fill)

        joints = self.flat(f"{inputs}/joint_cam", frame) / 1000
        valid = mask("joint_3d_valid", "joint_valid")
        if wrists and masks == "partial":
            valid[:, 0] = 1
        has_mano = mask("has_mano", "mano_valid")
        has_camera = torch.ones_like(has_mano)
        if f"{inputs}/has_intr" in self:
            has_camera = mask("has_intr")
        return HandTarget(
            rotmats=self.rotmats(f"{inputs}/mano_pose", frame),
            betas=self.flat(f"{inputs}/mano_shape", frame),
            has_mano=has_mano,
            joints=joints,
            joints_valid=valid,
            keypoints=project(joints, self.intrinsics(inputs, frame)),
            keypoints_valid=mask("joint_2d_valid", "joint_valid"),
            has_intrinsics=has_camera,
        )

    def rotmats(self, name: str, frame: int | None = None) -> Tensor:
        """Absolute rotations of recorded axis-angle numbers, which are relative to the mean."""
        rotvec = self.flat(name, frame).unflatten(-1, (16, 3))
        return rotvec_to_rotmat(rotvec + self.mean_pose)

    @property
    def mean_pose(self) -> Tensor:
        return torch.cat((torch.zeros(3), self.hand.hands_mean)).view(16, 3)

    def numbers(
        self, term: nn.Module, name: str, frame: int | None = None, *, absolute: bool = False
    ) -> nn.Module:
        """The term with the recorded label numbers, some of which are longer than half a turn.

        Here labels are matrices, whose rotation vector never is.
        absolute: for a head whose numbers hold the mean pose.
        """
        label = self.flat(name, frame).unflatten(-1, (16, 3))
        label = label + self.mean_pose if absolute else label
        part = getattr(term, "part", "all")
        chosen = {"all": slice(None), "global": slice(1), "hand": slice(1, None)}[part]
        own = REPRESENTATIONS["rotvec"]._replace(from_rotmat=lambda _: label[:, chosen])
        compare = term.forward

        def told(*given: object) -> Tensor:
            with mock.patch.dict(REPRESENTATIONS, rotvec=own):
                return compare(*given)

        term.forward = told
        return term

    def predict(
        self, source: str, inputs: str, *, in_hands: bool = False, detach_betas: bool = True
    ) -> Said:
        """What the recorded prediction is, with leaves for its gradients."""
        leaves = {
            name: self.flat(f"{source}/{name}_pred").clone().requires_grad_()
            for name in ("pose", "shape", "trans")
        }
        frames = self(f"{source}/pose_pred").shape[1]
        frame = None if frames == self(f"{inputs}/joint_cam").shape[1] else -1
        pose = leaves["pose"].unflatten(-1, (16, 3))
        rotmats, betas = rotvec_to_rotmat(pose + self.mean_pose), leaves["shape"]
        aux = {"pose_rotvec": pose}
        position = leaves["trans"] / 1000
        if in_hands:
            aux["wrist_in_hands"] = leaves["trans"]
            own = hand_scale(self.hand(rotmats.detach(), betas.detach())[1])
            position = leaves["trans"] * own[:, None]  # as a head does
        camera = CameraPose(position, "wrist", self.intrinsics(inputs, frame))
        prediction = Prediction(rotmats, betas, camera, aux)
        placed = prediction
        if detach_betas:
            placed = dataclasses.replace(prediction, betas=betas.detach())
        return Said(prediction, self.hand.place(placed), leaves)


@dataclasses.dataclass(frozen=True)
class Said:
    """A prediction, its mesh, and the leaves both hang on."""

    prediction: Prediction
    mesh: HandMesh
    leaves: dict[str, Tensor]

    def of(self, term: nn.Module, target: HandTarget) -> Tensor:
        """The unweighted value of a loss term."""
        return term(self.prediction, self.mesh, target)

"""The one place that turns MANO parameters into a surface, and knows where its origin lies."""

from __future__ import annotations

import contextlib
import dataclasses
import io
from collections.abc import Callable

import numpy as np
import roma
import smplx
import torch
from smplx.utils import Struct
from torch import Tensor, nn

from zoo.contracts import HandAsset, HandMesh, HandTarget, Prediction
from zoo.geometry.camera import project
from zoo.mano.topology import OPENPOSE_FROM_MANO, TIP_DEFINITIONS


class ManoLayer(nn.Module):
    """A posed hand from rotations and betas: 778 vertices and 21 joints, differentiable, in fp32.

    Its buffers never enter a state dict (a licensed hand must not travel inside a checkpoint) and
    never leave fp32, even when the model around it is cast.

    asset: the hand, from `zoo.mano.files.load` or `zoo.mano.procedural.load`.
    tips: which vertices end the fingers, "vertices" (smplx, HaMeR) or "manopth".
    joint_regressor: (21, 778) rows of vertex weights in OpenPose order that replace skeleton and
        tips by a reading of the posed surface, as CS-ViT2 does.
    min_depth: m; `place` projects nearer joints as if they stood there. None divides as it is.
    detach_wrist: no gradient passes through the wrist that `place` moves to the predicted position,
        as CS-ViT2 of February 2026 trained; values are the same.

    Source: Romero, Tzionas and Black, Embodied Hands, SIGGRAPH Asia 2017, equations 1 to 4.
    """

    faces: Tensor  # (F, 3) int64

    def __init__(
        self,
        *,
        asset: HandAsset,
        tips: str = "vertices",
        joint_regressor: np.ndarray | None = None,
        min_depth: float | None = None,
        detach_wrist: bool = False,
    ) -> None:
        super().__init__()
        if tips not in TIP_DEFINITIONS:
            raise ValueError(
                f"ManoLayer: tips is {tips!r}, known are {', '.join(map(repr, TIP_DEFINITIONS))}."
            )
        self.name, self.min_depth, self.detach_wrist = asset.name, min_depth, detach_wrist
        self.skinning = _skinning(asset)
        constant = {
            "faces": np.asarray(asset.faces, np.int64),
            "hands_mean": np.asarray(asset.hands_mean, np.float32),
            "tip_vertices": np.array(TIP_DEFINITIONS[tips]),
            "joint_order": np.array(OPENPOSE_FROM_MANO),
        }
        for key, value in constant.items():
            self.register_buffer(key, torch.tensor(value), persistent=False)
        self.register_buffer(
            "joint_regressor", _regressor(joint_regressor, len(asset.v_template)), persistent=False
        )

    def forward(self, rotmats: Tensor, betas: Tensor) -> tuple[Tensor, Tensor]:
        """Vertices and joints in MANO's own frame, whose origin is not the wrist.

        rotmats: (B, 16, 3, 3) absolute, the mean pose included.
        betas: (B, 10).
        returns: vertices (B, 778, 3) m, joints (B, 21, 3) m in OpenPose order; always fp32.
        """
        with torch.autocast(rotmats.device.type, enabled=False):
            rotmats, betas = rotmats.float(), betas.float()
            posed = self.skinning(
                betas=betas, global_orient=rotmats[:, :1], hand_pose=rotmats[:, 1:]
            )
            if self.joint_regressor is not None:
                return posed.vertices, self.joint_regressor @ posed.vertices
            tips = posed.vertices[:, self.tip_vertices]
            return posed.vertices, torch.cat((posed.joints, tips), 1)[:, self.joint_order]

    def place(self, prediction: Prediction) -> HandMesh:
        """The predicted surface in the camera, and its joints as the camera sees them.

        prediction.camera.anchor says which point stands at `position`: the wrist joint
        (CS-ViT2), or the origin of MANO's own frame (HaMeR).
        """
        with torch.autocast(prediction.rotmats.device.type, enabled=False):
            vertices, joints = self(prediction.rotmats, prediction.betas)
            camera = prediction.camera
            offset = camera.position.float()[:, None]
            if camera.anchor == "wrist":
                wrist = joints[:, :1]
                offset = offset - (wrist.detach() if self.detach_wrist else wrist)
            vertices, joints = vertices + offset, joints + offset
            intrinsics = camera.intrinsics.float()
            keypoints = project(joints, intrinsics, min_depth=self.min_depth)
            return HandMesh(vertices, joints, keypoints)

    @torch.no_grad()
    def place_target(self, target: HandTarget) -> HandTarget:
        """The same target with the labelled surface filled in, its wrist on the labelled wrist.

        A hand without MANO labels or without a labelled wrist gets zeros and `vertices_valid` 0.
        """
        vertices, joints = self(target.rotmats, target.betas)
        wrist = target.joints[:, :1].float()
        valid = (target.has_mano > 0) & (target.joints_valid[:, 0] > 0)
        placed = vertices - joints[:, :1] + wrist
        return dataclasses.replace(
            target,
            vertices=torch.where(valid[:, None, None], placed, torch.zeros_like(placed)),
            vertices_valid=valid.to(target.has_mano.dtype),
        )

    def mean_pose_rotmats(self) -> Tensor:
        """MANO's mean hand pose as rotations, an upright wrist first.

        returns: (16, 3, 3) absolute.
        """
        rotvec = torch.cat((self.hands_mean.new_zeros(3), self.hands_mean))
        return roma.rotvec_to_rotmat(rotvec.view(16, 3))

    def _apply(self, change: Callable[[Tensor], Tensor], recurse: bool = True) -> nn.Module:
        # A cast of the whole model may move the hand to another device, never to another type:
        # bf16 vertices are off by 0.2 to 1.1 mm.
        def move(tensor: Tensor) -> Tensor:
            moved = change(tensor)
            return moved if moved.dtype == tensor.dtype else tensor.to(moved.device)

        return super()._apply(move, recurse)


def _skinning(asset: HandAsset) -> smplx.MANOLayer:
    """The smplx layer, built from memory, quietly, with buffers that no state dict keeps."""
    data = Struct(
        v_template=asset.v_template,
        f=asset.faces,
        weights=asset.weights,
        posedirs=asset.posedirs,
        shapedirs=asset.shapedirs,
        J_regressor=asset.joint_regressor,
        kintree_table=np.stack((asset.parents, np.arange(len(asset.parents)))),
        hands_mean=asset.hands_mean,
        hands_components=asset.hands_components,
    )
    with contextlib.redirect_stdout(io.StringIO()):  # it warns that ten betas are "only" ten
        layer = smplx.MANOLayer(
            "", data_struct=data, use_pca=False, flat_hand_mean=True, create_body_pose=False
        )
    for module in layer.modules():
        for name, buffer in module.named_buffers(recurse=False):
            module.register_buffer(name, buffer, persistent=False)
    return layer


def _regressor(rows: np.ndarray | None, num_vertices: int) -> Tensor | None:
    if rows is None:
        return None
    if rows.shape != (21, num_vertices):
        raise ValueError(
            f"ManoLayer: joint_regressor has shape {rows.shape}, expected (21, {num_vertices}): "
            "one row of vertex weights for each joint in OpenPose order."
        )
    return torch.tensor(np.asarray(rows, np.float32))

"""A few posed hands with exact labels on pictures of noise: all that a test of a part needs."""

from __future__ import annotations

import numpy as np
import torch

from registry.build import build_hand
from zoo.contracts import CropView, Frame, FrameBatch, HandMesh, HandTarget
from zoo.geometry.camera import box_of_points, project
from zoo.geometry.rotation import rotvec_to_rotmat
from zoo.mano.layer import ManoLayer
from zoo.mano.procedural.pose_prior import PosePrior

SIDE = 96  # px of a picture
FOCAL = 120.0  # px


def posed_hands(hand: ManoLayer, count: int, *, seed: int, frames: int | None = None) -> FrameBatch:
    """So many hands in front of a camera, each labelled with everything a hand can be.

    frames: of each clip; None gives single pictures, count of them either way.
    """
    rng = np.random.default_rng(seed)
    fingers = torch.from_numpy(PosePrior.load().sample(count, rng)).float().view(count, 15, 3)
    wrist = torch.from_numpy(rng.uniform(-1.0, 1.0, (count, 1, 3))).float()
    rotmats = rotvec_to_rotmat(torch.cat((wrist, fingers), dim=1))
    betas = torch.from_numpy(rng.standard_normal((count, 10))).float()
    place = torch.from_numpy(rng.uniform((-0.05, -0.05, 0.5), (0.05, 0.05, 0.8), (count, 3)))
    _, joints = hand(rotmats, betas)
    joints = joints - joints[:, :1] + place.float()[:, None]
    center = (SIDE - 1) / 2
    camera = torch.tensor([[FOCAL, 0.0, center], [0.0, FOCAL, center], [0.0, 0.0, 1.0]])
    keypoints = project(joints, camera.expand(count, 3, 3))
    valid = torch.ones(count, joints.shape[1])
    boxes = box_of_points(keypoints, valid)
    made = [
        Frame(
            image=torch.from_numpy(rng.integers(0, 256, (3, SIDE, SIDE), dtype=np.uint8)),
            intrinsics=camera,
            hand_box=boxes[i],
            is_left=bool(i % 2) and frames is None,
            label=HandTarget(
                rotmats=rotmats[i],
                betas=betas[i],
                has_mano=torch.ones(()),
                joints=joints[i],
                joints_valid=valid[i],
                keypoints=keypoints[i],
                keypoints_valid=valid[i],
                has_intrinsics=torch.ones(()),
            ),
            key=f"hand-{i}",
            source="posed",
        )
        for i in range(count)
    ]
    return FrameBatch(tuple(made), **({} if frames is None else _clips(count, frames)))


def a_view(count: int, *, size: int = 64) -> CropView:
    """So many crops of noise, of size x size px, each seen by the same camera."""
    rng = torch.Generator().manual_seed(0)
    center = (size - 1) / 2
    camera = torch.tensor([[2.0 * size, 0.0, center], [0.0, 2.0 * size, center], [0.0, 0.0, 1.0]])
    return CropView(
        images=torch.rand(count, 3, size, size, generator=rng),
        intrinsics=camera.expand(count, 3, 3).clone(),
        hand_box=torch.tensor([0.25, 0.25, 0.75, 0.75]).mul(size).expand(count, 4).clone(),
        frame_from_crop=torch.eye(3).expand(count, 3, 3).clone(),
        is_left=torch.zeros(count, dtype=torch.bool),
    )


def a_hand_and_its_label(count: int = 2, *, asset: str = "clayhand") -> tuple[HandMesh, HandTarget]:
    """Hands, and labels that say exactly the same, for tests of losses and metrics."""
    hand = build_hand({"model": {"hand": {"asset": asset}}})
    labels = [frame.label for frame in posed_hands(hand, count, seed=0).frames]
    names = [name for name, value in vars(labels[0]).items() if value is not None]
    target = HandTarget(**{n: torch.stack([getattr(label, n) for label in labels]) for n in names})
    target = hand.place_target(target)
    mesh = HandMesh(target.vertices.clone(), target.joints.clone(), target.keypoints.clone())
    return mesh, target


def _clips(count: int, frames: int) -> dict[str, torch.Tensor]:
    clips = count // frames
    return {
        "times": torch.linspace(-0.1, 0.0, frames, dtype=torch.float64).expand(clips, frames),
        "rows": torch.arange(count).view(clips, frames),
        "runs": torch.arange(clips).repeat_interleave(frames),
    }

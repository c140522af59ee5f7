"""What may have gone wrong with a label: each usual mistake undone, to see whether that helps."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from zoo.geometry.camera import project
from zoo.mano.topology import FINGERS, OPENPOSE_FROM_MANO, mirror_points, mirror_rotmats

RIGHT_ORDER = "wrist first, base to tip: thumb, index, middle, ring, pinky"
HELPS = 0.2  # of the error left: so much has to vanish before a mistake is named
_OPENGL = (1.0, -1.0, -1.0)


@dataclass(frozen=True)
class Hypothesis:
    """Points as they would be if a mistake had been made, and what that mistake is called."""

    name: str  # "as it is" for no mistake
    points: Tensor  # (B, 21, 2 or 3)


def explained(means: Mapping[str, float], ways: list[Hypothesis]) -> str:
    """The mistake that explains an error, as the end of a sentence; nothing where none does.

    means: the mean error left under each hypothesis.
    """
    others = [way.name for way in ways if way.name != "as it is"]
    best = min(others, key=lambda name: means[name])
    if means[best] > HELPS * means["as it is"]:
        return ""
    return f"; {best} explains it (error then {means[best]:.3g})"


def keypoint_hypotheses(joints: Tensor, intrinsics: Tensor, box: Tensor) -> list[Hypothesis]:
    """Where keypoints would be written down after each usual mistake.

    joints: (B, 21, 3) m. intrinsics: (B, 3, 3) px. box: (B, 4) px.
    """
    seen = project(joints, intrinsics)
    center = intrinsics[:, None, :2, 2]
    swapped = intrinsics.clone()
    swapped[:, (0, 1), 2] = intrinsics[:, (1, 0), 2]
    ways = {
        "as it is": seen,
        "OpenGL axes (y and z turned round)": project(
            joints * joints.new_tensor(_OPENGL), intrinsics
        ),
        "x and y exchanged": seen.flip(-1),
        "principal point x and y exchanged": project(joints, swapped),
        "keypoints measured from the principal point": seen - center,
        "keypoints measured from the box's corner": seen - box[:, None, :2],
        "a mirrored picture": torch.cat((2 * center[..., :1] - seen[..., :1], seen[..., 1:]), -1),
    }
    for factor in (2.0, 4.0, 1000.0):
        ways[f"keypoints {factor:g} times too small"] = seen / factor
        ways[f"keypoints {factor:g} times too large"] = seen * factor
    width = 2 * center + 1
    ways["keypoints in [0, 1]"] = seen / width
    ways["keypoints in [-1, 1]"] = 2 * seen / width - 1
    return [Hypothesis(name, points) for name, points in ways.items()]


@torch.no_grad()
def pose_hypotheses(
    hand: nn.Module, rotmats: Tensor, betas: Tensor, is_left: Tensor
) -> list[Hypothesis]:
    """The joints that labelled parameters pose, read right and after each usual mistake.

    rotmats: (B, 16, 3, 3). betas: (B, 10). is_left: (B,), hands to pose as mirror images.
    """
    turned = torch.where(is_left[:, None, None, None], mirror_rotmats(rotmats), rotmats)
    mean = hand.mean_pose_rotmats()
    transposed, added = turned.mT, mean @ turned
    orient_left = torch.cat((turned[:, :1].mT, turned[:, 1:]), 1)
    upright = torch.cat((mean[:1].expand_as(turned[:, :1]), turned[:, 1:]), 1)
    added = torch.cat((turned[:, :1], added[:, 1:]), 1)
    ways = {
        "as it is": (turned, betas),
        "rotations stored transposed": (transposed, betas),
        "a global orientation stored transposed": (orient_left, betas),
        "a global orientation left out": (upright, betas),
        "a pose relative to the mean hand's": (added, betas),
        "a pose mirrored once too often": (mirror_rotmats(turned), betas),
        "another shape (betas of zero)": (turned, torch.zeros_like(betas)),
        "betas of the other sign": (turned, -betas),
    }
    answer = []
    for name, (pose, shape) in ways.items():
        _, joints = hand(pose, shape)
        joints = torch.where(is_left[:, None, None], mirror_points(joints), joints)
        answer.append(Hypothesis(name, joints))
    joints = answer[0].points
    answer.append(
        Hypothesis("OpenGL axes (y and z turned round)", joints * joints.new_tensor(_OPENGL))
    )
    answer.append(Hypothesis("joints mirrored", mirror_points(joints)))
    answer.append(Hypothesis("joints in millimetres", joints * 1000))
    native = torch.tensor(OPENPOSE_FROM_MANO).argsort()
    answer.append(Hypothesis("joints in MANO's order, tips last", joints[:, native]))
    return answer


def joint_layouts() -> Iterator[tuple[str, Tensor]]:
    """Orders data sets list joints in: a name, and the table that gathers OpenPose's order."""
    chains = torch.arange(1, 21).view(5, 4)
    for layout, wrist, rows in (
        ("wrist first, base to tip", 0, chains),
        ("wrist first, tip to base", 0, chains.flip(1)),
        ("wrist last, base to tip", 20, chains - 1),
        ("wrist last, tip to base", 20, chains.flip(1) - 1),
    ):
        for fingers in itertools.permutations(range(5)):
            named = ", ".join(FINGERS[fingers.index(slot)] for slot in range(5))
            order = torch.cat((torch.tensor([wrist]), rows[list(fingers)].flatten()))
            yield f"{layout}: {named}", order
    yield "MANO's 16 joints, then 5 tips", torch.tensor(OPENPOSE_FROM_MANO)

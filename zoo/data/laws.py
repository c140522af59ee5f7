"""The laws one labelled hand has to obey, each a number that must not exceed its limit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from zoo.data.joint_order import curl
from zoo.data.schema import COLUMNS, ClipSample
from zoo.mano.topology import BONES

SHORTEST_BONE, LONGEST_BONE = 0.01, 0.12  # m, a child's finger tip to a large palm
DECISIVE_CURL = 0.15  # straighter fingers do not tell left from right
_PARENT, _CHILD = (np.array(ends) for ends in zip(*BONES, strict=True))
_MM_PER_M = 1000.0


@dataclass(frozen=True)
class LabelledHand:
    """One hand in one frame of a sample: its arrays without the axes H and T."""

    sample: ClipSample
    hand: int
    frame: int

    def __getitem__(self, name: str) -> np.ndarray:
        index = (self.hand, self.frame) if COLUMNS[name].axes[0] == "H" else self.frame
        return self.sample.arrays[name][index]

    @property
    def source(self) -> str:
        return str(self.sample.meta.get("dataset", "unknown"))

    @property
    def side(self) -> str:
        return str(self.sample.meta["hands"][self.hand].get("side"))

    @property
    def picture(self) -> Mapping[str, Any]:
        return self.sample.meta["frames"][self.frame]

    @property
    def name(self) -> str:
        """Key of the sample, with hand and frame where it has several."""
        several = self.sample.arrays["present"].size > 1
        return f"{self.sample.key}#{self.hand}.{self.frame}" if several else self.sample.key


@dataclass(frozen=True)
class Law:
    """A number that must not exceed a limit; None where the hand's labels say nothing."""

    id: str
    severity: Literal["error", "warning"]
    limit: float
    unit: str
    measure: Callable[[LabelledHand], float | None] | None  # None: measured by the caller
    says: Callable[[float], str]  # of the worst value: what is wrong
    allowed: float = 0.0  # share of the hands that may break it
    error_share: float = 1.0  # a larger share makes an error of a warning


def not_finite(hand: LabelledHand) -> float:
    """How many numbers a reader may use are NaN or infinite."""
    names = [name for name, column in COLUMNS.items() if column.flag or name.endswith("_conf")]
    return float(sum((~np.isfinite(hand[name])).sum() for name in names))


def projection_error(hand: LabelledHand) -> float | None:
    """px, the largest distance between a keypoint and its joint seen by the camera."""
    both = (hand["kp3d_conf"] > 0) & (hand["kp2d_conf"] > 0) & (hand["kp3d"][:, 2] > 1e-6)
    if not hand["has_K"] or not both.any():
        return None
    image = hand["kp3d"][both].astype(np.float64) @ hand["K"].astype(np.float64).T
    return _largest(np.linalg.norm(image[:, :2] / image[:, 2:] - hand["kp2d"][both], axis=1))


def behind_camera(hand: LabelledHand) -> float | None:
    """m, how far the farthest joint behind the camera's centre lies behind it; negative if none."""
    valid = hand["kp3d_conf"] > 0
    return _largest(-hand["kp3d"][valid, 2]) if valid.any() else None


def bone_misfit(hand: LabelledHand) -> float | None:
    """How many times longer than 12 cm, or shorter than 1 cm, the most misfitting bone is."""
    valid = hand["kp3d_conf"] > 0
    both = valid[_PARENT] & valid[_CHILD]
    if not both.any():
        return None
    lengths = np.linalg.norm((hand["kp3d"][_CHILD] - hand["kp3d"][_PARENT])[both], axis=1)
    too_short = SHORTEST_BONE / np.maximum(lengths, 1e-9)
    return _largest(np.maximum(lengths / LONGEST_BONE, too_short))


def outside_box(hand: LabelledHand) -> float | None:
    """px, how far outside the box the farthest labelled keypoint lies; negative if none."""
    valid = hand["kp2d_conf"] > 0
    if not hand["has_bbox"] or not valid.any():
        return None
    points, box = hand["kp2d"][valid], hand["bbox_xyxy"]
    return _largest(np.maximum(box[:2] - points, points - box[2:]))


def focal_misfit(hand: LabelledHand) -> float | None:
    """How far the focal length leaves 0.3 to 30 longer sides of the picture, as a factor."""
    if not hand["has_K"]:
        return None
    side = max(hand.picture["width"], hand.picture["height"])
    focal = np.maximum(hand["K"][[0, 1], [0, 1]].astype(np.float64), 1e-9)
    return _largest(np.maximum(focal / (30 * side), 0.3 * side / focal))


def largest_beta(hand: LabelledHand) -> float | None:
    """Standard deviations, the largest shape parameter."""
    return _largest(np.abs(hand["mano_betas"])) if hand["has_mano_betas"] else None


def curled_as_other_side(hand: LabelledHand) -> float | None:
    """How decidedly the fingers bend as the other hand's would; negative for its own side's."""
    if not (hand["kp3d_conf"] > 0).all() or not np.isfinite(hand["kp3d"]).all():
        return None
    bend = curl(hand["kp3d"].astype(np.float64))
    if abs(bend) < DECISIVE_CURL:
        return None
    return bend if hand.side == "left" else -bend


def _bone_says(worst: float) -> str:
    unit = "millimetres" if worst > 150 else "centimetres" if worst > 15 else None
    guess = f"; the joints seem to be in {unit}, they must be in metres" if unit else ""
    return f"a bone is shorter than 1 cm or longer than 12 cm{guess}"


LAWS = (
    Law("data.finite", "error", 0, "numbers", not_finite, lambda _: "NaN or infinite labels"),
    Law(
        "data.projection",
        "error",
        0.5,
        "px",
        projection_error,
        lambda _: "keypoints are not where the camera sees the joints",
    ),
    Law(
        "data.depth",
        "error",
        0,
        "m",
        behind_camera,
        lambda _: "joints lie behind the camera; OpenGL axes are turned by (1, -1, -1)",
    ),
    Law("data.bones", "error", 1, "times the limit", bone_misfit, _bone_says),
    Law(
        "data.box",
        "warning",
        1,
        "px",
        outside_box,
        lambda _: "labelled keypoints lie outside the hand box; is it x, y, width, height?",
        error_share=0.5,
    ),
    Law(
        "data.camera",
        "warning",
        1,
        "times the limit",
        focal_misfit,
        lambda _: "the focal length is not between 0.3 and 30 picture sides",
    ),
    Law("data.betas", "warning", 6, "sd", largest_beta, lambda _: "MANO shape is implausible"),
    Law(
        "data.side",
        "error",
        0,
        "of a right angle",
        curled_as_other_side,
        lambda _: "fingers bend as the other hand's would; is the side wrong, or an axis mirrored?",
        allowed=0.1,
    ),
)


def _largest(values: np.ndarray) -> float:
    return float(np.max(values))

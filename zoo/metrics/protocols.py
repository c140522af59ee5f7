"""Published ways of judging by name: joints, tips, alignment, unit, box and split in one place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from zoo.mano.topology import OPENPOSE_FROM_MANO
from zoo.metrics import official

TIPS = {  # vertices at the finger tips, thumb first
    "smplx": (744, 320, 443, 554, 671),
    "freihand": (744, 320, 443, 555, 672),
    "ho3d": (744, 333, 444, 555, 672),
    "manopth": (745, 317, 444, 556, 673),
}
_TIP_JOINTS = [4, 8, 12, 16, 20]
HO3D_FROM_OPENPOSE = [OPENPOSE_FROM_MANO.index(k) for k in range(21)]
# InterHand2.6M lists a hand tip to base, wrist last; the order inside does not move the mean.
INTERHAND_FROM_OPENPOSE = [4, 3, 2, 1, 8, 7, 6, 5, 12, 11, 10, 9, 16, 15, 14, 13, 20, 19, 18, 17, 0]
# The challenge's landmarks: five tips, thumb (2), index (3), middle, ring and little finger.
HOT3D_FROM_OPENPOSE = [
    OPENPOSE_FROM_MANO.index(k)
    for k in (16, 17, 18, 19, 20, 14, 15, 1, 2, 3, 4, 5, 6, 10, 11, 12, 7, 8, 9)
]


@dataclass(frozen=True)
class Answers:
    """What a model said of N hands and what is true, left hands mirrored alike on both sides."""

    joints: Tensor  # (N, 21, 3) m
    vertices: Tensor  # (N, 778, 3) m
    keypoints: Tensor  # (N, 21, 2) px of the crop
    label_joints: Tensor
    joints_valid: Tensor  # (N, 21)
    label_vertices: Tensor | None
    vertices_valid: Tensor | None  # (N,)
    label_keypoints: Tensor
    keypoints_valid: Tensor
    box_side: Tensor  # (N,) px of the crop, the longer side of the hand box
    is_left: Tensor  # (N,) bool
    keys: tuple[str, ...]


@dataclass(frozen=True)
class Protocol:
    """A published benchmark: what it compares, and the function that does."""

    name: str
    dataset: str
    split: str
    joints: str
    tips: str | None  # of TIPS; None leaves the model's own
    alignment: str
    unit: str
    box: str
    score: Callable[[Answers], dict[str, float]]

    def table(self) -> dict[str, str]:
        """What has to be said with every number."""
        return {
            "data set": self.dataset,
            "split": self.split,
            "joints": self.joints,
            "finger tips": self.tips or "the model's own",
            "alignment": self.alignment,
            "unit": self.unit,
            "box": self.box,
        }

    def predicted_joints(self, answers: Answers) -> Tensor:
        """(N, 21, 3) m, the predicted joints with the tips this protocol means."""
        return with_tips(answers.joints, answers.vertices, self.tips)

    def __call__(self, answers: Answers) -> dict[str, float]:
        """The scores, by the official names where there are some.

        Raises ValueError where no hand carries the labels this protocol compares.
        """
        moved = {**vars(answers), "joints": self.predicted_joints(answers)}
        return self.score(Answers(**moved))


def with_tips(joints: Tensor, vertices: Tensor, tips: str | None) -> Tensor:
    """Joints (N, 21, 3) whose finger tips are the vertices one data set calls so."""
    if tips is None or vertices.shape[1] != 778:
        return joints
    joints = joints.clone()
    joints[:, _TIP_JOINTS] = vertices[:, list(TIPS[tips])]
    return joints


def find(name: str) -> Protocol:
    """The protocol of a name; raises ValueError listing all."""
    if name not in PROTOCOLS:
        raise ValueError(f"There is no protocol {name!r}; known are {', '.join(PROTOCOLS)}.")
    return PROTOCOLS[name]


def _complete(answers: Answers, what: str, valid: Tensor) -> Tensor:
    """Which hands are labelled wholly; at least one has to be."""
    whole = valid.reshape(len(valid), -1).bool().all(1)
    if not whole.any():
        raise ValueError(
            f"No hand carries {what}, which this protocol compares; convert the evaluation split "
            "with the annotation released later, or write a submission file instead."
        )
    return whole


def _meshes(answers: Answers) -> tuple[Tensor, ...]:
    has = answers.vertices_valid
    if answers.label_vertices is None or has is None:
        has = torch.zeros(len(answers.joints))
    whole = _complete(answers, "joints and a mesh", answers.joints_valid * has[:, None])
    parts = (answers.joints, answers.vertices, answers.label_joints, answers.label_vertices)
    return tuple(part[whole].double() for part in parts)


def _freihand(answers: Answers) -> dict[str, float]:
    return official.freihand(*_meshes(answers))


def _ho3d(answers: Answers) -> dict[str, float]:
    joints, vertices, label, label_vertices = _meshes(answers)
    order = HO3D_FROM_OPENPOSE
    return official.ho3d(joints[:, order], vertices, label[:, order], label_vertices)


def _dexycb(answers: Answers) -> dict[str, float]:
    whole = _complete(answers, "all 21 joints", answers.joints_valid)
    return official.dexycb(answers.joints[whole].double(), answers.label_joints[whole].double())


def _hot3d(answers: Answers) -> dict[str, float]:
    order = HOT3D_FROM_OPENPOSE
    whole = _complete(answers, "the 19 landmarks", answers.joints_valid[:, order])
    points, label = answers.joints[whole][:, order], answers.label_joints[whole][:, order]
    return official.hot3d(points.double(), label.double())


def _hint(answers: Answers) -> dict[str, float]:
    _complete(answers, "keypoints", answers.keypoints_valid.amax(1))
    return official.hint(
        answers.keypoints.double(),
        answers.label_keypoints.double(),
        answers.keypoints_valid,
        answers.box_side.double(),
    )


def _interhand(answers: Answers) -> dict[str, float]:
    """MPJPE from each hand's wrist over 42 joints, and MRRPE over pictures with both wrists."""
    _complete(answers, "a wrist", answers.joints_valid[:, 0])
    order, count = INTERHAND_FROM_OPENPOSE, len(answers.joints)
    points, label = torch.zeros(2, count, 42, 3, dtype=torch.float64)
    valid = torch.zeros(count, 42)
    for left in (False, True):
        rows = answers.is_left == left
        half = slice(21, 42) if left else slice(0, 21)
        points[rows, half] = answers.joints[rows][:, order].double()
        label[rows, half] = answers.label_joints[rows][:, order].double()
        valid[rows, half] = answers.joints_valid[rows][:, order].float()
    per_joint = official.interhand(points, label, valid)
    found = {"mpjpe_mm": float(per_joint.nanmean())}
    pairs = _pairs(answers)
    if pairs:
        right, left = (list(rows) for rows in zip(*pairs, strict=True))
        mirror = torch.tensor((-1.0, 1.0, 1.0), dtype=torch.float64)
        wrists = [
            answers.joints[right, 0].double(),
            answers.joints[left, 0].double() * mirror,  # left hands were mirrored for the network
            answers.label_joints[right, 0].double(),
            answers.label_joints[left, 0].double() * mirror,
        ]
        found["mrrpe_mm"] = float(official.mrrpe(*wrists).mean())
        found["num_pairs"] = float(len(pairs))
    return found


def _pairs(answers: Answers) -> list[tuple[int, int]]:
    """Rows of the right and left hand of each picture that shows both with a labelled wrist."""
    seen: dict[str, dict[bool, int]] = {}
    for row, key in enumerate(answers.keys):
        sample, _, slot = key.rpartition("#")
        if sample and answers.joints_valid[row, 0] > 0:
            picture = f"{sample}#{slot.partition('.')[2]}"
            seen.setdefault(picture, {})[bool(answers.is_left[row])] = row
    return [(sides[False], sides[True]) for sides in seen.values() if len(sides) == 2]


_PADDED, _TIGHT = "stored, as the config pads it", "tight labelled box"
_PROCRUSTES = "none; Procrustes that may reflect"
PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            "freihand",
            "FreiHAND",
            "evaluation",
            "21 and 778 vertices, as released",
            "freihand",
            _PROCRUSTES,
            "cm; AUC over 100 thresholds to 5 cm; F at 5 and 15 mm",
            _PADDED,
            _freihand,
        ),
        Protocol(
            "ho3d",
            "HO-3D v2 or v3",
            "evaluation",
            "21 in MANO's order and 778 vertices",
            "ho3d",
            f"{_PROCRUSTES}; scale and translation by palm and wrist",
            "cm; AUC over 100 thresholds to 5 cm; F at 5 and 15 mm",
            "official handBoundingBox",
            _ho3d,
        ),
        Protocol(
            "dexycb",
            "DexYCB",
            "s0_test (or the setup converted)",
            "21, frames without a labelled hand left out",
            "manopth",
            "none; wrist; Procrustes that may reflect",
            "mm; AUC over 100 thresholds to 50 mm",
            _TIGHT,
            _dexycb,
        ),
        Protocol(
            "interhand",
            "InterHand2.6M",
            "test",
            "42 triangulated, each counted only with its wrist",
            None,
            "each hand's own wrist; MRRPE between wrists",
            "mm; mean over joints of means over samples",
            _TIGHT,
            _interhand,
        ),
        Protocol(
            "hint",
            "HInt",
            "TEST_* folders",
            "21 keypoints in the picture",
            None,
            "none, 2D",
            "share within 0.05, 0.10 and 0.15 of the longer side of the tight box",
            "tight labelled box, times the crop's expansion (HaMeR: 2)",
            _hint,
        ),
        Protocol(
            "hot3d",
            "HOT3D",
            "test clips; the challenge takes every tenth frame",
            "19 landmarks: no wrist, no thumb base",
            "smplx",
            "none",
            "mm; PCK-AUC in percent over 101 thresholds to 50 mm",
            _TIGHT,
            _hot3d,
        ),
    )
}


def names() -> Sequence[str]:
    """Of all protocols."""
    return tuple(PROTOCOLS)

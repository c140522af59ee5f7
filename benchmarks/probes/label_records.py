"""Laws of single labels: what is not valid is zero, what is valid is a hand before a camera."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import torch
from torch import Tensor

from benchmarks.probe import ProbeResult, Unrunnable
from benchmarks.probes.label import Labelled, labels_of
from benchmarks.probes.sources import each_source
from benchmarks.subject import Subject
from zoo.contracts import Finding, HandTarget

ORTHONORMAL = 1e-3  # what rounding in float32 leaves
BOX_SLACK = 0.25  # of the box: how far keypoints may lie outside before a box is doubted
WILD_BETA = 6.0  # standard deviations
MISREAD = 0.1  # of an overlap: so much better may boxes fit keypoints if they are read otherwise
_VALIDITY = {
    "joints": "joints_valid",
    "keypoints": "keypoints_valid",
    "rotmats": "has_mano",
    "betas": "has_mano",
}


class Validity:
    """A valid label holds numbers that differ between hands; an invalid one holds zeros.

    Causes: NaN under a valid flag, placeholder zeros marked valid, numbers left where a
    label was taken away. Fix: write zeros with validity 0.
    """

    id: ClassVar[str] = "label.validity"
    family: ClassVar[str] = "label"
    law: ClassVar[str] = "Valid labels are finite and differ between hands; invalid ones are zeros."
    see: ClassVar[str] = "docs/probes.md#label-validity"

    @each_source
    def __call__(self, subject: Subject) -> ProbeResult:
        found: list[Finding] = []
        evidence: dict[str, Any] = {}
        for labels in labels_of(subject):
            for name, flag in _VALIDITY.items():
                values, valid = rows(labels.target, name, flag)
                evidence[f"{labels.path} {name} valid"] = float(valid.float().mean())
                found += self._judge(labels, name, values, valid)
            if found:
                break
        return ProbeResult(tuple(found), evidence)

    def _judge(
        self, labels: Labelled, name: str, values: Tensor, valid: Tensor
    ) -> Iterator[Finding]:
        known, hidden = values[valid], values[~valid]
        if broken := int((~known.isfinite()).any(-1).sum()):
            yield self._finding("finite", labels, f"{broken} valid {name} hold NaN or infinity")
        elif stray := int((hidden != 0).any(-1).sum()):
            yield self._finding("stray", labels, f"{stray} {name} not marked valid hold numbers")
        by_hand = values.unflatten(0, (len(labels.target), -1)).flatten(1)
        whole = valid.unflatten(0, (len(labels.target), -1)).all(-1)
        if name != "betas" and int(whole.sum()) >= 3:
            spread = float((by_hand[whole] - by_hand[whole][:1]).abs().amax())
            if spread == 0:
                yield self._finding("constant", labels, f"the {name} of all hands are the same")

    def _finding(self, kind: str, labels: Labelled, what: str) -> Finding:
        return Finding(
            id=f"{self.id}/{kind}",
            severity="error",
            path=labels.path,
            message=f"A label and its validity disagree: {what}.",
            evidence={"found": what, "hands": len(labels.target), "priority": 0},
        )


class Plausible:
    """Hands stand before the camera, in their boxes, with rotations that are rotations.

    Causes: OpenGL axes (joints behind the camera, UTNet V5), boxes as corner and size, as rows
    and columns or of another picture size, rotations that are none, focal lengths of another
    picture.
    """

    id: ClassVar[str] = "label.plausible"
    family: ClassVar[str] = "label"
    law: ClassVar[str] = "Joints lie before the camera and in their box; rotations are rotations."
    see: ClassVar[str] = "docs/probes.md#label-plausible"

    @each_source
    def __call__(self, subject: Subject) -> ProbeResult:
        found: list[Finding] = []
        evidence: dict[str, Any] = {}
        measured = False
        for labels in labels_of(subject):
            for name, measure in _MEASURES.items():
                value = measure(labels)
                if value is None:
                    continue
                measured = True
                evidence[f"{labels.path} {name}"] = value
                limit, severity, says = _LIMITS[name]
                if not value <= limit:
                    found.append(
                        Finding(
                            id=f"{self.id}/{name}",
                            severity=severity,
                            path=labels.path,
                            message=f"{says} ({value:.3g}, the limit is {limit:g}).",
                            evidence={name: value, "limit": limit},
                        )
                    )
            if found:
                break
        if not measured:
            raise Unrunnable("no hand has any label")
        return ProbeResult(tuple(found), evidence)


def rows(target: HandTarget, name: str, flag: str) -> tuple[Tensor, Tensor]:
    """Labels of a kind one below the other, and which are valid.

    returns: (N, numbers); (N,) bool.
    """
    values, valid = getattr(target, name), getattr(target, flag) > 0
    return values.flatten(0, valid.ndim - 1).flatten(1), valid.flatten()


def _behind(labels: Labelled) -> float | None:
    """Share of the labelled joints that are not in front of the camera."""
    valid = labels.target.joints_valid > 0
    depth = labels.target.joints[..., 2][valid]
    return float((depth <= 0).float().mean()) if len(depth) else None


def _turned(labels: Labelled) -> float | None:
    """How far the worst labelled rotation is from being one."""
    rotmats = labels.target.rotmats[labels.target.has_mano > 0]
    if not len(rotmats):
        return None
    stretch = (rotmats.mT @ rotmats - torch.eye(3)).abs().amax()
    mirrors = (torch.linalg.det(rotmats) - 1).abs().amax()
    return float(torch.maximum(stretch, mirrors))


def _outside(labels: Labelled) -> float | None:
    """Share of the hands most of whose keypoints lie outside their box."""
    valid = labels.target.keypoints_valid > 0
    enough = valid.sum(-1) >= 3
    if not enough.any():
        return None
    low, high = labels.box[:, None, :2], labels.box[:, None, 2:]
    slack = BOX_SLACK * (high - low).amax(-1, keepdim=True).abs()
    points = labels.target.keypoints
    inside = ((points > low - slack) & (points < high + slack)).all(-1) & valid
    share = inside.sum(-1) / valid.sum(-1).clamp(min=1)
    return float((share[enough] < 0.5).float().mean())


def _misfit(labels: Labelled) -> float | None:
    """How many times larger or smaller than its keypoints' extent the median box is."""
    valid = labels.target.keypoints_valid > 0
    whole = valid.all(-1)
    if not whole.any():
        return None
    points = labels.target.keypoints[whole]
    extent = (points.amax(1) - points.amin(1)).amax(-1).clamp(min=1e-6)
    side = (labels.box[whole, 2:] - labels.box[whole, :2]).amax(-1).clamp(min=1e-6)
    return float(torch.maximum(side / extent, extent / side).median())


def _misread(labels: Labelled) -> float | None:
    """How much better stored boxes overlap their keypoints if they are read in another way."""
    whole = (labels.target.keypoints_valid > 0).all(-1)
    if not whole.any() or labels.path != "data":
        return None
    points, box = labels.target.keypoints[whole], labels.box[whole]
    tight = torch.cat((points.amin(1), points.amax(1)), -1)
    first, last = box.chunk(2, -1)
    readings = (
        box[:, [1, 0, 3, 2]],  # rows before columns
        torch.cat((first, first + last), -1),  # corner and size
        torch.cat((first - last / 2, first + last / 2), -1),  # centre and size
        2 * box,
        box / 2,
    )
    other = max(float(_overlap(reading, tight).mean()) for reading in readings)
    return max(0.0, other - float(_overlap(box, tight).mean()))


def _overlap(boxes: Tensor, others: Tensor) -> Tensor:
    """(B,) intersection over union of boxes (B, 4): x and y of two corners."""
    low = torch.maximum(boxes[:, :2], others[:, :2])
    high = torch.minimum(boxes[:, 2:], others[:, 2:])
    both = (high - low).clamp(min=0).prod(-1)
    areas = [(b[:, 2:] - b[:, :2]).clamp(min=0).prod(-1) for b in (boxes, others)]
    return both / (areas[0] + areas[1] - both).clamp(min=1e-9)


def _beta(labels: Labelled) -> float | None:
    betas = labels.target.betas[labels.target.has_mano > 0]
    return float(betas.abs().amax()) if len(betas) else None


def _focal(labels: Labelled) -> float | None:
    """How far focal lengths leave 0.3 to 30 picture sides, taken from the principal point."""
    known = labels.target.has_intrinsics > 0
    if not known.any() or labels.path != "data":
        return None
    cameras = labels.intrinsics[known]
    focal = cameras.diagonal(dim1=-2, dim2=-1)[:, :2].clamp(min=1e-9)
    side = (2 * cameras[:, :2, 2]).amax(-1, keepdim=True).clamp(min=1.0)
    return float(torch.maximum(focal / (30 * side), 0.3 * side / focal).median())


_MEASURES = {
    "behind": _behind,
    "rotation": _turned,
    "outside": _outside,
    "box": _misfit,
    "misread": _misread,
    "betas": _beta,
    "focal": _focal,
}
_LIMITS = {
    "behind": (0.0, "error", "Joints lie behind the camera; OpenGL axes are turned by (1, -1, -1)"),
    "rotation": (ORTHONORMAL, "error", "Labelled rotations are no rotations"),
    "outside": (0.1, "error", "Keypoints lie outside the hand box; is it x, y, width, height?"),
    "box": (3.0, "warning", "The hand box is not about the size of its keypoints"),
    "misread": (
        MISREAD,
        "error",
        "Hand boxes fit the keypoints better if they are read as rows before columns, corner and "
        "size, centre and size, or of a picture of another size",
    ),
    "betas": (WILD_BETA, "warning", "Labelled betas are wild, in standard deviations"),
    "focal": (1.0, "warning", "Focal lengths are not between 0.3 and 30 picture sides"),
}

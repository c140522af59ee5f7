"""Is the hand a hand, and the camera it is seen with one of square pixels?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

import torch
from torch import nn

from benchmarks.probe import ProbeResult, Unrunnable
from benchmarks.probes.truth import hand_of, said_by, single_frames
from benchmarks.subject import Subject
from registry.build import build_hand
from registry.layout import at
from zoo.contracts import NUM_BETAS, NUM_ROTATIONS, Finding
from zoo.geometry.rotation import rotvec_to_rotmat

SMALLEST, LARGEST = 0.05, 0.5  # m, across the vertices of a flat hand; an adult's is 0.22
BEND, SHAPE = 0.5, 2.0  # rad of every finger joint; standard deviations of every beta
MOVES = 1e-4  # m, by which bending and shaping have to move something
SQUARE = 0.02  # the camera's pixels may differ from the crop's by so much
NOWHERE = "no-such-folder/no-such-hand.pkl"


class Hand:
    """The posed hand, and what becomes of a recipe whose hand is not to be had.

    Where the hand's file is not found UTNet goes on with vertices of exactly zero (V13), and its
    numbers are those of a hand collapsed to a point (V7). A hand that is not there is an error.
    """

    id: ClassVar[str] = "weights.hand"
    family: ClassVar[str] = "weights"
    law: ClassVar[str] = (
        "The hand has the size of a hand and moves with rotations and betas; one that is not found "
        "is refused."
    )
    see: ClassVar[str] = "docs/probes.md#weights-hand"

    def __call__(self, subject: Subject) -> ProbeResult:
        """Hands without size, hands that stay, and hands made up for missing ones."""
        numbers = measured(hand_of(subject))
        findings = [*self._judge(numbers), *self._replaced(subject)]
        return ProbeResult(tuple(findings), numbers)

    def _judge(self, numbers: Mapping[str, float]) -> Iterator[Finding]:
        size = numbers["size_m"]
        if not SMALLEST < size < LARGEST:
            yield self._finding(
                "size",
                f"The hand is {size:.3g} m across; a hand is 0.1 to 0.3 m: it was not found, or is "
                "in another unit.",
                numbers,
            )
            return
        for name, what in (("bent_m", "bending all fingers"), ("shaped_m", "changing all betas")):
            if not numbers[name] > MOVES:
                told = f"{what[0].upper()}{what[1:]} moves the hand by {numbers[name]:.1e} m."
                yield self._finding("still", told, numbers)

    def _replaced(self, subject: Subject) -> Iterator[Finding]:
        spec = at(subject.config or {}, "model.hand")
        if spec is None:
            return
        try:
            found = build_hand({"model": {"hand": {**spec, "asset": NOWHERE}}})
        except (ValueError, OSError):
            return
        numbers = measured(found)
        yield self._finding(
            "replaced",
            f"With a hand that does not exist the model is built all the same, with one "
            f"{numbers['size_m']:.3g} m across: a missing file would go unnoticed.",
            numbers,
            ("model.hand.missing=refuse",),
        )

    def _finding(
        self, kind: str, told: str, numbers: Mapping[str, float], fix: tuple[str, ...] = ()
    ) -> Finding:
        evidence = {**numbers, "priority": 0}
        return Finding(f"{self.id}/{kind}", "error", "model.hand", told, evidence, fix)


class SquarePixels:
    """The camera a hand is seen with has the crop's proportions.

    A coordinate divided by the width the network sees instead of the width the label is divided by
    makes x a third too large (UTNet V12): only the ratio of the two axes tells it from a hand that
    stands nearer.
    """

    id: ClassVar[str] = "ledger.square"
    family: ClassVar[str] = "ledger"
    law: ClassVar[str] = "The predicted camera stretches x against y as the crop's camera does."
    see: ClassVar[str] = "docs/probes.md#ledger-square"

    def __call__(self, subject: Subject) -> ProbeResult:
        """Cameras of pixels that are wider or narrower than the crop's."""
        view, _ = single_frames(subject, 4)
        said, _ = said_by(subject, view)
        cameras = (said.camera.intrinsics, view.intrinsics)
        ratios = [camera[:, 0, 0] / camera[:, 1, 1] for camera in cameras]
        ratio = float((ratios[0] / ratios[1]).median())
        evidence = {"ratio": ratio}
        if abs(ratio - 1) <= SQUARE:
            return ProbeResult((), evidence)
        finding = Finding(
            id=f"{self.id}/stretched",
            severity="error",
            path="model.head.camera",
            message=f"The predicted camera stretches x {ratio:.3g} times as much as y: one axis is "
            "divided by another size of the picture than the other.",
            evidence=evidence,
        )
        return ProbeResult((finding,), evidence)


@torch.no_grad()
def measured(hand: nn.Module) -> dict[str, float]:
    """How large a hand is across, and how far bending and shaping move it, in m.

    Unrunnable where it cannot be posed without a prediction.
    """
    if not hasattr(hand, "mean_pose_rotmats"):
        raise Unrunnable("the model's hand has no mean pose to look at")
    betas = torch.zeros(1, NUM_BETAS)
    flat = torch.eye(3).expand(1, NUM_ROTATIONS, 3, 3)
    bent = flat.clone()
    bent[:, 1:] = rotvec_to_rotmat(torch.tensor((0.0, 0.0, BEND)))
    vertices, joints = hand(flat, betas)
    corners = vertices.amax(1) - vertices.amin(1)
    return {
        "size_m": float(corners.norm(dim=-1)),
        "bent_m": float((hand(bent, betas)[1] - joints).norm(dim=-1).amax()),
        "shaped_m": float((hand(flat, betas + SHAPE)[1] - joints).norm(dim=-1).amax()),
    }

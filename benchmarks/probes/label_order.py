"""Laws of the order of joints and the side of hands, told from joints alone."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from benchmarks.probe import ProbeResult, Unrunnable
from benchmarks.probes.hypotheses import RIGHT_ORDER, joint_layouts
from benchmarks.probes.label import labels_of
from benchmarks.probes.sources import each_source
from benchmarks.probes.truth import hand_of
from benchmarks.subject import Subject
from zoo.contracts import Finding
from zoo.geometry.alignment import align
from zoo.mano.topology import mirror_points

DECISIVE = 0.8  # errors of the two sides closer than this tell nothing of the side
ORDER_MARGIN = 0.6  # another order must fit the hand this much better to be believed


class Order:
    """Joints are listed in OpenPose's order.

    481 orders of data sets are tried on the distances between joints. Causes: MANO's order with
    the tips last (UTNet V4), InterHand's from tip to base. Fix: gather the joints when
    converting.
    """

    id: ClassVar[str] = "label.order"
    family: ClassVar[str] = "label"
    law: ClassVar[str] = "No other order of the joints looks more like a hand."
    see: ClassVar[str] = "docs/probes.md#label-order"

    @each_source
    def __call__(self, subject: Subject) -> ProbeResult:
        hand, evidence = hand_of(subject), {}
        _, mean = hand(hand.mean_pose_rotmats()[None], torch.zeros(1, 10))
        template = torch.cdist(mean, mean)[0]
        for labels in labels_of(subject):
            whole = (labels.target.joints_valid > 0).all(-1)
            if not whole.any():
                raise Unrunnable("no hand has all joints labelled")
            joints = labels.target.joints[whole]
            distances = torch.cdist(joints, joints).mean(0)
            costs = {
                name: float(_misfit(distances[order][:, order], template))
                for name, order in joint_layouts()
            }
            best = min(costs, key=costs.__getitem__)
            ratio = costs[best] / max(costs[RIGHT_ORDER], 1e-12)
            evidence[f"{labels.path} cost ratio"] = ratio
            if ratio < ORDER_MARGIN:
                finding = Finding(
                    id=f"{self.id}/permuted",
                    severity="error",
                    path=labels.path,
                    message=f"Read as '{best}' the joints fit a hand {1 / max(ratio, 1e-6):.2g} "
                    "times better than in OpenPose's order.",
                    evidence={"ratio": ratio, "order": best, "priority": 0},
                )
                return ProbeResult((finding,), evidence)
        return ProbeResult((), evidence)


class Sides:
    """Hands said to be left are left, and preprocessing shows right ones alone.

    Joints are aligned with the mean hand and with its mirror image. Causes: sides exchanged, an
    axis mirrored, left hands not mirrored by preprocessing. Flat hands tell nothing and do not
    count.
    """

    id: ClassVar[str] = "label.side"
    family: ClassVar[str] = "label"
    law: ClassVar[str] = "Joints look like the hand of the side they are labelled with."
    see: ClassVar[str] = "docs/probes.md#label-side"

    @each_source
    def __call__(self, subject: Subject) -> ProbeResult:
        hand, evidence = hand_of(subject), {}
        _, mean = hand(hand.mean_pose_rotmats()[None], torch.zeros(1, 10))
        for labels in labels_of(subject):
            target = labels.target
            whole = (target.joints_valid > 0).all(-1)
            if not whole.any():
                raise Unrunnable("no hand has all joints labelled")
            joints, left = target.joints[whole], labels.is_left[whole]
            errors = [
                (align(side.expand_as(joints), joints, scale=True, rotate=True) - joints)
                .norm(dim=-1)
                .mean(-1)
                for side in (mean, mirror_points(mean))
            ]
            right_error = torch.where(left, errors[1], errors[0])
            wrong_error = torch.where(left, errors[0], errors[1])
            decisive = torch.minimum(*errors) < DECISIVE * torch.maximum(*errors)
            wrong = (wrong_error < right_error) & decisive
            count = int(decisive.sum())
            share = float(wrong.sum()) / max(count, 1)
            evidence |= {f"{labels.path} decisive": count, f"{labels.path} wrong": share}
            if count >= 3 and share > 0.2:
                where = "as stored" if labels.path == "data" else "after preprocessing"
                finding = Finding(
                    id=f"{self.id}/mirrored",
                    severity="error",
                    path=labels.path,
                    message=f"{where}: {share:.0%} of the {count} hands whose posture tells it "
                    "are hands of the other side; an axis is mirrored, or the side is wrong.",
                    evidence={"wrong": share, "decisive": count, "priority": 0},
                )
                return ProbeResult((finding,), evidence)
        return ProbeResult((), evidence)


def _misfit(distances: Tensor, template: Tensor) -> Tensor:
    """How unlike a hand's the distances between joints are, whatever its size."""
    scale = (distances * template).sum() / distances.square().sum().clamp(min=1e-12)
    return (scale * distances - template).abs().sum()

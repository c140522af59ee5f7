"""The score of an answer that never looks at the picture: what a model has to beat."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

import torch
from torch import Tensor

from zoo.contracts import HandMesh, HandTarget, Metric
from zoo.metrics.summary import measure, names_of, summarize


@dataclass(frozen=True)
class MeanBaseline:
    """The same hand for every picture: the average of the training labels.

    Two constant hands, because two things are averages of different sets:

    * `placed` is the mean labelled wrist plus the mean of (joint - own wrist), with the mean
      keypoint in the crop: the constant with the smallest squared error of all. It answers every
      metric that orientation moves. Where hands point everywhere it shrinks towards the wrist,
      and that is what it should do.
    * `upright` is the mean of hands turned back by their labelled wrist rotation. It answers the
      metrics that align by a similarity (`similarity_invariant`), which would otherwise be given
      a hand collapsed to a point.

    Labels that are not valid do not enter, each joint has its own mean, and what no label says is
    NaN, as is then its score; where no training camera was measured, that is every score of an
    absolute position. Scores of single labels are means of errors, for which a median would be
    slightly better.
    """

    placed: HandMesh  # one hand, (1, J, 3) and so on
    upright: HandMesh
    knows_place: bool = True  # False: no training label says where a hand is, `placed` is relative

    @classmethod
    def of(cls, targets: Iterable[HandTarget]) -> MeanBaseline:
        """The averages of labels; pass targets through `ManoLayer.place_target` for surfaces."""
        means: dict[str, _Mean] = {}
        for target in targets:
            for name, (values, valid) in _quantities(target).items():
                means.setdefault(name, _Mean()).add(values, valid)
        if not means:
            raise ValueError("MeanBaseline got no labels; give it at least one batch of targets.")
        average = {name: mean.value for name, mean in means.items()}
        unknown = torch.full((1, 1, 3), torch.nan)
        wrist, surface = average["wrist"], average.get("surface", unknown)
        knows_place = bool(wrist.isfinite().all())
        wrist = wrist if knows_place else torch.zeros_like(wrist)
        upright_surface = average.get("upright_surface", unknown)
        return cls(
            HandMesh(wrist + surface, wrist + average["joints"], average["keypoints"]),
            HandMesh(upright_surface, average["upright_joints"], average["keypoints"]),
            knows_place,
        )

    def scores(
        self,
        targets: Iterable[HandTarget],
        metrics: Mapping[str, Metric],
        origins: Iterable[Sequence[tuple[str, str]]] = (),
    ) -> dict[str, float]:
        """What `HandMetrics` would say of this answer, by the same names.

        targets: the validation labels, in batches. origins: source and key of each batch's hands.
        """
        names, hands = names_of(metrics), []
        aligning = [m for m in metrics.values() if getattr(m, "similarity_invariant", False)]
        others = [metric for metric in metrics.values() if metric not in aligning]
        for target, origin in zip_longest(targets, origins):
            if not self.knows_place:
                unplaced = torch.zeros_like(target.has_intrinsics)
                target = dataclasses.replace(target, has_intrinsics=unplaced)
            shown = measure(others, *_shown(self.placed, target), origin)
            turned = measure(aligning, *_shown(self.upright, target), origin)
            hands += [
                dataclasses.replace(hand, values={**hand.values, **more.values})
                for hand, more in zip(shown, turned, strict=True)
            ]
        return summarize(hands, names)


def _shown(constant: HandMesh, target: HandTarget) -> tuple[HandMesh, HandTarget]:
    """The constant once a label, and the target without the labels it has no answer to."""
    fields = {"joints": target.joints, "keypoints": target.keypoints}
    fields["vertices"] = constant.vertices if target.vertices is None else target.vertices
    answer, known = {}, {}
    for name, label in fields.items():
        value = getattr(constant, name).to(label).expand(len(target), *label.shape[1:])
        known[name] = value.isfinite().all(-1)
        answer[name] = value.nan_to_num()
    validity = {
        "joints_valid": target.joints_valid * known["joints"],
        "keypoints_valid": target.keypoints_valid * known["keypoints"],
    }
    if target.vertices_valid is not None:
        validity["vertices_valid"] = target.vertices_valid * known["vertices"].all(-1)
    return HandMesh(**answer), dataclasses.replace(target, **validity)


def _quantities(target: HandTarget) -> dict[str, tuple[Tensor, Tensor]]:
    """What is averaged, each (B, N, 2 or 3) with its validity (B, N)."""
    wrist, wrist_valid = target.joints[:, :1], target.joints_valid[:, :1] > 0
    measured, has_mano = target.has_intrinsics[:, None] > 0, target.has_mano[:, None] > 0
    orientation = target.rotmats[:, 0]
    parts = {"joints": (target.joints, target.joints_valid)}
    if target.vertices is not None and target.vertices_valid is not None:
        valid = target.vertices_valid[:, None].expand(target.vertices.shape[:2])
        parts["surface"] = (target.vertices, valid)
    answer = {
        "wrist": (wrist, wrist_valid & measured),
        "keypoints": (target.keypoints, target.keypoints_valid),
    }
    for name, (points, valid) in parts.items():
        relative, valid = points - wrist, (valid > 0) & wrist_valid
        answer[name] = relative, valid
        answer[f"upright_{name}"] = relative @ orientation, valid & has_mano  # R^T x, by rows
    return answer


class _Mean:
    """A running mean of labels, each element with its own count, in float64."""

    def __init__(self) -> None:
        self.total: Tensor | float = 0.0
        self.count: Tensor | float = 0.0

    def add(self, values: Tensor, valid: Tensor) -> None:
        """values: (B, N, n). valid: (B, N)."""
        chosen = (valid > 0)[..., None]
        values = torch.where(chosen, values.double(), torch.zeros_like(values.double()))
        self.total = self.total + values.sum(0).cpu()
        self.count = self.count + chosen.double().sum(0).cpu()

    @property
    def value(self) -> Tensor:
        return (self.total / self.count).float()[None]

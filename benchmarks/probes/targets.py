"""Can the head say what the labels say, and does its loss give every label a target?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import Tensor, nn

from benchmarks.answers import MAPS, answer, leaves
from benchmarks.gradients import config_path
from benchmarks.probe import ProbeResult, Unrunnable
from benchmarks.subject import Subject, last_frames
from zoo.contracts import CropView, Finding, HandQuery, HandTarget, Prediction

HANDS = 24
SEARCH_STEPS = 250
SEARCH_RATES = (1.0, 0.04)  # the first is the true camera's, the other a virtual one's
MISS_M, MISS_SHARE = 0.15, 0.1  # m in space; of the crop where the camera is not the true one
MANY = 0.1  # of the hands
NARROW, FULL = 0.25, 0.5  # bins; share of the strongest target


class Range:
    """A search over what the head is given, for the answer that says where each hand stands.

    The weights are left alone; the decoded query is free. Where a search in long and one in short
    steps find no answer, the label lies outside what the read-out can say (P-16: heat maps up to
    2.0 m, hands at 2.7 m), or the two speak different units.
    """

    id: ClassVar[str] = "config.range"
    family: ClassVar[str] = "config"
    law: ClassVar[str] = "The camera read-out can say where every labelled hand stands."
    see: ClassVar[str] = "docs/probes.md#config-range"

    def __call__(self, subject: Subject) -> ProbeResult:
        """The share of labelled hands that no query can reach."""
        model = subject.fresh_model().eval()
        if not (hasattr(model, "head") and hasattr(model.head, "read")):
            raise Unrunnable("the model has no head that reads a query")
        view, target = subject.shown(HANDS, training=False)
        view = last_frames(view)
        known = (target.joints_valid[:, 0] > 0) & (target.keypoints_valid > 0).all(-1)
        if not known.any():
            raise Unrunnable("no hand has both its wrist and all its keypoints labelled")
        with torch.no_grad():
            query = model.head.query(model.backbone(view.images).float(), view)
            true_camera = model.head.read(query, view).camera.anchor == "wrist"
        if true_camera:
            known = known & (target.has_intrinsics > 0)
        limit = MISS_M if true_camera else MISS_SHARE * max(view.crop_size)
        gap = torch.full((len(view),), torch.inf)
        for rate in SEARCH_RATES if true_camera else SEARCH_RATES[::-1]:
            said = self._search(model, query, view, target, rate)
            gap = torch.minimum(gap, _misses(model, said, target)[0 if true_camera else 1])
            share = float(((gap > limit) & known).sum() / known.sum().clamp(min=1))
            if share <= MANY:
                break  # long steps may leave a read-out's clamp with no gradient back
        evidence = {"share_missed": share, "hands": float(known.sum())}
        evidence["worst_m" if true_camera else "worst_px"] = float(gap[known].max())
        return ProbeResult(tuple(self._judged(share, evidence)), evidence)

    def _judged(self, share: float, evidence: dict[str, float]) -> Iterator[Finding]:
        if share > MANY:
            in_metres = "worst_m" in evidence
            worst = (
                f"{evidence['worst_m']:.2f} m" if in_metres else f"{evidence['worst_px']:.0f} px"
            )
            yield Finding(
                id=f"{self.id}/unreachable",
                severity="error",
                path="model.head.camera",
                message=f"{share:.0%} of the labelled hands stand where the camera read-out can "
                f"never put one; the worst stays {worst} off. Look at its ranges and units.",
                evidence=evidence,
            )

    def _search(
        self, model: nn.Module, query: HandQuery, view: CropView, target: HandTarget, rate: float
    ) -> Prediction:
        free = query.map(lambda tensor: tensor.detach().float().clone().requires_grad_())
        optimizer = torch.optim.Adam([free.token, *free.estimates], lr=rate)
        slower = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, SEARCH_STEPS)
        for _ in range(SEARCH_STEPS):
            said = model.head.read(free, view)
            gap_m, gap_px = _misses(model, said, target)
            loss = gap_px.clamp(max=1e4).sum() / max(view.crop_size)
            if said.camera.anchor == "wrist":
                loss = gap_m.clamp(max=100).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            slower.step()
        with torch.no_grad():
            return model.head.read(free, view)


class Targets:
    """What a heat-map loss asks of each bin, read from its own gradient.

    A Gaussian far narrower than a bin gives most labels no target at all (P-15: 3.5 % of them had
    one), and a label outside the grid gets none either.
    """

    id: ClassVar[str] = "config.targets"
    family: ClassVar[str] = "config"
    law: ClassVar[str] = (
        "A loss on heat maps gives every label a target, wider than a quarter of a bin and much "
        "narrower than the range."
    )
    see: ClassVar[str] = "docs/probes.md#config-targets"

    def __call__(self, subject: Subject) -> ProbeResult:
        """Labels without a target, and targets of the wrong width."""
        model = subject.fresh_model().eval()
        view, target = subject.shown(HANDS, training=False)
        target = model.hand.place_target(target)
        with torch.no_grad():
            leaf = leaves(model.predict_hand(view))
        names = [n for n, t in leaf.tensors.items() if n.startswith(MAPS) and t.ndim == 2]
        if not names:
            raise Unrunnable("the head says no heat maps")
        findings: list[Finding] = []
        evidence: dict[str, dict[str, float]] = {}
        for term, value in model.loss_terms(leaf.prediction(), target).items():
            maps = [leaf.tensors[name] for name in names]
            if not value.requires_grad:
                continue
            found = torch.autograd.grad(value, maps, retain_graph=True, allow_unused=True)
            for name, gradient in zip(names, found, strict=True):
                if gradient is not None and gradient.any():
                    row = _widths(-gradient[target.joints_valid[:, 0] > 0])
                    evidence[f"{term} {name}"] = row
                    findings += self._judged(term, name.removeprefix(MAPS), row)
        if not evidence:
            raise Unrunnable("no loss term reads the heat maps")
        return ProbeResult(tuple(findings), evidence)

    def _judged(self, term: str, axis: str, row: dict[str, float]) -> Iterator[Finding]:
        path = config_path(term)
        if row["without_target"] > MANY:
            yield Finding(
                f"{self.id}/none",
                "error",
                path,
                f"{row['without_target']:.0%} of the labels get no target on axis {axis}: they lie "
                "outside the bins, or between them for a Gaussian this narrow.",
                row,
            )
        elif row["width_bins"] < NARROW:
            yield Finding(
                f"{self.id}/narrow",
                "warning",
                f"{path}.sigma",
                f"The target on axis {axis} is {row['width_bins']:.2f} bins wide: one bin, "
                "wherever in it the label is. Take a sigma of one to three bins.",
                row,
            )
        elif row["width_bins"] > 0.2 * row["bins"]:
            yield Finding(
                f"{self.id}/wide",
                "warning",
                f"{path}.sigma",
                f"The target on axis {axis} covers {row['width_bins']:.0f} of {row['bins']:.0f} "
                "bins: it hardly says where the hand is. Look at the unit of sigma.",
                row,
            )


def _misses(model: nn.Module, said: Prediction, target: HandTarget) -> tuple[Tensor, Tensor]:
    """(B,) m from the labelled wrist, and (B,) px between the middles of both hands in the crop."""
    placed = answer(said, rotmats=target.rotmats, betas=target.betas, position=said.camera.position)
    mesh = model.hand.place(placed)
    gap_m = (mesh.joints[:, 0] - target.joints[:, 0]).norm(dim=-1)
    gap_px = (mesh.keypoints.mean(1) - target.keypoints.mean(1)).norm(dim=-1)
    spread = [
        (k - k.mean(1, keepdim=True)).norm(dim=-1).mean(-1)
        for k in (mesh.keypoints, target.keypoints)
    ]
    return gap_m, gap_px + (spread[0] - spread[1]).abs()


def _widths(pull: Tensor) -> dict[str, float]:
    """Of (B, bins) pulls: the share of hands without one, and the middle width in bins."""
    mass = pull.sum(-1)
    alive = mass > FULL * mass.max()
    share = (pull[alive] / mass[alive, None]).clamp(min=0)
    bins = torch.arange(pull.shape[-1], dtype=pull.dtype)
    middle = (share * bins).sum(-1, keepdim=True)
    width = (share * (bins - middle).square()).sum(-1).sqrt()
    return {
        "without_target": 1 - float(alive.float().mean()),
        "width_bins": float(width.median()),
        "bins": float(pull.shape[-1]),
    }

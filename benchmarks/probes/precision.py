"""Does low precision end where units begin?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from benchmarks.gradients import config_path
from benchmarks.probe import ProbeResult
from benchmarks.probes.numeric import start
from benchmarks.subject import Subject
from zoo.contracts import ClipView, CropView, Finding, HandMesh, Prediction

HANDS = 4
RELATIVE = 1e-5  # of a loss term
GAP_MM, GAP_PX = 0.1, 0.1  # bf16 in MANO costs 0.2 to 1.1 mm, in projection 1.3 px


class Precision:
    """Low precision ends where units begin: an autocast around the model changes no unit.

    bf16 inside MANO moves joints by 0.2 to 1.1 mm, inside projection keypoints by 1.3 px (P-02).
    """

    id: ClassVar[str] = "numeric.precision"
    family: ClassVar[str] = "numeric"
    law: ClassVar[str] = (
        "Posed hands, projections and losses are the same under a surrounding bf16 autocast, and "
        "nothing with a unit is in half precision."
    )
    see: ClassVar[str] = "docs/probes.md#numeric-precision"

    def __call__(self, subject: Subject) -> ProbeResult:
        """Joints in mm and keypoints in px, under bf16 against fp32."""
        model, said, target = start(subject)
        view, _ = subject.shown(HANDS, training=False)
        with torch.no_grad():
            exact = model.hand.place(said)
            values = model.loss_terms(said, target)
            with torch.autocast("cpu", torch.bfloat16):
                half = model.hand.place(said)
                half_values = model.loss_terms(said, target)
                read = model.predict_hand(view)
            again = model.predict_hand(view)
        gaps = {
            "hand_mm": 1000 * _gap(half.joints, exact.joints),
            "keypoints_px": _gap(half.keypoints, exact.keypoints),
            "position_mm": 1000 * _gap(read.camera.position, again.camera.position),
            "rotations": _gap(read.rotmats, again.rotmats),
        }
        gaps |= {f"{n} (relative)": _relative(half_values[n], values[n]) for n in values}
        findings = [*self._gaps(gaps), *self._types(again, exact)]
        return ProbeResult(tuple(findings), {**gaps, **self._end_to_end(model, view)})

    def _gaps(self, gaps: Mapping[str, float]) -> Iterator[Finding]:
        limits = {"hand_mm": GAP_MM, "keypoints_px": GAP_PX, "position_mm": 1.0, "rotations": 1e-3}
        paths = {"hand_mm": "model.hand", "keypoints_px": "model.hand"}
        for name, gap in gaps.items():
            term = name.removesuffix(" (relative)")
            if gap > limits.get(name, RELATIVE):
                path = config_path(term) if term != name else paths.get(name, "model.head")
                yield Finding(
                    id=f"{self.id}/autocast",
                    severity="error",
                    path=path,
                    message=f"A surrounding bf16 autocast moves {name} by {gap:.3g}: units are "
                    "computed in half precision. Disable autocast there.",
                    evidence={"quantity": name, "gap": gap},
                )

    def _types(self, said: Prediction, mesh: HandMesh) -> Iterator[Finding]:
        tensors = {
            "rotations": said.rotmats,
            "betas": said.betas,
            "position": said.camera.position,
            "joints": mesh.joints,
        }
        low = [name for name, t in tensors.items() if t.dtype in (torch.bfloat16, torch.float16)]
        if low:
            yield Finding(
                id=f"{self.id}/type",
                severity="error",
                path="model.head",
                message=f"{', '.join(low)} leave the model in half precision.",
                evidence={"quantities": ", ".join(low)},
            )

    def _end_to_end(self, model: nn.Module, view: CropView | ClipView) -> dict[str, float]:
        """What the model's own precision costs against fp32, for the report."""
        precision = getattr(model, "precision", None)
        if precision is None or precision == "fp32":
            return {}
        with torch.no_grad():
            low = model.hand.place(model.predict_hand(view))
            model.precision = "fp32"
            full = model.hand.place(model.predict_hand(view))
            model.precision = precision
        relative = [mesh.joints - mesh.joints[:, :1] for mesh in (low, full)]
        return {
            "model_root_joints_mm": 1000 * _gap(*relative),
            "model_keypoints_px": _gap(low.keypoints, full.keypoints),
        }


def _gap(a: Tensor, b: Tensor) -> float:
    return float((a.float() - b.float()).abs().max())


def _relative(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs() / b.abs().clamp(min=1e-6))

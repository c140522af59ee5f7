"""What others printed about their models: never mixed with what is measured here."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

_FREIHAND = "FreiHAND, public test set, after Procrustes alignment"
_HO3D = "HO-3D v2, evaluation server, after Procrustes alignment"
_HINT = "HInt (New Days / VISOR / Ego4D), share of keypoints within 0.05 of the hand box"
_HAMER = "Pavlakos et al., Reconstructing Hands in 3D with Transformers, CVPR 2024"
_WILOR = "Potamias et al., WiLoR, CVPR 2025"
_NOTES = "CS-ViT2 repository, evaluation notes of 2026-03"


@dataclass(frozen=True)
class Figure:
    """One published number with what it was measured on and where it stands."""

    metric: str
    value: str  # as printed
    protocol: str
    source: str
    sure: str  # "high": read in two places; "medium": in one; "low": from memory

    def record(self) -> dict[str, str]:
        return asdict(self)


FIGURES: dict[str, tuple[Figure, ...]] = {
    "hamer": (
        Figure("PA-MPJPE", "6.0 mm", _FREIHAND, _HAMER, "high"),
        Figure("PA-MPVPE", "5.7 mm", _FREIHAND, _HAMER, "high"),
        Figure("F@5 / F@15", "0.785 / 0.990", _FREIHAND, _HAMER, "high"),
        Figure(
            "PA-MPJPE / PA-MPVPE",
            "5.577 / 5.778 mm",
            f"{_FREIHAND}; released weights, labelled boxes",
            "re-run in the AnyHand paper's table, 2026",
            "medium",
        ),
        Figure(
            "PA-MPJPE",
            "6.8 mm",
            f"{_FREIHAND}; trained anew from the released data",
            "HaMeR repository, issue 120",
            "medium",
        ),
        Figure("PA-MPJPE", "7.7 mm", _HO3D, _HAMER, "high"),
        Figure("PA-MPVPE", "7.9 mm", _HO3D, _HAMER, "medium"),
        Figure("PCK@0.05", "48.0 / 43.0 / 38.9 %", _HINT, _HAMER, "medium"),
    ),
    "wilor": (
        Figure("PA-MPJPE", "5.5 mm", _FREIHAND, _WILOR, "high"),
        Figure("PA-MPVPE", "5.1 mm", _FREIHAND, _WILOR, "high"),
        Figure("F@5 / F@15", "0.825 / 0.993", _FREIHAND, _WILOR, "high"),
        Figure(
            "PA-MPJPE / PA-MPVPE",
            "4.994 / 5.181 mm",
            f"{_FREIHAND}; released weights, labelled boxes",
            "re-run in the AnyHand paper's table, 2026",
            "medium",
        ),
        Figure("PA-MPJPE", "7.5 mm", _HO3D, _WILOR, "high"),
    ),
    "csvit2": (
        Figure(
            "MPJPE / RTE",
            "42.4 / 42.6 mm",
            "its own validation split, nominally InterHand2.6M and DexYCB; camera space, no "
            "alignment; best checkpoint of 2026-03-05, DINOv2-L",
            _NOTES,
            "medium",
        ),
        Figure(
            "MPJPE / root-relative / RTE",
            "141.31 / 25.77 / 146.57 mm",
            "HO-3D v3 with local labels; camera space, no alignment; the same checkpoint",
            _NOTES,
            "medium",
        ),
        Figure(
            "MPJPE / root-relative / RTE",
            "116.17 / 31.50 / 116.76 mm",
            "DexYCB test; camera space, no alignment; the same checkpoint",
            _NOTES,
            "medium",
        ),
    ),
}


def published(name: str) -> tuple[Figure, ...]:
    """What was printed about the model a config stands for; () where nothing was.

    name: of the config. A variant (csvit2_ief3) has none: its root's figures are another model's.
    """
    return FIGURES.get(name, ())


def root_of(name: str) -> str | None:
    """The published model a config's name belongs to, for a reader who looks for it."""
    found = [root for root in FIGURES if name.startswith(root)]
    return max(found, key=len, default=None)


def note(name: str) -> dict[str, Any] | None:
    """Why a subject has no published figures, where its root has some."""
    root = root_of(name)
    if root is None or root == name:
        return None
    return {"root": root, "why": f"{name} is a variant of {root}; nobody published it."}

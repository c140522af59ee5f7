"""Folders of finished runs with made-up hands, for everything that reads runs back."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

HANDS = 30
CONFIG = {"evaluation": {"metrics": {"root": {"type": "root_mpjpe"}, "pa": {"type": "pa_mpjpe"}}}}


def write_run(
    folder: Path,
    *,
    error_mm: float,
    seed: int,
    converged: bool = True,
    config: Mapping[str, Any] = CONFIG,
    steps: int = 100,
) -> Path:
    """A finished run whose joints are off by about `error_mm`."""
    hands = np.random.default_rng(0)
    joints = hands.normal(0, 0.05, (HANDS, 21, 3)) + np.array([0, 0, 0.6])
    noise = np.random.default_rng((seed, round(1000 * error_mm)))
    off = noise.normal(0, 1, joints.shape) * error_mm / 1600
    off[:, 0] = 0
    arrays = {
        "source": np.array(["synthetic"] * HANDS),
        "key": np.array([f"{i}" for i in range(HANDS)]),
        "prediction/joints": joints + off,
        "prediction/vertices": np.zeros((HANDS, 5, 3)),
        "prediction/keypoints": np.zeros((HANDS, 21, 2)),
        "target/joints": joints,
        "target/joints_valid": np.ones((HANDS, 21)),
        "target/keypoints": np.zeros((HANDS, 21, 2)),
        "target/keypoints_valid": np.ones((HANDS, 21)),
        "target/rotmats": np.broadcast_to(np.eye(3), (HANDS, 16, 3, 3)),
        "target/betas": np.zeros((HANDS, 10)),
        "target/has_mano": np.ones(HANDS),
        "target/has_intrinsics": np.ones(HANDS),
    }
    folder.mkdir(parents=True)
    np.savez(folder / "predictions.npz", **{k: v.astype(np.float32) if v.dtype == float else v
                                            for k, v in arrays.items()})  # fmt: skip
    error = float(np.linalg.norm(off, axis=-1).mean() * 1000)
    points = [0.25, 0.5, 0.75, 1.0]
    verdict = {"value": 0.5 if converged else 0.9, "at_most": 0.8, "holds": converged}
    record = {
        "schema": 1,
        "config": config,
        "config_name": "csvit2",
        "size": "tiny",
        "seed": seed,
        "steps": steps,
        "seconds": 60.0,
        "samples_per_s": 100.0 + seed,
        "parameters_m": 2.8,
        "metrics": {"root_mpjpe_mm": error, "pa_mpjpe_mm": error / 2},
        "baseline": {"root_mpjpe_mm": 100.0},
        "verdict": {"converged": converged, "criteria": {"beats_baseline": verdict}},
        "history": {"train/loss": {"position": points, "value": [4.0, 3.0, 2.5, error / 20]}},
        "machine": {"cores": 2, "gpu": None},
        "versions": {"torch": "2.11"},
        "data": {"samples": 24000, "val_samples": HANDS, "fingerprint": "65a5"},
        "commit": "0123456789",
    }
    (folder / "run.json").write_text(json.dumps(record, default=str))
    return folder


@pytest.fixture(scope="session")
def made_run() -> Callable[..., Path]:
    """Writes a finished run into a folder."""
    return write_run

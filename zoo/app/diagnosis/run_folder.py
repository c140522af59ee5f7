"""The folder of a training run as something to diagnose: its recipe, its log, its weights."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config

from benchmarks.diagnose import ProbeRun
from benchmarks.run_laws import RunLog, examine
from benchmarks.subject import Subject, subject_of
from registry.overrides import set_values
from zoo.app.training import checkpoints
from zoo.contracts import FrameBatch


def is_run(name: str) -> bool:
    """Whether a name is a folder, which only a run can be."""
    return Path(name).is_dir()


@dataclass(frozen=True)
class RunFolder:
    """A run of `zoo train`, finished or not."""

    path: Path
    log: RunLog

    @classmethod
    def read(cls, folder: str | Path) -> RunFolder:
        """Raises ValueError where the folder holds no config of a run or no log."""
        path = Path(folder)
        summary = _json(path / "run.json")
        steps, scalars, validation = _scalars(path)
        if not len(steps):
            raise ValueError(
                f"{path}: no log of a training run (*/vis_data/scalars.json) is in this folder; "
                f"name the work directory of zoo train."
            )
        config = _config(path, summary)
        return cls(path, RunLog(config, steps, scalars, validation, summary))

    def laws(self) -> Iterator[ProbeRun]:
        """What the log says, as probes report it."""
        return examine(self.log)

    def subject(
        self,
        changes: Sequence[str] = (),
        checkpoint: Path | None = None,
        frames: FrameBatch | None = None,
        seed: int = 0,
    ) -> Subject:
        """The run's model with its newest weights, or freshly initialised where it saved none."""
        newest = checkpoints.latest(self.path)
        weights = checkpoint or (newest[0] if newest else None)
        config = set_values(dict(self.log.config), list(changes))
        name = self.path.resolve().name
        return subject_of(name, config, frames=frames, checkpoint=weights, seed=seed)


def _config(path: Path, summary: Mapping[str, Any] | None) -> dict[str, Any]:
    dumps = sorted(path.glob("*.py"))
    if dumps:  # as mmengine wrote it when training began; tuples are still tuples there
        return Config.fromfile(dumps[-1]).to_dict()
    if summary is not None:
        return summary["config"]
    raise ValueError(
        f"{path}: neither a config (*.py) nor a run.json says what was trained here; name the "
        f"work directory of zoo train."
    )


def _scalars(
    path: Path,
) -> tuple[np.ndarray, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Training scalars by step, those of a resumed run in place of what it repeated."""
    by_step: dict[int, dict[str, float]] = {}
    validation: dict[str, list[float]] = defaultdict(list)
    for file in sorted(path.glob("*/vis_data/scalars.json")):
        for line in file.read_text(encoding="utf-8").splitlines():
            entry = json.loads(line)
            if "iter" in entry:
                by_step[int(entry.pop("iter"))] = entry
            else:
                for name, value in entry.items():
                    validation[name].append(float(value))
    steps = np.array(sorted(by_step))
    names = sorted({name for entry in by_step.values() for name in entry} - {"step"})
    rows = [by_step[int(step)] for step in steps]
    scalars = {name: np.array([row.get(name, np.nan) for row in rows]) for name in names}
    return steps, scalars, {name: np.array(values) for name, values in validation.items()}


def _json(file: Path) -> dict[str, Any] | None:
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None

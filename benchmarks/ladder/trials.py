"""Whether a config's runs hold a criterion: what bisecting asks after each training."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path


def holds(folders: Sequence[Path], criterion: str) -> bool:
    """Whether more than half of the runs hold; `criterion` is "converged" or one of the verdict's.

    Raises ValueError for a criterion no verdict has.
    """
    answers = []
    for folder in folders:
        verdict = json.loads((folder / "run.json").read_text())["verdict"]
        known = {"converged": verdict["converged"]}
        known |= {name: entry["holds"] for name, entry in verdict["criteria"].items()}
        if criterion not in known:
            raise ValueError(f"--criterion {criterion}: a verdict has {', '.join(known)}.")
        answers.append(known[criterion] is True)
    return sum(answers) * 2 > len(answers)

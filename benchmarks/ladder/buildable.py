"""Whether a config can be built and takes a step, asked before anything is trained."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from benchmarks.bench.cost import without_weights
from benchmarks.ladder.climb import write_json
from benchmarks.ladder.plan import WhyNot
from registry.check import problems
from registry.whole import build_model
from zoo.contracts import FrameBatch


def why_not_built(frames: FrameBatch | None, memory: Path | None = None) -> WhyNot:
    """A function that says why a config cannot be trained, or None where it can; it remembers.

    frames: labelled hands for one training pass through the losses, which finds parts that are
    built and then do not fit; None builds on the meta device, for sizes that would not fit here.
    memory: a file of answers, so that a ladder that goes on need not build every rung again.
    """
    known: dict[str, str | None] = {}
    if memory is not None and memory.is_file():
        known = json.loads(memory.read_text())

    def why_not(config: Mapping[str, Any]) -> str | None:
        text = json.dumps(config, sort_keys=True, default=str)
        key = hashlib.sha256(text.encode()).hexdigest()
        if key not in known:
            known[key] = _reason(config, frames)
            if memory is not None:
                write_json(memory, known)
        return known[key]

    return why_not


def _reason(config: Mapping[str, Any], frames: FrameBatch | None) -> str | None:
    if found := problems(config):
        return found[0]
    bare = without_weights(config)
    try:
        if frames is None:
            with torch.device("meta"):
                build_model(bare)
            return None
        model = build_model(bare)
        if "clip" in config["data"]:
            return None  # clips come from a stream, and a built model is what is known of them
        terms = model(**model.data_preprocessor(frames, True), mode="loss")
    except (ValueError, RuntimeError) as error:
        return str(error).strip().split("\n")[0]
    odd = [name for name, value in terms.items() if not torch.isfinite(value)]
    return f"{odd[0]} is not finite on the first batch" if odd else None

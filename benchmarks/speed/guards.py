"""What the guards of a training run cost: steps with and without them, in turn, in one run.

python -m benchmarks.speed.guards
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from typing import Any

import torch

from benchmarks.guards import Guards, Step
from benchmarks.subject import load_subject


def measure(
    *, config: str = "csvit2_ief3", size: str = "tiny", batch: int = 32, steps: int = 20
) -> dict[str, Any]:
    """Median seconds of a training step, of the guards after it, and their ratio.

    The guards look at all parameters after every step here, fifty times as often as in training;
    `guarded_share_every_step` is that cost and `guarded_share` the one in training.
    """
    subject = load_subject(config, size=size)
    model = subject.fresh_model().train()
    optimizer = subject.optimizer(model)
    view, target = subject.batch(batch, training=True)
    whole = Guards(model.parameters(), parameters_every=1)
    light = Guards(model.parameters(), parameters_every=10**9)
    seconds: dict[str, list[float]] = {"step": [], "guard": [], "guard_with_parameters": []}
    for number in range(1, steps + 2):
        started = time.perf_counter()
        terms = model.loss_terms(model.predict_hand(view), model.hand.place_target(target))
        optimizer.zero_grad()
        sum(terms.values()).backward()
        optimizer.step()
        marks = [time.perf_counter()]
        step = Step(number, {k: v.detach() for k, v in terms.items()}, 0, 1e-4, 1e-4, 0.1, 0.01)
        for guards in (light, whole):
            list(guards.after(step))
            marks.append(time.perf_counter())
        if number > 1:  # the first step warms caches up
            seconds["step"].append(marks[0] - started)
            seconds["guard"].append(marks[1] - marks[0])
            seconds["guard_with_parameters"].append(marks[2] - marks[1])
    return _report(seconds, config=config, size=size, batch=batch, steps=steps)


def _report(seconds: dict[str, list[float]], **setting: Any) -> dict[str, Any]:
    step, guard, whole = (
        statistics.median(seconds[k]) for k in ("step", "guard", "guard_with_parameters")
    )
    every = 50  # steps between two looks at the parameters, RunGuards' default
    return {
        **setting,
        "threads": torch.get_num_threads(),
        "step_s": step,
        "guard_s": guard,
        "guard_with_parameters_s": whole,
        "guarded_share": (guard + (whole - guard) / every) / step,
        "guarded_share_every_step": whole / step,
    }


def main() -> None:
    """Prints the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", default="csvit2_ief3")
    parser.add_argument("--size", default="tiny")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=20)
    print(json.dumps(measure(**vars(parser.parse_args())), indent=1))


if __name__ == "__main__":
    main()

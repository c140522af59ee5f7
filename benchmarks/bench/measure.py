"""Measures models side by side: what each costs, in one run, alternately."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from benchmarks.bench.cost import Cost, cost_of
from benchmarks.bench.memory import METHODS, held_mb, peak_growth_mb
from benchmarks.bench.stages import Bench, take_apart
from benchmarks.bench.timing import Clock, Timing, Work, alternate
from benchmarks.published import published
from benchmarks.statistics import Estimate
from zoo.contracts import FrameBatch

PRECISIONS = ("bf16", "fp32")
STAGES = ("augmentation", "backbone", "neck", "head", "mano", "losses")
Say = Callable[[str], None]
Timings = Mapping[str, Mapping[str, Mapping[str, Timing]]]  # precision, kind, subject


def measure(
    configs: Mapping[str, Mapping[str, Any]],
    frames: FrameBatch | None,
    *,
    against: Sequence[str],
    batch: int = 8,
    budget: float = 60.0,
    precisions: Sequence[str] = PRECISIONS,
    device: str = "cpu",
    clock: Clock = time.perf_counter,
    say: Say = lambda text: None,
) -> dict[str, Any]:
    """The `bench` record: subjects with their costs, and ratios of each pair.

    configs: resolved ones by the subject's name. frames: labelled hands to time on; None counts
    parameters and operations only. against: the subjects that the others are divided by. budget:
    seconds of timing for everything together. say: told what comes next.
    """
    say("counting parameters and operations")
    costs = {name: cost_of(config) for name, config in configs.items()}
    timings: Timings = {}
    memory: dict[str, float] = {}
    if frames is not None:
        benches = [
            take_apart(name, config, frames, batch=batch, device=device)
            for name, config in configs.items()
        ]
        timings = _timings(benches, precisions, budget, clock, say)
        say("memory of a training step")
        memory = {bench.name: _peak(bench, precisions[0], device) for bench in benches}
    subjects = [
        _subject(name, costs[name], timings, memory.get(name), batch, configs[name])
        for name in configs
    ]
    return {
        "schema": 1,
        "protocol": _protocol(batch, device, precisions, timed=frames is not None),
        "subjects": subjects,
        "ratios": _ratios(list(configs), against, costs, timings, memory),
    }


def _timings(
    benches: Sequence[Bench], precisions: Sequence[str], budget: float, clock: Clock, say: Say
) -> Timings:
    share = budget / max(1, len(precisions) * (3 + len(STAGES)))
    return {
        precision: {
            kind: alternate(work, budget=share, clock=clock, device=benches[0].device)
            for kind, work in _pieces(benches, precision, say)
        }
        for precision in precisions
    }


def _pieces(
    benches: Sequence[Bench], precision: str, say: Say
) -> Iterator[tuple[str, dict[str, Work]]]:
    """What is timed, by name; each piece of all subjects together."""
    say(f"{precision}: forward")
    yield "forward", {bench.name: bench.forward(1, precision) for bench in benches}
    yield "batch", {bench.name: bench.forward(bench.batch, precision) for bench in benches}
    say(f"{precision}: training step")
    yield "train_step", {bench.name: bench.train_step(precision) for bench in benches}
    stages = {bench.name: bench.stages(precision) for bench in benches}
    for stage in STAGES:
        say(f"{precision}: {stage}")
        work = {name: found[stage] for name, found in stages.items() if stage in found}
        if work:
            yield stage, work


def _peak(bench: Bench, precision: str, device: str) -> float:
    step = bench.train_step(precision)
    step()  # makes the optimiser's state, which is counted apart
    return peak_growth_mb(step, device) + held_mb(bench.model, bench.optimizer)


def _subject(
    name: str,
    cost: Cost,
    timings: Timings,
    memory: float | None,
    batch: int,
    config: Mapping[str, Any],
) -> dict[str, Any]:
    measured = {precision: _numbers(name, kinds, batch) for precision, kinds in timings.items()}
    main = next(iter(measured.values()), {})
    return {
        "name": name,
        "config": config,
        "parameters_m": round(cost.parameters_m, 3),
        "parameters": cost.parameters,
        "trainable_m": round(cost.trainable / 1e6, 3),
        "gflops": round(cost.gflops, 6),
        "gflops_by_stage": {stage: round(n / 1e9, 6) for stage, n in cost.flops.items()},
        **{key: main.get(key) for key in _HEADLINES},
        "peak_memory_mb": None if memory is None else round(memory, 1),
        "precisions": measured,
        "metrics": {},
        "published": [figure.record() for figure in published(name)],
    }


_HEADLINES = ("forward_ms", "images_per_s", "train_step_ms", "samples_per_s")


def _numbers(name: str, kinds: Mapping[str, Mapping[str, Timing]], batch: int) -> dict[str, Any]:
    def median(kind: str) -> float:
        return kinds[kind][name].milliseconds().value

    return {
        "forward_ms": median("forward"),
        "images_per_s": 1e3 * batch / median("batch"),
        "train_step_ms": median("train_step"),
        "samples_per_s": 1e3 * batch / median("train_step"),
        "rounds": len(kinds["forward"][name].seconds),
        "stages_ms": {stage: median(stage) for stage in STAGES if name in kinds.get(stage, {})},
    }


def _ratios(
    names: Sequence[str],
    against: Sequence[str],
    costs: Mapping[str, Cost],
    timings: Timings,
    memory: Mapping[str, float],
) -> dict[str, dict[str, Any]]:
    pairs = [(a, b) for b in against for a in names if a != b]
    comparisons = sum(
        a in of and b in of for a, b in pairs for kinds in timings.values() for of in kinds.values()
    )
    found = {}
    for a, b in pairs:
        by_precision = {
            precision: _timed_ratios(a, b, kinds, comparisons)
            for precision, kinds in timings.items()
        }
        main = next(iter(by_precision.values()), {})
        found[f"{a}/{b}"] = {
            "parameters_m": costs[a].parameters_m / costs[b].parameters_m,
            "gflops": costs[a].gflops / costs[b].gflops,
            **({"peak_memory_mb": memory[a] / memory[b]} if memory else {}),
            **{name: main[name] for name in _HEADLINES if name in main},
            "precisions": by_precision,
        }
    return found


def _timed_ratios(
    a: str, b: str, kinds: Mapping[str, Mapping[str, Timing]], comparisons: int
) -> dict[str, Any]:
    both = {kind: of for kind, of in kinds.items() if a in of and b in of}
    times = {kind: of[a].ratio(of[b], comparisons=comparisons) for kind, of in both.items()}
    return {
        "forward_ms": _record(times["forward"]),
        "images_per_s": _record(_inverse(times["batch"])),
        "train_step_ms": _record(times["train_step"]),
        "samples_per_s": _record(_inverse(times["train_step"])),
        "stages_ms": {stage: _record(times[stage]) for stage in STAGES if stage in times},
    }


def _inverse(ratio: Estimate) -> Estimate:
    """The ratio the other way round; an unknown bound stays unknown."""
    return Estimate(
        1 / ratio.value, 1 / ratio.high if ratio.high else 0.0, 1 / ratio.low if ratio.low else 0.0
    )


def _record(ratio: Estimate) -> dict[str, float]:
    return {"value": ratio.value, "low": ratio.low, "high": ratio.high}


def _protocol(batch: int, device: str, precisions: Sequence[str], *, timed: bool) -> dict[str, Any]:
    said: dict[str, Any] = {
        "gflops": "one hand, forward, picture to mesh; a multiply-add is two operations",
        "parameters_m": "everything that runs at inference; discriminators are in `parameters`",
    }
    if timed:
        said |= {
            "batch": batch,
            "device": device,
            "precisions": list(precisions),
            "forward_ms": "batch 1, picture to mesh, no gradients; median",
            "train_step_ms": "augmentation, forward, losses, backward, update; no loading",
            "peak_memory_mb": METHODS[device.partition(":")[0]],
            "order": "all subjects in turn, A B, B A, round after round, after a warm-up",
            "ratios": "median over pairs of rounds; the intervals hold together with 95 %",
            "weights": "random: no weight changes a cost",
        }
    return said

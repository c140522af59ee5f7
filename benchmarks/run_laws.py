"""Laws a training run keeps, read from what it logged; the guards of training hold to the same."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.diagnose import ProbeRun
from benchmarks.probe import ProbeResult, Unrunnable
from registry.layout import at
from zoo.contracts import Finding

FEWEST = 20  # logged steps below which a run says nothing yet
FELL = 0.02  # of its first value: a total loss that fell by less did not learn
ROSE = 1.5  # times its lowest smoothed value: a loss that came up again
RATE_OFF = 0.05  # of the expected learning rate
WAIT = 0.2  # of a step
SPIKE = 100.0  # times the median gradient norm
REPEATED = 0.05  # of all logged totals that occur more than once
NO_BETTER = 0.95  # of the baseline's error
FEWEST_MEASURED = 3  # of a metric, the last ones, before they are called constant


@dataclass(frozen=True)
class RunLog:
    """What a run wrote down: its recipe, its training scalars and its measurements."""

    config: Mapping[str, Any]
    steps: np.ndarray  # (N,) the step of each logged entry, from 1
    scalars: Mapping[str, np.ndarray]  # (N,) "loss", "loss_joints", "grad_norm", "data_time", ...
    validation: Mapping[str, np.ndarray]  # (M,) "root_mpjpe_mm", ... in the order of measuring
    summary: Mapping[str, Any] | None = None  # run.json of a finished run

    @property
    def terms(self) -> dict[str, np.ndarray]:
        """The weighted loss terms, without their total."""
        return {name: v for name, v in self.scalars.items() if name.startswith("loss_")}


def rate_factor(recipe: Mapping[str, Any], steps: int, step: int) -> float:
    """The learning rate of a step as a part of the peak: linear warm-up, then a cosine.

    recipe: warmup (steps) and cycles, as `param_scheduler` of a config. step: from 0.
    """
    warmup = min(recipe.get("warmup", 0), steps - 1)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    progress = (step - warmup) / (steps - warmup)
    return (1 + math.cos(2 * math.pi * recipe.get("cycles", 0.5) * progress)) / 2


def finite(log: RunLog) -> ProbeResult:
    """Everything logged is a number."""
    bad = {k: int((~np.isfinite(v)).sum()) for k, v in log.scalars.items()}
    bad = {name: count for name, count in bad.items() if count}
    findings = []
    if bad:
        name = max(bad, key=lambda name: (bad[name], name in log.terms))  # a term, not the total
        first = int(log.steps[~np.isfinite(log.scalars[name])][0])
        message = f"{name} was not finite in {bad[name]} logged steps, first at step {first}."
        evidence = {"entries": bad[name], "first_step": first, "priority": 0}
        findings.append(Finding("run.finite/not", "error", _path(name), message, evidence))
    return ProbeResult(tuple(findings), {"not_finite": bad})


def losses(log: RunLog) -> ProbeResult:
    """The total loss falls and stays down."""
    total = _enough(log, "loss")
    first, last = np.median(_part(total, 0)), np.median(_part(total, -1))
    lowest = min(float(np.median(part)) for part in np.array_split(total, 10))
    fell = 1 - last / first if first else 0.0
    evidence = {"first": first, "last": last, "lowest": lowest, "fell": fell}
    evidence |= {"slopes": {name: _fall(values) for name, values in log.terms.items()}}
    numbers = {key: float(evidence[key]) for key in ("first", "last", "fell")}
    findings = []
    if fell < FELL:
        message = f"The loss went from {first:.3g} to {last:.3g} in {log.steps[-1]} steps: it fell "
        message += f"by {fell:.1%}."
        findings.append(Finding("run.losses/flat", "error", "train_cfg", message, numbers))
    elif last > ROSE * lowest:
        message = f"The loss rose to {last:.3g} after it had been {lowest:.3g}."
        numbers["lowest"] = lowest
        path = "optim_wrapper.optimizer.lr"
        findings.append(Finding("run.losses/rose", "warning", path, message, numbers))
    return ProbeResult(tuple(findings), evidence)


def repeats(log: RunLog) -> ProbeResult:
    """No term stands still, and no batch comes back with the same loss."""
    total = _enough(log, "loss")
    findings = [f for name, values in log.terms.items() for f in _still(name, values)]
    again = 1 - len(np.unique(total)) / len(total)
    if again > REPEATED:
        message = f"{again:.0%} of the logged totals occur more than once, to the last digit: the "
        message += "same batches come back unaugmented, or nothing is updated."
        evidence = {"share": again}
        findings.append(Finding("run.repeats/totals", "warning", "data.train", message, evidence))
    return ProbeResult(tuple(findings), {"repeated_totals": again})


def rate(log: RunLog) -> ProbeResult:
    """The learning rate follows the schedule of the config."""
    logged = log.scalars.get("base_lr", log.scalars.get("lr"))
    peak, recipe = at(log.config, "optim_wrapper.optimizer.lr"), at(log.config, "param_scheduler")
    steps = at(log.config, "train_cfg.max_iters")
    if logged is None or peak is None or recipe is None or steps is None:
        raise Unrunnable("the log holds no learning rate, or the config no schedule")
    expected = [peak * rate_factor(recipe, steps, int(step) - 1) for step in log.steps]
    off = np.abs(logged - expected) / peak
    worst = int(np.argmax(off))
    evidence = {
        "off": float(off[worst]),
        "step": int(log.steps[worst]),
        "logged": float(logged[worst]),
        "expected": float(expected[worst]),
    }
    if off[worst] <= RATE_OFF:
        return ProbeResult((), evidence)
    message = f"At step {evidence['step']} the learning rate was {evidence['logged']:.3g}, the "
    message += f"schedule says {evidence['expected']:.3g}."
    found = Finding("run.rate/off", "error", "param_scheduler", message, evidence)
    return ProbeResult((found,), evidence)


def gradients(log: RunLog) -> ProbeResult:
    """Gradient norms are finite, above zero and without lone peaks."""
    norms = _enough(log, "grad_norm")
    norms = norms[np.isfinite(norms)]
    middle, largest = float(np.median(norms)), float(norms.max())
    limit = at(log.config, "optim_wrapper.clip_grad.max_norm")
    evidence = {"median": middle, "largest": largest}
    if limit:
        evidence["clipped"] = float((norms > limit).mean())
    path, findings = "optim_wrapper", []
    if middle < 1e-10:
        message = f"The gradient is as good as zero (median norm {middle:.1e}): nothing is learnt."
        findings.append(Finding("run.gradients/none", "error", path, message, evidence))
    elif largest > SPIKE * middle:
        message = (
            f"The largest gradient ({largest:.3g}) is {largest / middle:.0f} times the median."
        )
        evidence["ratio"] = largest / middle
        findings.append(Finding("run.gradients/peaks", "warning", path, message, evidence))
    return ProbeResult(tuple(findings), evidence)


def wait(log: RunLog) -> ProbeResult:
    """Little of a step is spent waiting for data."""
    whole, waited = _enough(log, "time")[1:], _enough(log, "data_time")[1:]
    share = float(waited.sum() / whole.sum())
    evidence = {"share": share, "step_s": float(np.median(whole))}
    if share <= WAIT:
        return ProbeResult((), evidence)
    workers = at(log.config, "data.num_workers") or 0
    message = f"{share:.0%} of the time of a step is spent waiting for data."
    found = Finding(
        "run.wait/data",
        "warning",
        "data.num_workers",
        message,
        evidence,
        (f"data.num_workers={max(4, 2 * workers)}",),
    )
    return ProbeResult((found,), evidence)


def result(log: RunLog) -> ProbeResult:
    """A finished run is better than a hand that never looks at the picture."""
    if log.summary is None:
        raise Unrunnable("the run has no run.json: it did not finish")
    ratio = at(log.summary, "verdict.criteria.beats_baseline.value")
    if ratio is None:
        raise Unrunnable("run.json holds no error to compare with the baseline")
    evidence = {"of_baseline": ratio, "skipped_updates": log.summary.get("skipped_updates") or 0}
    findings = []
    if ratio > NO_BETTER:
        message = f"After {log.summary['steps']} steps the error is {ratio:.2f} of a baseline that "
        message += "never looks at the picture."
        findings.append(Finding("run.result/blind", "error", "model", message, evidence))
    return ProbeResult(tuple(findings), evidence)


def measured(log: RunLog) -> ProbeResult:
    """Measurements change while weights do."""
    if max((len(values) for values in log.validation.values()), default=0) < FEWEST_MEASURED:
        raise Unrunnable(f"fewer than {FEWEST_MEASURED} measurements to compare")
    findings, still = [], {}
    for name, values in log.validation.items():
        values = values[np.isfinite(values)]
        if len(values) >= FEWEST_MEASURED and np.ptp(values[-FEWEST_MEASURED:]) == 0:
            still[name] = float(values[-1])
    if still:
        name = max(still, key=lambda name: ("mpjpe" in name, name))
        message = f"The last {FEWEST_MEASURED} measurements of {name} are {still[name]:.6g} to the "
        message += "last digit: what is measured does not depend on the weights, as of a hand that "
        message += "collapsed to a point."
        evidence = {"value": still[name], "metrics": len(still), "priority": 0}
        findings.append(Finding("run.measured/still", "error", "model", message, evidence))
    return ProbeResult(tuple(findings), {"still": still})


LAWS: dict[str, Callable[[RunLog], ProbeResult]] = {
    "run.finite": finite,
    "run.losses": losses,
    "run.repeats": repeats,
    "run.rate": rate,
    "run.gradients": gradients,
    "run.wait": wait,
    "run.measured": measured,
    "run.result": result,
}


def examine(log: RunLog) -> Iterator[ProbeRun]:
    """Every law of a run, as the probes of a diagnosis report theirs."""
    for id, law in LAWS.items():
        said, see = (law.__doc__ or "").strip(), "docs/diagnose.md#a-run"
        try:
            found = law(log)
        except Unrunnable as reason:
            yield ProbeRun(id, "skipped", str(reason), 0.0, law=said, see=see)
            continue
        bad = any(finding.severity != "info" for finding in found.findings)
        status = "failed" if bad else "passed"
        yield ProbeRun(id, status, "", 0.0, found.findings, found.evidence, said, see)


def _still(name: str, values: np.ndarray) -> Iterator[Finding]:
    if np.ptp(values) > 0:
        return
    value, path = float(values[0]), _path(name)
    evidence = {"value": value, "entries": len(values)}
    if value:
        message = f"{name} is {value:.6g} in every one of {len(values)} logged steps."
        yield Finding("run.repeats/still", "error", path, message, evidence)
    else:
        message = f"{name} is 0 in every logged step: no label feeds it."
        yield Finding("run.repeats/zero", "info", path, message, evidence)


def _enough(log: RunLog, name: str) -> np.ndarray:
    values = log.scalars.get(name)
    if values is None:
        raise Unrunnable(f"the log holds no {name}")
    if len(values) < FEWEST:
        raise Unrunnable(f"only {len(values)} logged steps; it takes {FEWEST}")
    return values


def _part(values: np.ndarray, index: int) -> np.ndarray:
    return np.array_split(values, 10)[index]


def _fall(values: Sequence[float]) -> float:
    first, last = np.median(_part(values, 0)), np.median(_part(values, -1))
    return float(1 - last / first) if first else 0.0


def _path(name: str) -> str:
    return f"model.losses.{name.removeprefix('loss_')}" if name.startswith("loss_") else "train_cfg"

"""Trains recipes side by side under one small budget, and writes what they reached as a page.

python -m benchmarks.recipes --jobs 2
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.ladder.runs import Command, Run, last_words, train_all
from benchmarks.statistics import mean_of_runs
from registry.config import find

RECIPES = ("csvit2_ief3", "csvit2", "csvit2_old")  # best first, as was expected before measuring
METRICS = {
    "root_mpjpe_mm": "root-relative MPJPE",
    "pa_mpjpe_mm": "PA-MPJPE",
    "mpjpe_mm": "MPJPE",
    "rte_mm": "RTE",
}
MAIN = "root_mpjpe_mm"
Records = Mapping[str, Sequence[Mapping[str, Any]]]  # recipe -> run.json of each seed


class NotComparable(ValueError):
    """Runs that did not train on the same data for the same number of steps."""


@dataclass(frozen=True)
class Plan:
    """What is trained: every recipe with every seed, each in a folder of its own."""

    recipes: tuple[str, ...] = RECIPES
    seeds: int = 5
    steps: int | None = None  # None: the tiny size's own budget
    data: str | None = None
    out: Path = Path("runs/recipes")

    @property
    def runs(self) -> list[Run]:
        """One seed of every recipe before the next seed, so that a stop leaves whole rows."""
        budget = "default" if self.steps is None else f"{self.steps}-steps"
        return [
            Run(name, find(name), seed, self.out / budget / f"{Path(name).stem}-seed{seed}")
            for seed in range(self.seeds)
            for name in self.recipes
        ]

    def command(self, run: Run, resume: bool) -> list[str]:
        """`zoo train` at the tiny size; what a recipe is at that size stays its own."""
        options = {"--steps": self.steps, "--data": self.data}
        return [
            *(sys.executable, "-m", "zoo.app.cli", "train", str(run.config_file)),
            *("--size", "tiny", "--seed", str(run.seed), "--work-dir", str(run.folder)),
            *(str(word) for pair in options.items() if pair[1] is not None for word in pair),
            *(("--resume",) if resume else ()),
        ]

    def records(self) -> dict[str, list[dict[str, Any]]]:
        """run.json of every finished run, by recipe, in the order of the seeds."""
        found: dict[str, list[dict[str, Any]]] = {name: [] for name in self.recipes}
        for run in self.runs:
            if run.finished:
                found[run.name].append(json.loads((run.folder / "run.json").read_text()))
        return {name: records for name, records in found.items() if records}


def train(plan: Plan, *, jobs: int, threads: int, command: Command | None = None) -> list[Run]:
    """Trains what is not finished; returns the runs that failed.

    With several jobs the hands are rendered first, so that no two runs render the same.
    """
    waiting = [run for run in plan.runs if not run.finished]
    if not waiting:
        return []
    if jobs > 1 and plan.data is None and command is None:
        _render(plan)
    return train_all(
        waiting,
        command or plan.command,
        jobs=jobs,
        threads=threads,
        told=lambda run, what: print(f"{run.name} seed {run.seed}: {what}", flush=True),
        every=1.0 if command is None else 0.05,
    )


def page(records: Records, command: str) -> str:
    """The page: means over seeds with their 95 % intervals, every seed, and pairs of recipes.

    Raises NotComparable for runs of different data or budgets.
    """
    check_comparable(records)
    (first, *_), everything = records.values(), [r for runs in records.values() for r in runs]
    commits = sorted({(record["commit"] or "unknown")[:10] for record in everything})
    machine = first[0]["machine"]
    lines = [
        "# Recipes side by side",
        "",
        "This page is written by the command below from the `run.json` of its runs; edit "
        "`benchmarks/recipes.py` instead.",
        "",
        "```bash",
        command,
        "```",
        "",
        f"Size tiny, {first[0]['steps']} steps of the same {first[0]['data']['samples']} rendered "
        f"hands (fingerprint `{first[0]['data']['fingerprint'][:12]}`), measured on "
        f"{first[0]['data']['val_samples']} held-out ones. A value is the mean over seeds with its "
        f"95 % interval (Student's t over seeds); the baseline is the mean pose. "
        f"Commit {', '.join(commits)}; {machine['cores']} cores, {machine['gpu'] or 'no GPU'}.",
        "",
        *_table(records),
        "",
        f"## Every seed: {METRICS[MAIN]} (mm)",
        "",
        *_seeds(records),
        "",
        f"## Pairs: {METRICS[MAIN]} (mm)",
        "",
        "The difference seed by seed: the same seed shows the same hands in the same order.",
        "",
        *_pairs(records),
        "",
        _against_expectation(records),
    ]
    return "\n".join(lines) + "\n"


def check_comparable(records: Records) -> None:
    """Raises NotComparable where runs differ in data or budget, naming two of them."""
    everything = [record for runs in records.values() for record in runs]
    for name, value in (("steps", _steps), ("data.fingerprint", _data)):
        for record in everything[1:]:
            if value(record) != value(everything[0]):
                raise NotComparable(
                    f"{record['config_name']} seed {record['seed']} has {name} {value(record)} and "
                    f"{everything[0]['config_name']} seed {everything[0]['seed']} has "
                    f"{value(everything[0])}; train them anew into another --out."
                )


def _table(records: Records) -> list[str]:
    lines = [
        f"| recipe | M parameters | seeds | {' | '.join(METRICS.values())} | of the baseline | "
        "min a run |",
        "|---|--:|--:|" + "--:|" * (len(METRICS) + 2),
    ]
    for name, runs in records.items():
        cells = [_interval([run["metrics"][metric] for run in runs]) for metric in METRICS]
        ratio = _interval([run["metrics"][MAIN] / run["baseline"][MAIN] for run in runs], digits=2)
        minutes = sum(run["seconds"] for run in runs) / len(runs) / 60
        lines.append(
            f"| `{name}` | {runs[0]['parameters_m']:.1f} | {len(runs)} | {' | '.join(cells)} | "
            f"{ratio} | {minutes:.1f} |"
        )
    return lines


def _seeds(records: Records) -> list[str]:
    seeds = sorted({run["seed"] for runs in records.values() for run in runs})
    lines = ["| recipe | " + " | ".join(map(str, seeds)) + " |", "|---|" + "--:|" * len(seeds)]
    for name, runs in records.items():
        of = {run["seed"]: f"{run['metrics'][MAIN]:.1f}" for run in runs}
        lines.append(f"| `{name}` | " + " | ".join(of.get(seed, "") for seed in seeds) + " |")
    return lines


def _pairs(records: Records) -> list[str]:
    lines = ["| difference | mm | seeds | says |", "|---|--:|--:|---|"]
    for better, worse in itertools.combinations(records, 2):
        differences = _differences(records, better, worse)
        lines.append(
            f"| `{worse}` - `{better}` | {_interval(differences)} | {len(differences)} | "
            f"{_says(differences, better, worse)} |"
        )
    return lines


def _against_expectation(records: Records) -> str:
    expected = [name for name in RECIPES if name in records]
    said = {
        (better, worse): _says(_differences(records, better, worse), better, worse)
        for better, worse in itertools.combinations(expected, 2)
    }
    against = [f"`{w}` before `{b}`" for (b, w), says in said.items() if says == f"`{w}` is better"]
    open_pairs = [f"`{b}` and `{w}`" for (b, w), says in said.items() if says == "not decided"]
    order = ", ".join(f"`{name}`" for name in expected)
    if against:
        verdict = f"The numbers say otherwise: {'; '.join(against)}."
    elif open_pairs:
        verdict = f"Nothing contradicts it; not decided at this number of seeds: {open_pairs[0]}"
        verdict += "".join(f", {pair}" for pair in open_pairs[1:]) + "."
    else:
        verdict = "The numbers agree."
    return f"Expected before measuring, best first: {order}. {verdict}"


def _differences(records: Records, better: str, worse: str) -> list[float]:
    of = {run["seed"]: run["metrics"][MAIN] for run in records[better]}
    return [r["metrics"][MAIN] - of[r["seed"]] for r in records[worse] if r["seed"] in of]


def _says(differences: Sequence[float], better: str, worse: str) -> str:
    """Which is better, where 0 lies outside the interval."""
    estimate = mean_of_runs(differences)
    if estimate.low > 0:
        return f"`{better}` is better"
    return f"`{worse}` is better" if estimate.high < 0 else "not decided"


def _interval(values: Sequence[float], *, digits: int = 1) -> str:
    estimate = mean_of_runs(values)
    if estimate.low != estimate.low:  # one seed has no interval
        return f"{estimate.value:.{digits}f}"
    return f"{estimate.value:.{digits}f} ({estimate.low:.{digits}f} to {estimate.high:.{digits}f})"


def _steps(record: Mapping[str, Any]) -> int:
    return record["steps"]


def _data(record: Mapping[str, Any]) -> str:
    return record["data"]["fingerprint"]


def _render(plan: Plan) -> None:
    """Renders the tiny size's hands, with one step of training that nobody needs."""
    folder = plan.out / "rendering"
    first = Plan((plan.recipes[0],), 1, 1, plan.data, folder).runs[0]
    if first.finished:
        return
    failed = train_all([first], Plan(steps=1).command, jobs=1, threads=os.cpu_count() or 1)
    if failed:
        raise subprocess.SubprocessError(f"rendering: {last_words(first)}")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recipes", description=__doc__)
    parser.add_argument("recipes", nargs="*", help=f"default: {' '.join(RECIPES)}")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, help="default: the tiny size's own")
    parser.add_argument("--data", help="shards; default: rendered once, kept in $ZOO_CACHE")
    parser.add_argument("--out", type=Path, default=Path("runs/recipes"))
    parser.add_argument("--page", type=Path, default=Path("docs/recipes.md"))
    parser.add_argument("--jobs", type=int, default=1, help="runs at once")
    parser.add_argument("--threads", type=int, help="of each run; default: the cores, shared")
    said = parser.parse_args()
    recipes = tuple(said.recipes) or RECIPES
    plan = Plan(recipes, said.seeds, said.steps, said.data, said.out)
    threads = said.threads or max(1, len(os.sched_getaffinity(0)) // said.jobs)
    failed = train(plan, jobs=said.jobs, threads=threads)
    if records := plan.records():
        command = " ".join(["python -m benchmarks.recipes", *sys.argv[1:]])
        said.page.write_text(page(records, command), encoding="utf-8")
        print(f"wrote {said.page} from {sum(map(len, records.values()))} runs")
    for run in failed:
        print(f"failed: {run.folder}: {last_words(run)}", file=sys.stderr)
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()

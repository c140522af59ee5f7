"""`zoo ladder`: plans, checks, trains and reports the way from one config to another."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from benchmarks.ladder.bisect import Culprits, NothingToBisect, bisect
from benchmarks.ladder.buildable import why_not_built
from benchmarks.ladder.climb import (
    Settings,
    Stop,
    change_record,
    frugal,
    keep_config,
    runs_of,
    settle,
    stops_of,
    train,
    write_json,
)
from benchmarks.ladder.gaps import failures
from benchmarks.ladder.orders import route
from benchmarks.ladder.plan import Plan, WhyNot, make_plan, single_changes
from benchmarks.ladder.runs import Run, Trainer
from benchmarks.ladder.summary import NoLadder
from benchmarks.ladder.trials import holds
from benchmarks.subject import rendered_frames
from registry.budget import written_in_steps
from registry.config import load, load_ladder
from registry.plugins import load_plugin
from zoo.app.data.shards import find_shards
from zoo.app.ladder.print import Teller, bisect_lines, plan_lines
from zoo.app.ladder.report import rebuild_ladder
from zoo.app.ladder.table import climb_table
from zoo.app.machine.sizing import choose_size

BUILDABLE = "buildable.json"  # what was found out about rungs; a new one takes its time
ENOUGH_TO_FIT = 2  # hands that show whether parts fit


@dataclass(frozen=True)
class LadderRequest:
    """What the user typed after `zoo ladder`."""

    a: str
    b: str | None = None
    steps: int | None = None
    seeds: int = 3
    order: str = "forward"
    budget: int = 40
    jobs: int = 1
    out: Path | None = None
    rungs: str = "slot"
    bisect: bool = False
    criterion: str = "converged"
    plan_only: bool = False
    size: str = "auto"
    data: str | None = None
    changes: tuple[str, ...] = ()
    plugins: tuple[Path, ...] = ()
    launcher: str = "none"

    @property
    def threads(self) -> int:
        """CPU threads of one training: OMP_NUM_THREADS, or what fills the machine and no more."""
        said = os.environ.get("OMP_NUM_THREADS", "")
        if said.isdigit() and int(said):
            return int(said)
        return max(1, len(os.sched_getaffinity(0)) // self.jobs)

    def settings(self, size: str) -> Settings:
        order = f"bisect by {self.criterion}" if self.bisect else self.order
        return Settings(
            *(size, self.seeds, self.steps, order, self.threads, self.data, self.changes)
        )

    def trainer(self) -> Trainer:
        plugins, said = [p.resolve() for p in self.plugins], written_in_steps(self.changes)
        return Trainer(self.steps, self.data, plugins=plugins, changes=said)

    def devices(self) -> list[str]:
        return [str(number) for number in range(torch.cuda.device_count())]


def climb(request: LadderRequest, console: Console) -> bool:
    """Does all of it; False where a training failed. Raises ValueError before any training."""
    for plugin in request.plugins:
        load_plugin(plugin)
    if request.b is None:
        file = load_ladder(request.a)
        if "variants" in file:
            return climb_table(request, file, console)
        start, goal, groups = file["start"], file["goal"], file["rungs"]
    else:
        start, goal, groups = request.a, request.b, None
    if request.rungs not in ("slot", "change"):
        groups = load_ladder(request.rungs).get("rungs")
    size = choose_size(start, request.changes, request.size, request.data)
    console.print(f"Both at size {size.name} ({size.reason})")
    ends = [(Path(n).stem, load(n, request.changes, size=size.name)) for n in (start, goal)]
    frames = rendered_frames(ENOUGH_TO_FIT, seed=0) if size.name == "tiny" else None
    folder = request.out or Path("runs") / f"ladder-{ends[0][0]}-{ends[1][0]}"
    why_not = why_not_built(frames, None if request.plan_only else folder / BUILDABLE)
    plan = make_plan(ends[0], ends[1], groups=groups, why_not=why_not)
    if request.rungs == "change" or request.bisect:
        plan = single_changes(plan)
    for line in plan_lines(plan, whole=request.plan_only):
        console.print(line, highlight=False)
    if request.plan_only:
        return True
    if request.bisect:
        return _bisect(request, plan, folder, size.name, why_not, console)
    return _climb(request, plan, folder, size.name, why_not, console)


def _climb(
    request: LadderRequest,
    plan: Plan,
    folder: Path,
    size: str,
    why_not: WhyNot,
    console: Console,
) -> bool:
    found = route(plan, request.order, budget=request.budget, seed=0, why_not=why_not)
    for rung in found.plan.rungs:
        if rung not in plan.rungs:
            console.print(f"[yellow]merged[/] {rung.name}: {rung.notes[-1]}", highlight=False)
    stops = stops_of(found)
    settings = request.settings(size)
    record = settle(folder, found, stops, settings)
    runs = runs_of(stops, folder, request.seeds)
    console.print(
        f"{len(found.climbs)} order(s), {len({s.name for s in stops})} configs, {len(runs)} "
        f"trainings, {sum(run.finished for run in runs)} of them done: {folder}",
        highlight=False,
    )
    complete = train_runs(request, runs, folder, record, plan.config, console)
    if complete or failures(folder).keys() >= {run.name for run in runs if not run.finished}:
        try:
            rebuild_ladder(folder, console)
        except NoLadder as error:  # the start or the goal failed, which is said above
            console.print(f"No report: {error}", highlight=False)
    return complete


def train_runs(
    request: LadderRequest,
    runs: Sequence[Run],
    folder: Path,
    record: Mapping[str, Any],
    config: Mapping[str, Any],
    console: Console,
) -> bool:
    """Trains what is missing, or prints how a cluster would; True where all runs are there."""
    trainer = request.trainer()
    waiting = [run for run in runs if not run.finished]
    if request.launcher == "slurm" and waiting:
        for run in waiting:
            words = shlex.join(trainer(run, any(run.folder.glob("iter_*.pth"))))
            name = f"{run.name}-{run.seed}"
            line = f"sbatch --job-name={name} --gres=gpu:1 --wrap={shlex.quote(words)}"
            console.print(line, soft_wrap=True, highlight=False, markup=False)
        again = shlex.join(["zoo", "report", str(folder)])
        console.print(f"When they are done: {again}", highlight=False)
        return False
    if waiting:
        find_shards(config, request.data, None, console)  # rendered once, not by every training
    failed = train(
        folder,
        runs,
        trainer,
        jobs=request.jobs,
        threads=record["settings"]["threads"],
        devices=request.devices(),
        told=Teller(console, len(runs), len(runs) - len(waiting)),
    )
    for run in failed:
        console.print(f"[red]failed[/] {run.name} seed {run.seed}: see {run.log}", highlight=False)
    return not failed


def _bisect(
    request: LadderRequest,
    plan: Plan,
    folder: Path,
    size: str,
    why_not: WhyNot,
    console: Console,
) -> bool:
    record = {"settings": request.settings(size).record()}

    def judge(taken: frozenset[int]) -> bool | None:
        config = plan.at(taken)
        if reason := why_not(config):
            console.print(f"  cannot be built, so does not hold: {reason}", highlight=False)
            return None
        name = "set-" + ("-".join(f"{n + 1:02d}" for n in sorted(taken)) or "none")
        stop = Stop(name, tuple(sorted(taken)), frugal(config))
        keep_config(folder, stop, f"{name} of a search from {plan.start} to {plan.goal}.")
        runs = runs_of([stop], folder, request.seeds)
        if not train_runs(request, runs, folder, record, plan.config, console):
            return None
        answer = holds([run.folder for run in runs], request.criterion)
        made = f"{len(taken)} of {len(plan.rungs)} differences"
        console.print(f"  {made}: {'holds' if answer else 'fails'}", highlight=False)
        return answer

    try:
        found = bisect(len(plan.rungs), judge)
    except NothingToBisect as error:
        console.print(f"{error} Asked: {request.criterion}.", highlight=False)
        return True
    for line in bisect_lines(plan, found, request.criterion):
        console.print(line, highlight=False)
    write_json(folder / "bisect.json", bisect_record(plan, found, request))
    console.print(f"Numbers: {folder / 'bisect.json'}", highlight=False)
    return True


def bisect_record(plan: Plan, found: Culprits, request: LadderRequest) -> dict[str, Any]:
    """What the search found and every config it asked about."""
    return {
        "schema": 1,
        "start": plan.start,
        "goal": plan.goal,
        "criterion": request.criterion,
        "start_holds": found.start_holds,
        "configs_trained": found.runs,
        "seeds": request.seeds,
        "decisive": [
            change_record(change) for n in found.numbers for change in plan.rungs[n].changes
        ],
        "asked": [{"made": sorted(taken), "holds": answer} for taken, answer in found.asked],
        "command": shlex.join(["zoo", *sys.argv[1:]]),
    }

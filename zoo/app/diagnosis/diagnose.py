"""`zoo diagnose`: says why a model does not learn, beside one that does, without training."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks import exhibits
from benchmarks.causes import complete
from benchmarks.diagnose import ProbeRun, chosen, diagnose, to_json
from benchmarks.report import diagnosis, page
from benchmarks.report.pictures import Looks
from benchmarks.subject import FRAMES, Subject, load_subject
from registry.difference import ABSENT
from registry.plugins import load_plugin
from registry.priority import ranked_difference
from zoo.app.diagnosis.own_subject import is_own_model, load_own
from zoo.app.diagnosis.print import show
from zoo.app.diagnosis.run_folder import RunFolder, is_run
from zoo.app.guards import read_batch
from zoo.app.training.assemble import val_loader
from zoo.app.training.results import commit, machine, write_json
from zoo.contracts import FrameBatch
from zoo.data.shards import resolve_shards

AUGMENTED = (1, 2)  # seeds of the training draws that are shown
SHOWN = 4  # hands of each draw


@dataclass(frozen=True)
class DiagnoseRequest:
    """What the user typed after `zoo diagnose`."""

    subjects: tuple[str, ...]  # one or two: configs, folders of runs, or files with a model
    size: str = "tiny"
    data: str | None = None
    html: Path | None = None
    json: Path | None = None
    fail_on: str | None = None  # "error" or "warning"
    probes: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()  # of the first subject
    plugins: tuple[Path, ...] = ()
    checkpoints: tuple[Path, ...] = ()  # of the first subject, then of the second
    seed: int = 0
    command: str = "zoo diagnose"


@dataclass(frozen=True)
class _Diagnosed:
    subject: Subject
    runs: list[ProbeRun]
    looks: Looks | None
    numbers: Mapping[str, Any]


def run_diagnosis(request: DiagnoseRequest, console: Console) -> dict[str, Any]:
    """Prints the verdict and what stands behind it; returns the JSON, and writes what was asked.

    Raises ValueError (its subclasses) in one sentence for what cannot be diagnosed.
    """
    for plugin in request.plugins:
        load_plugin(plugin)
    names = chosen(request.probes or None)
    with _progress(console) as progress:
        total = len(names) * len(request.subjects)
        task = progress.add_task("diagnosing", total=total, what="building the models")
        done = []
        for subject, folder in _subjects(request):
            done.append(_examine(subject, folder, names, request.seed, progress, task))
    subjects_only = [one.subject for one in done]
    report = complete(
        to_json(subjects_only, [one.runs for one in done], _differences(subjects_only)),
        exhibits=[one.numbers for one in done],
        command=request.command,
        environment=_environment(),
    )
    show(report, console)
    _write(request, report, done, console)
    return report


def failed(report: Mapping[str, Any], fail_on: str | None) -> bool:
    """Whether the first subject has a finding that bad, or a probe that crashed on it."""
    if fail_on is None:
        return False
    counted = report["counts"]["subjects"][report["subjects"][0]["name"]]
    bad = counted["error"] + counted["crashed"]
    return bool(bad + (counted["warning"] if fail_on == "warning" else 0))


def _subjects(request: DiagnoseRequest) -> list[tuple[Subject, RunFolder | None]]:
    checkpoints = (*request.checkpoints, None, None)
    found: list[tuple[Subject, RunFolder | None]] = []
    for index, name in enumerate(request.subjects):
        changes = request.changes if index == 0 else ()
        frames = _frames(request.data) if request.data else None
        subject, folder = _subject(name, request, changes, checkpoints[index], frames)
        if any(other.name == subject.name for other, _ in found):
            subject = replace(subject, name=f"{subject.name} (2)")
        found.append((subject, folder))
    return found


def _subject(
    name: str,
    request: DiagnoseRequest,
    changes: Sequence[str],
    checkpoint: Path | None,
    frames: FrameBatch | None,
) -> tuple[Subject, RunFolder | None]:
    if is_run(name):
        folder = RunFolder.read(name)
        return folder.subject(changes, checkpoint, frames, request.seed), folder
    if is_own_model(name):
        return load_own(name, frames), None
    subject = load_subject(
        name,
        size=request.size,
        changes=changes,
        frames=frames,
        checkpoint=checkpoint,
        seed=request.seed,
    )
    return subject, None


def _frames(data: str) -> FrameBatch:
    """The first labelled hands of shards, or the batch a guard kept."""
    if data.endswith(".pth"):
        return read_batch(data)
    config = {"data": {"val": {"batch_size": FRAMES}}}
    loader = val_loader(config, resolve_shards(data))
    frames = tuple(islice((f for batch in loader for f in batch.frames), FRAMES))
    if not frames:
        raise ValueError(f"--data {data}: no hand in these shards could be read (zoo data check).")
    return FrameBatch(frames)


def _examine(
    subject: Subject,
    folder: RunFolder | None,
    names: Sequence[str],
    seed: int,
    progress: Progress,
    task: Any,
) -> _Diagnosed:
    runs: list[ProbeRun] = list(folder.laws()) if folder else []
    for name in names:
        progress.update(task, what=f"{subject.name}: {name}")
        runs += diagnose(subject, probes=[name], seed=seed)
        progress.advance(task)
    progress.update(task, what=f"{subject.name}: pictures")
    try:
        looks = _looks(subject)
        numbers = exhibits.summary(looks.plain, exhibits.scales(looks.plain), subject)
    except Exception as error:  # the findings say more about a model that cannot be run than a stop
        runs.append(ProbeRun("report.exhibits", "crashed", f"{type(error).__name__}: {error}", 0.0))
        return _Diagnosed(subject, runs, None, {})
    return _Diagnosed(subject, runs, looks, numbers)


def _looks(subject: Subject) -> Looks:
    return Looks(
        subject.name,
        exhibits.see(subject, training=False),
        [exhibits.see(subject, SHOWN, training=True, seed=seed) for seed in AUGMENTED],
    )


def _differences(subjects: Sequence[Subject]) -> list[dict[str, Any]]:
    if len(subjects) < 2 or any(subject.config is None for subject in subjects[:2]):
        return []
    found = ranked_difference(subjects[0].config, subjects[1].config)
    return [
        {
            "path": item.path,
            "before": "absent" if item.change.before is ABSENT else item.change.before,
            "after": "absent" if item.change.after is ABSENT else item.change.after,
            "slot": item.slot,
            "priority": item.priority,
            "reason": item.reason,
        }
        for item in found
    ]


def _environment() -> dict[str, Any]:
    packages = {name: version(name) for name in ("torch", "mmengine", "transformers", "numpy")}
    return {
        "made": datetime.now().astimezone().isoformat(timespec="minutes"),
        "commit": commit(),
        "python": platform.python_version(),
        **packages,
        **{key: value for key, value in machine().items() if key != "python"},
    }


def _write(
    request: DiagnoseRequest,
    report: Mapping[str, Any],
    done: Sequence[_Diagnosed],
    console: Console,
) -> None:
    if request.json is not None:
        request.json.parent.mkdir(parents=True, exist_ok=True)
        write_json(request.json, report)
        console.print(f"JSON    {request.json}", highlight=False)
    if request.html is not None:
        looks = [one.looks for one in done if one.looks is not None]
        faces = done[0].subject.model.hand.faces if looks else None
        page.write(request.html, diagnosis.render(report, looks, faces))
        console.print(f"Report  {request.html}", highlight=False)


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("[bold]diagnosing[/]"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[what]}"),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )

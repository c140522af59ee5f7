"""`zoo bench`: subjects from what the user typed, measured side by side, shown and written."""

from __future__ import annotations

import json
import math
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchmarks.bench.accuracy import OtherHands, Scores, differences, read_scores, summaries
from benchmarks.bench.growth import grow
from benchmarks.bench.measure import PRECISIONS, measure
from benchmarks.bench.page import COSTS, bench_page, ratio_text
from benchmarks.report import page
from benchmarks.subject import rendered_frames
from registry.config import load
from registry.plugins import load_plugin
from zoo.app.evaluation.evaluate import evaluate, load_weights, save_predictions
from zoo.app.ladder.report import facts
from zoo.app.machine.sizing import choose_size, size_of_run
from zoo.app.training.assemble import build_model
from zoo.app.training.results import commit, machine, write_json
from zoo.data.shards import resolve_shards

HANDS = 16  # rendered, that batches are made of


@dataclass(frozen=True)
class BenchRequest:
    """What the user typed after `zoo bench`."""

    configs: tuple[str, ...]
    compare: tuple[str, ...] = ()
    size: str = "tiny"
    data: str | None = None
    checkpoints: tuple[Path, ...] = ()
    batch: int | None = None
    budget: float = 60.0
    precisions: tuple[str, ...] = ()
    grow: tuple[str, ...] = ()
    html: Path | None = None
    json: Path | None = None
    changes: tuple[str, ...] = ()
    plugins: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Entry:
    """One subject: its name, its config and its weights, where there are any."""

    name: str
    config: dict[str, Any]
    checkpoint: Path | None


def run_bench(request: BenchRequest, console: Console) -> dict[str, Any]:
    """Measures, prints, and writes what was asked for; returns the record."""
    for plugin in request.plugins:
        load_plugin(plugin)
    unknown = set(request.precisions) - {"bf16", "fp16", "fp32"}
    if unknown:
        raise ValueError(f"--precision {min(unknown)}: it is bf16, fp16 or fp32.")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    entries = subjects(request)
    timed = device == "cuda" or request.size != "full"
    if not timed:
        console.print("Full size on a CPU: parameters and operations are counted, nothing is timed")
    configs = {entry.name: entry.config for entry in entries}
    against = [e.name for e in entries[len(request.configs) :]] or [entries[-1].name]
    spent = (time.perf_counter(), time.process_time())
    with console.status("measuring") as status:
        record = measure(
            configs,
            rendered_frames(HANDS, seed=0) if timed else None,
            against=against if len(entries) > 1 else [],
            batch=request.batch or (64 if device == "cuda" else 8),
            budget=request.budget,
            precisions=request.precisions or PRECISIONS,
            device=device,
            say=lambda text: status.update(text),
        )
        for axis in request.grow:
            status.update(f"growth with {axis}")
            record.setdefault("growth", {})[axis] = grow(configs, axis, device=device, timed=timed)
        add_errors(record, entries, request.data, status.update)
    record["machine"] = described(spent)
    show(record, console)
    write(record, request, console)
    return record


def subjects(request: BenchRequest) -> list[Entry]:
    """The configs, then what they are compared with; a folder of a run brings its weights."""
    asked = [*request.configs, *(name for name in request.compare if name not in request.configs)]
    if len(request.checkpoints) > len(asked):
        raise ValueError(
            f"--checkpoint: {len(request.checkpoints)} are given for {len(asked)} subjects."
        )
    entries: list[Entry] = []
    for number, name in enumerate(asked):
        given = request.checkpoints[number] if number < len(request.checkpoints) else None
        if (Path(name) / "run.json").is_file():
            run = json.loads((Path(name) / "run.json").read_text())
            config = load(run["config_name"], request.changes, size=run["size"])
            entry = Entry(Path(name).resolve().name, config, given or Path(name))
        else:
            entry = Entry(Path(name).stem, _sized(name, request, given), given)
        taken = sum(e.name.partition("#")[0] == entry.name for e in entries)
        title = f"{entry.name}#{taken + 1}" if taken else entry.name
        entries.append(Entry(title, entry.config, entry.checkpoint))
    return entries


def _sized(name: str, request: BenchRequest, checkpoint: Path | None) -> dict[str, Any]:
    if checkpoint is not None:
        return load(name, request.changes, size=size_of_run(name, checkpoint, request.size))
    size = choose_size(name, request.changes, request.size, request.data).name
    return load(name, request.changes, size=size)


def add_errors(
    record: dict[str, Any], entries: Sequence[Entry], data: str | None, say: Any
) -> None:
    """Errors of every subject with weights, and paired differences from the last of them."""
    scored: dict[str, Scores] = {}
    for entry in (entry for entry in entries if entry.checkpoint is not None):
        say(f"errors of {entry.name}")
        scored[entry.name] = scores(entry, data)
    for subject in record["subjects"]:
        if subject["name"] in scored:
            subject["metrics"] = summaries(scored[subject["name"]])
    *others, last = [*scored] or [None]
    record["differences"] = {}
    for name in others:
        try:
            found = differences(scored[name], scored[last])
        except OtherHands as error:
            raise OtherHands(f"{name} and {last}: {error}") from error
        record["differences"][f"{name} - {last}"] = found
    if scored:
        record["data"] = data or "each run's own validation hands, the same for all"


def scores(entry: Entry, data: str | None) -> Scores:
    """Every hand's errors: from the run's own predictions, or by predicting on `data` now."""
    own = entry.checkpoint / "predictions.npz"
    if data is None and own.is_file():
        return read_scores(own, entry.config)
    if data is None:
        raise ValueError(
            f"{entry.checkpoint} has no predictions.npz beside it; name shards to measure on with "
            "--data."
        )
    model = build_model(entry.config)
    load_weights(model, entry.checkpoint)
    evaluation = evaluate(entry.config, model, resolve_shards(data))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "predictions.npz"
        save_predictions(file, evaluation)
        return read_scores(file, entry.config)


def described(spent: tuple[float, float]) -> dict[str, Any]:
    """The machine, and how much of it this process was given; 1 is a core to itself or more."""
    wall, work = time.perf_counter() - spent[0], time.process_time() - spent[1]
    return {
        **machine(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "load": [round(value, 1) for value in os.getloadavg()],
        "cpu_share": round(min(1.0, work / max(wall, 1e-9)), 3),
        "commit": commit(),
    }


def show(record: Mapping[str, Any], console: Console) -> None:
    """The tables: costs with ratios, errors, published figures."""
    for table in (_costs(record), _stages(record), *_errors(record), _published(record)):
        if table.row_count:
            console.print(table)
    here = record["machine"]
    said = f"{here['cores']} cores, threads: {here['threads']}, {here['gpu'] or 'no GPU'}"
    console.print(f"{said}, torch {here['torch']}", highlight=False)
    if here["cpu_share"] < 0.8 and any(s["precisions"] for s in record["subjects"]):
        console.print(
            f"[yellow]busy machine:[/] this process had {here['cpu_share']:.0%} of the time; "
            "absolute times are upper bounds, ratios are of alternating rounds",
            highlight=False,
        )


def write(record: Mapping[str, Any], request: BenchRequest, console: Console) -> None:
    """JSON and page, where asked for."""
    if request.json is not None:
        write_json(request.json, record)
        console.print(f"Numbers: {request.json}", highlight=False)
    if request.html is not None:
        small = facts(["zoo", *sys.argv[1:]])
        page.write(request.html, bench_page(record, {**small, "torch": torch.__version__}))
        console.print(f"Page:    {request.html}", highlight=False)


def _costs(record: Mapping[str, Any]) -> Table:
    subjects = record["subjects"]
    pairs = list(record["ratios"])
    table = Table("", *(s["name"] for s in subjects), *pairs, title="Measured here, in one run")
    precisions = list(subjects[0]["precisions"]) or [""]
    for key, title in COSTS.items():
        timed = key in ("forward_ms", "images_per_s", "train_step_ms", "samples_per_s")
        for precision in precisions if timed else [""]:
            values = [(s["precisions"][precision] if precision else s)[key] for s in subjects]
            if all(value is None for value in values):
                continue
            ratios = [record["ratios"][pair] for pair in pairs]
            ratios = [(r["precisions"][precision] if precision else r).get(key) for r in ratios]
            name = f"{title}, {precision}" if precision else title
            table.add_row(
                name, *map(_number, values), *(ratio_text(r) if r else "" for r in ratios)
            )
    return table


def _stages(record: Mapping[str, Any]) -> Table:
    columns = [(s, p) for s in record["subjects"] for p in s["precisions"]]
    table = Table("stage, ms a batch", *(f"{s['name']}, {p}" for s, p in columns))
    for stage in dict.fromkeys(n for s, p in columns for n in s["precisions"][p]["stages_ms"]):
        cells = [s["precisions"][p]["stages_ms"].get(stage) for s, p in columns]
        table.add_row(stage, *map(_number, cells))
    return table


def _errors(record: Mapping[str, Any]) -> Iterator[Table]:
    scored = [s for s in record["subjects"] if s["metrics"]]
    table = Table("metric", *(s["name"] for s in scored), *record["differences"])
    for metric in dict.fromkeys(name for s in scored for name in s["metrics"]):
        cells = [*(s["metrics"].get(metric) for s in scored)]
        cells += [found.get(metric) for found in record["differences"].values()]
        table.add_row(metric, *map(_interval, cells))
    yield table


def _published(record: Mapping[str, Any]) -> Table:
    """What others printed; a source is a number, told once under the table."""
    table = Table("model", "metric", "value", "protocol", "from", title="What others printed")
    sources: dict[str, int] = {}
    for subject in record["subjects"]:
        for row, one in enumerate(subject["published"]):
            number = sources.setdefault(one["source"], len(sources) + 1)
            name = subject["name"] if row == 0 else ""
            table.add_row(name, one["metric"], one["value"], one["protocol"], f"\\[{number}]")
    said = [f"\\[{number}] {escape(source)}" for source, number in sources.items()]
    said.append("Other data, crops, boxes and alignment: not to be set against the table above.")
    table.caption, table.caption_justify = "\n".join(said), "left"
    return table


def _number(value: float | None) -> str:
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:.0f}" if value >= 1000 else f"{value:.3g}"


def _interval(one: Mapping[str, float] | None) -> str:
    return f"{one['value']:.1f} ({one['low']:.1f} to {one['high']:.1f})" if one else ""

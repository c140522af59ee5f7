"""`zoo eval`: the numbers of a checkpoint on shards."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from registry.build import build_sources
from registry.config import load
from registry.layout import at
from registry.plugins import load_plugin
from zoo.app.data.shards import find_shards
from zoo.app.evaluation.evaluate import Evaluation, evaluate, load_weights
from zoo.app.evaluation.protocol import report_protocol
from zoo.app.machine.device import choose_device
from zoo.app.machine.sizing import size_of_run
from zoo.app.training.assemble import build_model
from zoo.app.training.results import commit, machine, metrics_table, write_json
from zoo.data.shards import resolve_shards
from zoo.data.sources import Data, count_hands, data_fingerprint
from zoo.metrics.protocols import find as find_protocol


def measure_checkpoint(
    config_name: str,
    checkpoint: Path,
    *,
    data: str | None,
    size: str,
    json_file: Path | None,
    changes: Sequence[str],
    plugins: Sequence[Path],
    console: Console,
    protocol: str | None = None,
    submission: Path | None = None,
    order: Path | None = None,
    device: str = "auto",
) -> dict[str, float]:
    """Prints and returns every metric of a checkpoint; writes them where asked.

    protocol: also score as this published benchmark does. submission: write the file its server
        takes; order: HO-3D's evaluation.txt.
    device: "auto", "cpu" or "cuda".
    data: shards to measure on; None takes the validation data the config names or renders.
    """
    _check_protocol(protocol, submission)
    chosen = choose_device(device)
    for plugin in plugins:
        load_plugin(plugin)
    config = load(config_name, changes, size=size_of_run(config_name, checkpoint, size))
    config = with_data_of_run(config, checkpoint) if data is None else config
    model = build_model(config).to(chosen)
    step = load_weights(model, checkpoint)
    train, val = _measured_on(config, data, console)
    evaluation = evaluate(config, model, val, train)
    console.print(metrics_table(evaluation))
    for reason, entry in evaluation.skipped.items():
        what = f"{entry['count']} samples: {reason} ({entry['example']})"
        console.print(f"[yellow]Left out[/] {what}")
    official: dict[str, Any] = {}
    if protocol is not None:
        official = {"protocol": {"name": protocol, **find_protocol(protocol).table()}}
        official["protocol"]["scores"] = report_protocol(
            protocol, evaluation, config, console, submission=submission, order=order
        )
    if json_file is not None:
        said = _facts(config, checkpoint, step, val) | _numbers(evaluation) | official
        write_json(json_file, said)
    return evaluation.metrics


def _check_protocol(protocol: str | None, submission: Path | None) -> None:
    """A misspelt name is told before anything is measured."""
    if protocol is not None:
        find_protocol(protocol)
    elif submission is not None:
        raise ValueError("--submission needs --protocol freihand or ho3d, whose file it is.")


def _numbers(evaluation: Evaluation) -> dict[str, Any]:
    return {
        "metrics": evaluation.metrics,
        "intervals": evaluation.intervals,
        "baseline": evaluation.baseline,
        "skipped": {"val": evaluation.skipped},
    }


def _measured_on(
    config: Mapping[str, Any], data: str | None, console: Console
) -> tuple[Data | None, Data]:
    """Training data for the baseline, None where there are none to read, and what is judged."""
    if data is not None:
        return None, resolve_shards(data)
    only_val = build_sources(config, "data.val.sources")
    trained = at(config, "data.train.shards") or at(config, "data.train.sources")
    if only_val and not trained:
        return None, only_val
    shards = find_shards(config, None, None, console)
    return shards.train, shards.val


def with_data_of_run(config: dict[str, Any], checkpoint: Path) -> dict[str, Any]:
    """The config with the rendered hands its run.json says the checkpoint was trained on."""
    record = (checkpoint if checkpoint.is_dir() else checkpoint.parent) / "run.json"
    if not record.is_file():
        return config
    trained_on = json.loads(record.read_text())["config"]["data"]
    return {**config, "data": {**config["data"], "synthetic": trained_on["synthetic"]}}


def _facts(config: Mapping[str, Any], checkpoint: Path, step: int, val: Data) -> dict[str, Any]:
    return {
        "schema": 1,
        "config": config,
        "checkpoint": str(checkpoint),
        "steps": step,
        "seed": at(config, "randomness.seed"),
        "commit": commit(),
        "machine": machine(),
        "data": {"fingerprint": data_fingerprint(val), "samples": count_hands(val)},
    }

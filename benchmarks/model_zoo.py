"""Trains every shipped config and writes docs/model_zoo.md and docs/ladder.md from the run files.

python -m benchmarks.model_zoo --train --jobs 2
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.bench.runs import read_run
from benchmarks.ladder.attribution import MAIN, level, read_result
from benchmarks.ladder.climb import PLAN
from benchmarks.ladder.report import shown
from benchmarks.ladder.runs import Run, last_words, train_all
from benchmarks.ladder.summary import NoLadder, numbers_of, read_plan, read_results, summarise
from benchmarks.ladder.variants import summarise_table
from registry.config import available
from registry.house_rules import docstring_of

RUNS = Path("runs/model_zoo")
BEGIN, END = "<!-- generated: python -m benchmarks.model_zoo -->", "<!-- end of generated -->"
METRICS = (MAIN, "pa_mpjpe_mm", "mpjpe_mm", "keypoint_px")


class NoPlace(ValueError):
    """A page without the marks between which results are written."""


def runs_of_zoo(configs: Sequence[str], seeds: int, folder: Path) -> list[Run]:
    """A training of each config and seed, seed after seed."""
    return [
        Run(name, Path(name), seed, folder / f"{name}-seed{seed}")
        for seed in range(seeds)
        for name in configs
    ]


def command_of(run: Run, resume: bool, *, size: str, steps: int | None) -> list[str]:
    """What trains one run, by the config's shipped name."""
    return [
        *(sys.executable, "-m", "zoo.app.cli", *typed(run, size, steps)),
        *(("--resume",) if resume else ()),
    ]


def typed(run: Run, size: str, steps: int | None) -> list[str]:
    """What a reader types for the same run."""
    budget = () if steps is None else ("--steps", str(steps))
    where = ("--work-dir", str(run.folder))
    return ["train", run.name, "--size", size, "--seed", str(run.seed), *budget, *where]


def zoo_table(folder: Path, configs: Sequence[str], seeds: int) -> str:
    """The results of every config as Markdown; one that is not trained says why."""
    head = ["config", "what it is", "parameters (M)", *METRICS, "of the baseline", "converged"]
    head += ["samples/s"]
    rows = [head, ["---", "---", *["--:"] * (len(head) - 3), "--:"]]
    rows += [_zoo_row(folder, name, seeds) for name in configs]
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([*lines, "", *_conditions(folder, configs, seeds)])


def ladder_section(folder: Path) -> str:
    """One ladder's or table's results as Markdown."""
    if "variants" in read_plan(folder):
        return _table_section(folder)
    record = read_plan(folder)
    summary = summarise(record, read_results(folder, record))
    lines = [
        f"### {summary['start']} to {summary['goal']}",
        "",
        f"Size {summary['settings']['size']}, {summary['settings']['seeds']} seeds, "
        f"{summary['settings']['steps'] or 'the config’s'} steps, "
        f"{', '.join(climb['name'] for climb in summary['climbs'])}: "
        f"`zoo ladder {summary['start']} {summary['goal']} --order {summary['settings']['order']}`",
        "",
        f"| rung | {MAIN} | step | converged | differences |",
        "|---|--:|--:|--:|---|",
    ]
    for rung in summary["rungs"]:
        held = [bool((run["verdict"] or {}).get("converged")) for run in rung["runs"]]
        step = shown(rung["step"][MAIN], signed=True) if rung["step"] else ""
        paths = ", ".join(f"`{change['path']}`" for change in rung["changes"])
        error = shown(rung["level"][MAIN])
        lines.append(
            f"| {rung['name']} | {error} | {step} | {sum(held)} of {len(held)} | {paths} |"
        )
    total = shown(summary["total"][MAIN], signed=True)
    return "\n".join([*lines, f"| goal minus start | | {total} | | |"])


def written(text: str, results: str, page: str) -> str:
    """A page with new results between its marks; raises NoPlace where it has none."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise NoPlace(f"{page} lacks the lines {BEGIN!r} and {END!r} that results go between.")
    return f"{before}{BEGIN}\n\n{results}\n\n{END}{after}"


def main() -> None:
    """The command line."""
    asked = _arguments()
    configs = asked.configs or [name for name, file in available().items() if _is_root(file)]
    if asked.train:
        failed = train_all(
            runs_of_zoo(configs, asked.seeds, asked.runs),
            lambda run, resume: command_of(run, resume, size=asked.size, steps=asked.steps),
            jobs=asked.jobs,
            threads=max(1, len(os.sched_getaffinity(0)) // asked.jobs),
            told=lambda run, what: print(f"{run.name} seed {run.seed}: {what}", flush=True),
        )
        print(f"{len(failed)} trainings failed" if failed else "every training is there")
    page = asked.docs / "model_zoo.md"
    results = zoo_table(asked.runs, configs, asked.seeds)
    page.write_text(written(page.read_text(), results, str(page)))
    print(f"wrote {page}")
    page = asked.docs / "ladder.md"
    sections = list(_ladders(asked.ladders))
    page.write_text(written(page.read_text(), "\n\n".join(sections) or _NONE, str(page)))
    print(f"wrote {page}")


_NONE = "No ladder was trained yet on the machine that wrote this page."


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("configs", nargs="*", help="default: every shipped config")
    parser.add_argument("--train", action="store_true", help="train what is missing first")
    parser.add_argument("--runs", type=Path, default=RUNS)
    parser.add_argument("--ladders", type=Path, default=RUNS.parent, help="folder of ladders")
    parser.add_argument("--docs", type=Path, default=Path("docs"))
    parser.add_argument("--size", default="tiny")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--jobs", type=int, default=1)
    return parser.parse_args()


def _is_root(file: Path) -> bool:
    return file.parent.name != "ablations" and "configs" in file.parts


def _ladders(folder: Path) -> Iterator[str]:
    for plan in sorted(folder.glob(f"*/{PLAN}")):
        try:
            yield ladder_section(plan.parent)
        except NoLadder as error:
            yield f"### {plan.parent.name}\n\n{error}"


def _zoo_row(folder: Path, name: str, seeds: int) -> list[str]:
    says = docstring_of(available()[name])
    places = [folder / f"{name}-seed{seed}" for seed in range(seeds)]
    results = [read_result(place) for place in places if (place / "run.json").is_file()]
    if not results:
        run = Run(name, Path(name), 0, places[0])
        why = f"not trained: {last_words(run)}" if run.log.is_file() else "not trained yet"
        return [name, says, why.replace("|", "/"), *[""] * 7]
    base = results[0].record["baseline"][MAIN]
    held = [bool((result.record.get("verdict") or {}).get("converged")) for result in results]
    errors = [
        shown(numbers_of(level(results, name))) if name in results[0].scores.values else ""
        for name in METRICS
    ]
    ratio = sum(result.metric(MAIN) for result in results) / len(results) / base
    speed = sum(result.record["samples_per_s"] for result in results) / len(results)
    size = f"{results[0].record['parameters_m']:.2f}"
    return [
        name,
        says,
        size,
        *errors,
        f"{ratio:.2f}",
        f"{sum(held)} of {len(held)}",
        f"{speed:.0f}",
    ]


def _conditions(folder: Path, configs: Sequence[str], seeds: int) -> Iterator[str]:
    """What the numbers were measured with, from the first run there is."""
    places = [folder / f"{name}-seed0" for name in configs]
    first = next((place for place in places if (place / "run.json").is_file()), None)
    if first is None:
        yield "Nothing is trained yet: `python -m benchmarks.model_zoo --train`."
        return
    record: Mapping[str, Any] = read_run(first)
    here = record["machine"]
    yield (
        f"{seeds} seeds each, {record['steps']} steps, {record['data']['samples']} training and "
        f"{record['data']['val_samples']} validation hands, {here['cores']} cores, "
        f"{here['gpu'] or 'no GPU'}, torch {record['versions']['torch']}, commit "
        f"{(record['commit'] or 'unknown')[:7]}."
    )
    yield ""
    yield "```bash"
    run = Run(record["config_name"], Path(), record["seed"], first)
    yield f"zoo {' '.join(typed(run, record['size'], record['steps']))}"
    yield "```"


def _table_section(folder: Path) -> str:
    summary = summarise_table(folder)
    lines = [
        f"### {folder.name}: {summary['base']}",
        "",
        f"| variant | {MAIN} | against {summary['reference']} | converged | claimed |",
        "|---|--:|--:|--:|---|",
    ]
    for one in summary["variants"]:
        claim = one["claim"] or ""
        if one["level"] is None:
            lines.append(f"| {one['name']} | not trained: {one['failed']} | | | {claim} |")
            continue
        gap = shown(one["difference"], signed=True) if one["difference"] else ""
        held = f"{one['converged']} of {one['runs']}"
        lines.append(f"| {one['name']} | {shown(one['level'])} | {gap} | {held} | {claim} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()

"""Trains every shipped config and writes docs/model_zoo.md and docs/ladder.md from the run files.

python -m benchmarks.model_zoo --train --jobs 2
python -m benchmarks.model_zoo --runs runs/recipes/default      # what was trained elsewhere
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.bench.runs import read_run
from benchmarks.ladder.attribution import MAIN, level, read_result
from benchmarks.ladder.charts import picture
from benchmarks.ladder.climb import PLAN
from benchmarks.ladder.gaps import climbed_over, failures
from benchmarks.ladder.report import shown
from benchmarks.ladder.runs import Run, train_all
from benchmarks.ladder.summary import NoLadder, numbers_of, read_plan, read_results, summarise
from benchmarks.ladder.variants import summarise_table
from benchmarks.zoo_runs import Wanted, runs_that_count, why_none
from registry.config import available

RUNS = Path("runs/model_zoo")
BEGIN, END = "<!-- generated: python -m benchmarks.model_zoo -->", "<!-- end of generated -->"
NAMED = 3  # differences of a rung; `zoo ladder --plan` names all
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


def zoo_table(folders: Sequence[Path], configs: Sequence[str], wanted: Wanted) -> str:
    """The results of every config as Markdown; below them those that are not trained, and why.

    folders: where finished runs are, as `CONFIG-seedN`; see `benchmarks.zoo_runs` for what counts.
    """
    head = ["config", MAIN, "of the baseline", "converged", *METRICS[1:], "steps", "seeds"]
    head += ["parameters (M)", "samples/s"]
    found = runs_that_count(folders, configs, wanted)
    rows = [head, ["---", *["--:"] * (len(head) - 1)]]
    rows += [_zoo_row(name, found[name].places) for name in configs if found[name].places]
    lines = [f"| {' | '.join(row)} |" for row in rows]
    missing = [
        f"- `{name}`: {why_none(folders, name, found[name])}."
        for name in configs
        if not found[name].places
    ]
    places = [place for counted in found.values() for place in counted.places]
    return "\n".join([*lines, "", *missing, "", *_conditions(places)])


def ladder_section(folder: Path, images: Path | None = None) -> str:
    """One ladder's or table's results as Markdown; its picture goes into `images`."""
    if "variants" in read_plan(folder):
        return _table_section(folder)
    record = climbed_over(read_plan(folder), failures(folder))
    summary = summarise(record, read_results(folder, record))
    settings, seeds = summary["settings"], len(summary["rungs"][0]["runs"])
    lines = [
        f"### {summary['start']} to {summary['goal']}",
        "",
        f"Size {settings['size']}, {seeds} seed{'s' if seeds > 1 else ''}, "
        f"{settings['steps'] or 'the config’s'} steps, "
        f"{', '.join(climb['name'] for climb in summary['climbs'])}:",
        "",
        *("```bash", _command(summary), "```", ""),
    ]
    if images is not None:
        name = f"ladder-{summary['start']}-{summary['goal']}.svg"
        images.mkdir(parents=True, exist_ok=True)
        (images / name).write_text(picture(summary, MAIN), encoding="utf-8")
        says = f"{MAIN} on every rung with its 95 % interval, and what each rung changed"
        lines += [f"![{says}](images/{name})", ""]
    lines += [f"| rung | {MAIN} | step | converged | differences |", "|---|--:|--:|--:|---|"]
    for rung in summary["rungs"]:
        held = [bool((run["verdict"] or {}).get("converged")) for run in rung["runs"]]
        step = shown(rung["step"][MAIN], signed=True) if rung["step"] else ""
        paths = [f"`{change['path']}`" for change in rung["changes"]]
        said = ", ".join(paths[:NAMED]) + (
            f" and {len(paths) - NAMED} more" if paths[NAMED:] else ""
        )
        error = shown(rung["level"][MAIN])
        lines.append(f"| {rung['name']} | {error} | {step} | {sum(held)} of {len(held)} | {said} |")
    total = shown(summary["total"][MAIN], signed=True)
    return "\n".join([*lines, f"| goal minus start | | {total} | | |"])


def _command(summary: Mapping[str, Any]) -> str:
    """What a reader types for the same ladder."""
    settings = summary["settings"]
    words = ["zoo", "ladder", summary["start"], summary["goal"], "--size", settings["size"]]
    words += [] if settings["steps"] is None else ["--steps", str(settings["steps"])]
    words += ["--seeds", str(settings["seeds"]), "--order", settings["order"]]
    for change in settings.get("changes", ()):
        words += ["--set", change]
    return shlex.join(words)


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
    wanted = Wanted(asked.size, asked.steps, asked.seeds)
    if asked.train:
        _train(asked, configs, wanted)
    _write(asked.docs / "model_zoo.md", zoo_table(asked.runs, configs, wanted))
    if sections := list(_ladders(asked.ladders, asked.docs / "images")):  # else what is there stays
        _write(asked.docs / "ladder.md", "\n\n".join(sections))


def _train(asked: argparse.Namespace, configs: Sequence[str], wanted: Wanted) -> None:
    """Trains each config and seed that no folder has a run of."""
    found = runs_that_count(asked.runs, configs, wanted)
    there = {place.name for counted in found.values() for place in counted.places}
    failed = train_all(
        [
            run
            for run in runs_of_zoo(configs, asked.seeds, asked.runs[0])
            if run.folder.name not in there
        ],
        lambda run, resume: command_of(run, resume, size=asked.size, steps=asked.steps),
        jobs=asked.jobs,
        threads=max(1, len(os.sched_getaffinity(0)) // asked.jobs),
        told=lambda run, what: print(f"{run.name} seed {run.seed}: {what}", flush=True),
    )
    print(f"{len(failed)} trainings failed" if failed else "every training is there")


def _write(page: Path, results: str) -> None:
    page.write_text(written(page.read_text(), results, str(page)))
    print(f"wrote {page}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("configs", nargs="*", help="default: every shipped config")
    parser.add_argument("--train", action="store_true", help="train what is missing first")
    parser.add_argument(
        "--runs",
        type=Path,
        nargs="+",
        default=[RUNS],
        help="folders of finished runs, CONFIG-seedN; --train writes into the first",
    )
    parser.add_argument("--ladders", type=Path, default=RUNS.parent, help="folder of ladders")
    parser.add_argument("--docs", type=Path, default=Path("docs"))
    parser.add_argument("--size", default="tiny")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--jobs", type=int, default=1)
    return parser.parse_args()


def _is_root(file: Path) -> bool:
    return file.parent.name != "ablations" and "configs" in file.parts


def _ladders(folder: Path, images: Path) -> Iterator[str]:
    for plan in sorted(folder.glob(f"*/{PLAN}")):
        try:
            yield ladder_section(plan.parent, images)
        except NoLadder as error:
            yield f"### {plan.parent.name}\n\n{error}"


def _zoo_row(name: str, places: Sequence[Path]) -> list[str]:
    results = [read_result(place) for place in places]
    base = results[0].record["baseline"][MAIN]
    held = [bool((result.record.get("verdict") or {}).get("converged")) for result in results]
    main, *errors = (
        shown(numbers_of(level(results, metric))) if metric in results[0].scores.values else ""
        for metric in METRICS
    )
    ratio = sum(result.metric(MAIN) for result in results) / len(results) / base
    speed = sum(result.record["samples_per_s"] for result in results) / len(results)
    return [
        *(f"`{name}`", main, f"{ratio:.2f}", f"{sum(held)} of {len(held)}", *errors),
        *(str(results[0].record["steps"]), str(len(results))),
        *(f"{results[0].record['parameters_m']:.2f}", f"{speed:.0f}"),
    ]


def _conditions(places: Sequence[Path]) -> Iterator[str]:
    """What the numbers were measured with, from the runs that count."""
    if not places:
        yield "Nothing is trained yet: `python -m benchmarks.model_zoo --train`."
        return
    records: list[Mapping[str, Any]] = [read_run(place) for place in places]
    first, here = records[0], records[0]["machine"]
    commits = sorted({(record["commit"] or "unknown")[:7] for record in records})
    yield (
        f"{first['data']['samples']} training and "
        f"{first['data']['val_samples']} validation hands, {here['cores']} cores, "
        f"{here['gpu'] or 'no GPU'}, torch {first['versions']['torch']}, commit "
        f"{', '.join(commits)}. The first run again:"
    )
    yield ""
    yield "```bash"
    run = Run(first["config_name"], Path(), first["seed"], Path("runs") / places[0].name)
    yield f"zoo {' '.join(typed(run, first['size'], first['steps']))}"
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

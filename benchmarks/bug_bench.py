"""Counts the planted bugs that probes find, and how often they cry wolf over healthy configs."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import torch

from benchmarks.diagnose import ProbeRun, diagnose
from benchmarks.faults import Fault, caught
from benchmarks.subject import Subject, subject_of
from registry.config import available
from registry.overrides import shrink
from registry.whole import load
from zoo.contracts import Finding

BUGS = Path(__file__).parent.parent / "tests" / "bugs"
PAGE = Path(__file__).parent.parent / "docs" / "bug_bench.md"
Report = Callable[[str], None]
BROKEN = ("csvit2_old", "utnet")  # recipes that are shipped with the flaws they are known for
ABLATIONS = "ablations"  # one step each away from csvit2_old, the rest of its flaws kept
SIZES = ("tiny", "full")  # full: the recipe as written, its parts made small


@dataclass(frozen=True)
class Verdict:
    """What became of one planted fault."""

    fault: Fault
    family: str  # of the file it is planted by
    caught: bool
    seconds: float
    runs: tuple[ProbeRun, ...]
    broken: str = ""  # why the fault could not even be planted


@dataclass(frozen=True)
class Alarm:
    """An error or a warning about a healthy config, or a probe that crashed on it."""

    config: str
    size: str
    probe: str
    finding: Finding | None
    why: str = ""


def faults(folder: Path = BUGS) -> list[tuple[str, Fault]]:
    """Every fault of every file in a folder, with the file's name: its family."""
    found = []
    for file in sorted(folder.glob("*.py")):
        if file.stem.startswith(("_", "test_")):
            continue
        spec = spec_from_file_location(f"planted_{file.stem}", file)
        module = module_from_spec(spec)
        sys.modules[spec.name] = module  # dataclasses and copies look classes up by module
        spec.loader.exec_module(module)
        found += [(file.stem, fault) for fault in getattr(module, "FAULTS", ())]
    return found


def plant_all(chosen: Iterable[tuple[str, Fault]], report: Report = print) -> list[Verdict]:
    """Plants every fault into its healthy config and runs the probe that has to see it."""
    healthy: dict[str, Subject] = {}
    verdicts = []
    for family, fault in chosen:
        if fault.base not in healthy:
            healthy[fault.base] = subject_at(fault.base, "tiny")
        verdicts.append(_planted(family, fault, healthy[fault.base]))
        report(_line(verdicts[-1]))
    return verdicts


def alarms(
    configs: Sequence[str], sizes: Sequence[str] = SIZES, report: Report = print
) -> tuple[list[Alarm], float]:
    """Every error, warning and crash on configs known to be healthy, and the seconds it took."""
    found, started = [], time.perf_counter()
    for name in configs:
        for size in sizes:
            runs = diagnose(subject_at(name, size))
            mine = [*_alarms(name, size, runs)]
            report(f"{name} at {size}: {len(runs)} probes, {len(mine)} alarms")
            for alarm in mine:
                told = alarm.finding.message if alarm.finding else alarm.why
                report(f"    {alarm.probe}: {told}")
            found += mine
    return found, time.perf_counter() - started


def healthy_configs() -> list[str]:
    """Every config that can be named, but those with known flaws."""
    known = available().items()
    return [n for n, file in known if not n.startswith(BROKEN) and file.parent.name != ABLATIONS]


def subject_at(name: str, size: str) -> Subject:
    """A shipped config as a subject: tiny, or its full recipe with small parts."""
    if size == "tiny":
        return subject_of(name, load(name))
    return subject_of(name, shrink(load(name, size=None), {}, "tiny"))


def page(verdicts: Sequence[Verdict], found: Sequence[Alarm], configs: Sequence[str]) -> str:
    """docs/bug_bench.md: both numbers, then one row a fault."""
    hits = sum(verdict.caught for verdict in verdicts)
    lines = [
        "# The bug bench",
        "",
        "Known bugs of hand-mesh projects, planted one at a time into a healthy config, each with "
        "the finding it has to raise; and every healthy config, which has to raise none.",
        "`python -m benchmarks.bug_bench --page` writes this page.",
        "",
        f"**Caught: {hits} of {len(verdicts)} planted. False alarms: {len(found)} on "
        f"{len(configs)} configs, each tiny and with its full recipe.** Looked at were "
        f"{', '.join(configs) or 'none'}.",
        "",
    ]
    for family in sorted({verdict.family for verdict in verdicts}):
        lines += [f"## {family}", "", "| fault | what it does | found by | where |"]
        lines += ["|---|---|---|---|"]
        for verdict in verdicts:
            if verdict.family == family:
                probe, path = verdict.fault.expect
                found_by = f"`{probe}`" if verdict.caught else f"not by `{probe}`"
                where = f"`{path}`" if path else "anywhere"
                lines.append(
                    f"| {verdict.fault.name} | {verdict.fault.story} | {found_by} | {where} |"
                )
        lines.append("")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0 where all faults are caught and no healthy config raises an alarm."""
    options = _options().parse_args(arguments)
    torch.set_num_threads(1)
    started = time.perf_counter()
    chosen = [
        (family, fault)
        for family, fault in faults()
        if not options.only or any(w in (family, fault.name) for w in options.only)
    ]
    configs = [] if options.no_healthy else options.configs or healthy_configs()
    verdicts = plant_all(chosen)
    wolf, _ = alarms(configs)
    hits = sum(verdict.caught for verdict in verdicts)
    seconds = time.perf_counter() - started
    print(
        f"caught {hits} of {len(verdicts)} planted; {len(wolf)} false alarms on {len(configs)} "
        f"configs; {seconds:.0f} s"
    )
    if options.page:
        PAGE.write_text(page(verdicts, wolf, configs), encoding="utf-8")
    return int(hits < len(verdicts) or bool(wolf))


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", help="families or names of faults to plant")
    parser.add_argument("--configs", nargs="*", help="healthy configs to look at; all by default")
    parser.add_argument("--no-healthy", action="store_true", help="plant faults only")
    parser.add_argument("--page", action="store_true", help="write docs/bug_bench.md")
    return parser


def _planted(family: str, fault: Fault, subject: Subject) -> Verdict:
    started = time.perf_counter()
    try:
        hit, runs = caught(fault, subject)
        broken = ""
    except Exception as error:  # a fault that cannot be planted must not end the bench
        hit, runs, broken = False, [], f"{type(error).__name__}: {error}"
    return Verdict(fault, family, hit, time.perf_counter() - started, tuple(runs), broken)


def _line(verdict: Verdict) -> str:
    mark = "caught" if verdict.caught else "MISSED"
    line = f"{mark}  {verdict.family}/{verdict.fault.name} ({verdict.seconds:.1f} s)"
    if verdict.caught:
        return line
    said = [f"{f.severity} {f.path}: {f.message}" for run in verdict.runs for f in run.findings]
    state = [f"{run.id} {run.status} {run.why}" for run in verdict.runs]
    return "\n    ".join([line, f"expected {verdict.fault.expect}", verdict.broken, *state, *said])


def _alarms(name: str, size: str, runs: Sequence[ProbeRun]) -> Iterable[Alarm]:
    for run in runs:
        if run.status == "crashed":
            yield Alarm(name, size, run.id, None, run.why)
        for finding in run.findings:
            if finding.severity != "info":
                yield Alarm(name, size, run.id, finding)


if __name__ == "__main__":
    sys.exit(main())

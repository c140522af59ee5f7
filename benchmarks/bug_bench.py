"""Counts the planted bugs that probes find, and how often they cry wolf over healthy configs."""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import torch

from benchmarks.bug_records import Records, fingerprint
from benchmarks.diagnose import ProbeRun, diagnose, plain
from benchmarks.faults import Fault, caught
from benchmarks.subject import Subject, subject_of
from registry.config import available
from registry.layout import at
from registry.whole import load
from zoo.contracts import Finding

BUGS = Path(__file__).parent.parent / "tests" / "bugs"
PAGE = Path(__file__).parent.parent / "docs" / "bug_bench.md"
Report = Callable[[str], None]
BROKEN = ("csvit2_old", "utnet_as_released")  # shipped with the flaws they are known for
ABLATIONS = "ablations"  # one step each away from csvit2_old, the rest of its flaws kept
SIZES = ("tiny", "full")  # full: the recipe as written, its parts made small
WIDE_PARTS = ("backbone", "neck", "head", "temporal")


@dataclass(frozen=True)
class Verdict:
    """What became of one planted fault."""

    fault: Fault
    family: str  # of the file it is planted by
    caught: bool
    seconds: float
    told: str  # the line of the log, with what was found instead where the fault was missed


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


def plant_all(
    chosen: Iterable[tuple[str, Fault]], report: Report = print, records: Records | None = None
) -> list[Verdict]:
    """Plants every fault into its healthy config and runs the probe that has to see it.

    records: what is in them is not planted again.
    """
    records, healthy = records or Records(), {}
    verdicts = []
    for family, fault in chosen:
        known = records.recall(family, fault.name)
        if known is None:
            if fault.base not in healthy:
                healthy[fault.base] = subject_at(fault.base, "tiny")
            known = _planted(family, fault, healthy[fault.base])
            records.keep(family, fault.name, known)
        seen = {key: known[key] for key in ("caught", "seconds", "told")}
        verdicts.append(Verdict(fault, family, **seen))
        report(verdicts[-1].told)
    return verdicts


def alarms(
    configs: Sequence[str],
    sizes: Sequence[str] = SIZES,
    report: Report = print,
    records: Records | None = None,
) -> tuple[list[Alarm], float]:
    """Every error, warning and crash on configs known to be healthy, and the seconds it took.

    records: what is in them is not diagnosed again.
    """
    records, found, seconds = records or Records(), [], 0.0
    for name, size in ((name, size) for name in configs for size in sizes):
        known = records.recall("healthy", f"{name}-{size}")
        if known is None:
            started = time.perf_counter()
            runs = diagnose(subject_at(name, size))
            cries = [plain(dataclasses.asdict(alarm)) for alarm in _alarms(name, size, runs)]
            known = {"probes": _outcomes(runs), "alarms": cries}
            known["seconds"] = time.perf_counter() - started
            records.keep("healthy", f"{name}-{size}", known)
        mine = [_alarm(record) for record in known["alarms"]]
        report(f"{name} at {size}: {known['probes']}, {len(mine)} alarms")
        for alarm in mine:
            told = alarm.finding.message if alarm.finding else alarm.why
            report(f"    {alarm.probe}: {told}")
        found += mine
        seconds += known["seconds"]
    return found, seconds


def healthy_configs() -> list[str]:
    """Every config that can be named, but those with known flaws."""
    known = available().items()
    return [n for n, file in known if not n.startswith(BROKEN) and file.parent.name != ABLATIONS]


def subject_at(name: str, size: str) -> Subject:
    """A shipped config as a subject: tiny, or its full recipe with small parts."""
    return subject_of(name, recipe_at(name, size))


def recipe_at(name: str, size: str) -> dict[str, Any]:
    """A shipped config tiny, or as written with the parts (and the crop) that tiny has."""
    tiny = load(name)
    if size == "tiny":
        return tiny
    full = load(name, size=None)
    full["model"] |= {part: tiny["model"].get(part) for part in WIDE_PARTS}
    full["augmentation"]["crop"]["size"] = at(tiny, "augmentation.crop.size")
    return full


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
    records = Records(options.records)
    chosen = [
        (family, fault)
        for family, fault in faults()
        if not options.only or any(w in (family, fault.name) for w in options.only)
    ]
    configs = [] if options.no_healthy else options.configs or healthy_configs()
    verdicts = plant_all(chosen, _say, records)
    wolf, seconds = alarms(configs, report=_say, records=records)
    hits = sum(verdict.caught for verdict in verdicts)
    seconds += sum(verdict.seconds for verdict in verdicts)
    _say(
        f"caught {hits} of {len(verdicts)} planted; {len(wolf)} false alarms on {len(configs)} "
        f"configs; {seconds:.0f} s; code {fingerprint()}"
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
    parser.add_argument("--records", type=Path, help="folder to keep results in and to go on from")
    return parser


def _say(line: str) -> None:
    print(line, flush=True)  # a log is read while the bench runs


def _planted(family: str, fault: Fault, subject: Subject) -> dict[str, Any]:
    """What a record of a fault holds."""
    started = time.perf_counter()
    try:
        hit, runs = caught(fault, subject)
        broken = ""
    except Exception as error:  # a fault that cannot be planted must not end the bench
        hit, runs, broken = False, [], f"{type(error).__name__}: {error}"
    seconds = time.perf_counter() - started
    told = f"{'caught' if hit else 'MISSED'}  {family}/{fault.name} ({seconds:.1f} s)"
    if not hit:
        said = [f"{f.severity} {f.path}: {f.message}" for run in runs for f in run.findings]
        state = [f"{run.id} {run.status} {run.why}" for run in runs]
        told = "\n    ".join([told, f"expected {fault.expect}", broken, *state, *said])
    return {"caught": hit, "seconds": seconds, "told": told}


def _outcomes(runs: Sequence[ProbeRun]) -> str:
    counts = Counter(run.status for run in runs)
    return ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))


def _alarm(record: dict[str, Any]) -> Alarm:
    finding = record["finding"]
    if finding is not None:
        finding = Finding(**{**finding, "fix": tuple(finding["fix"])})
    return Alarm(**{**record, "finding": finding})


def _alarms(name: str, size: str, runs: Sequence[ProbeRun]) -> Iterable[Alarm]:
    for run in runs:
        if run.status == "crashed":
            yield Alarm(name, size, run.id, None, run.why)
        for finding in run.findings:
            if finding.severity != "info":
                yield Alarm(name, size, run.id, finding)


if __name__ == "__main__":
    sys.exit(main())

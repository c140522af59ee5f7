"""The parts of a diagnosis that are read: verdict, differences, findings, probes, how to repeat."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from benchmarks.report import blocks
from benchmarks.report.page import Section, environment

SEVERITIES = ("error", "warning", "info")
MOST_NUMBERS = 12  # of one finding's evidence, before the rest is folded away
Report = Mapping[str, Any]


def verdict(report: Report) -> Markup:
    """The sentences, the ranked causes and the command that tries their fixes."""
    said = report["verdict"]
    first = report["subjects"][0]["name"]
    causes = [{**cause, "anchor": _anchor_of(cause, report)} for cause in said["causes"]]
    fixes = {line.split("=")[0]: line for c in reversed(said["causes"]) for line in c["fix"]}
    tried = (f"--set {shlex.quote(line)}" for line in reversed(fixes.values()))
    command = " \\\n  ".join([f"zoo diagnose {first}", *tried])  # one change a line
    sentences = [sentence["text"] for sentence in said["sentences"]]
    top = _module().verdict(sentences, causes, command if fixes else "")
    return Markup("{}{}").format(top, tallies(report))


def tallies(report: Report) -> Markup:
    """What each subject's probes came to."""
    words = (("error", "errors"), ("warning", "warnings"), ("passed", "passed"))
    words += (("skipped", "skipped"), ("crashed", "crashed"))
    counted = report["counts"]["subjects"]
    rows = [
        {
            "name": subject["name"],
            "role": _role(subject, index),
            "colour": blocks.colour(index),
            "counts": [
                {
                    "kind": kind,
                    "word": word,
                    "count": counted[subject["name"]][kind],
                }
                for kind, word in words
            ],
        }
        for index, subject in enumerate(report["subjects"])
    ]
    return _module().tallies(rows)


def differences(report: Report) -> Section:
    """Every difference by priority, with where each subject stands."""
    names = [subject["name"] for subject in report["subjects"]]
    title = "Differences by priority"
    if len(names) < 2:
        body = blocks.notice("One subject alone: there is nothing to compare it with.")
        return Section("differences", title, body)
    rows: list[Any] = []
    ordered = sorted(report["differences"], key=lambda c: c.get("priority") or "P9")
    for priority in sorted({c.get("priority") or "" for c in ordered}, key=lambda p: p or "P9"):
        rows.append(blocks.Group(_PRIORITY[priority]))
        rows += [_difference(c) for c in ordered if (c.get("priority") or "") == priority]
    columns = ["setting", "about", *names]
    caption = "What turns the first subject into the second"
    body = blocks.table(columns, rows, caption=caption, stacks=True)
    lead = "As the analysis ranks them: P0 decides whether a model learns at all."
    if not report["differences"]:
        body = blocks.notice("Their configs are the same, or one has none.")
    return Section("differences", title, body, lead, badge=str(len(report["differences"])))


def findings(report: Report) -> Section:
    """Findings worst first; one card for a finding that both subjects have."""
    grouped: dict[tuple[str, str], list[tuple[int, Mapping[str, Any]]]] = {}
    for index, finding in enumerate(report["findings"]):
        grouped.setdefault((finding["id"], finding["path"]), []).append((index, finding))
    names = [subject["name"] for subject in report["subjects"]]
    cards = [_card(group, report, names) for group in grouped.values()]
    if not cards:
        body = blocks.notice("No probe found anything to say.", "ok")
        return Section("findings", "Findings", body)
    module = _module()
    bar = module.filters("findings-list", _choices(report, names))
    listed = Markup('<div class="findings" id="findings-list">{}</div>').format(
        blocks.stack(module.finding(card) for card in cards)
    )
    nothing = Markup('<p id="findings-list-empty" hidden>No finding fits the filter.</p>')
    lead = "Worst first; what both subjects have explains less than what the first alone has."
    body = Markup("{}{}{}").format(bar, listed, nothing)
    return Section("findings", "Findings", body, lead, badge=str(len(cards)))


def probes(report: Report) -> Section:
    """Every probe with its law and outcome, and what was skipped or crashed and why."""
    rows = []
    names = [subject["name"] for subject in report["subjects"]]
    by_id: dict[str, dict[str, Mapping[str, Any]]] = {}
    for probe in report["probes"]:
        by_id.setdefault(probe["id"], {})[probe["subject"]] = probe
    family = None
    for id, mine in sorted(by_id.items()):
        if (now := id.split(".")[0]) != family:
            family = now
            rows.append(blocks.Group(family))
        law = next((probe["law"] for probe in mine.values() if probe.get("law")), "")
        rows.append([id, law, *(_outcome(mine.get(name)) for name in names)])
    heads, caption = ["probe", "law", *names], "Every law, and how it came out"
    table = blocks.table(heads, rows, caption=caption, stacks=True)
    left_out = [p for p in report["probes"] if p["status"] in ("skipped", "crashed")]
    return Section(
        "probes",
        "All probes",
        table,
        "Nothing passes silently: a probe that could not run says why.",
        badge=f"{len(by_id)}" + (f", {len(left_out)} not run" if left_out else ""),
    )


def repeat(report: Report) -> Section:
    """Where it was measured, and the command to measure it again."""
    body = [blocks.code(report["command"], label="Command")]
    rows = [[name, str(value)] for name, value in report["environment"].items()]
    body.append(blocks.table(["", ""], rows, caption="Measured with"))
    rows = [
        [
            blocks.subject_mark(subject["name"], index),
            subject["checkpoint"] or "none: as initialised",
            subject["parameters_m"],
            f"{subject['hands']} {'rendered' if subject['synthetic'] else 'of --data'}",
            subject["seed"],
        ]
        for index, subject in enumerate(report["subjects"])
    ]
    heads = ["subject", "weights", blocks.Column("parameters (M)", True), "hands"]
    body.append(blocks.table([*heads, blocks.Column("seed", True)], rows, caption="Subjects"))
    return Section("repeat", "Environment and command", blocks.stack(body))


_PRIORITY = {
    "P0": "P0: decides whether it learns",
    "P1": "P1: decides how well",
    "P2": "P2: fine adjustment",
    "": "not ranked",
}


def _module() -> Any:
    return environment().get_template("diagnosis.html.j2").module


def _role(subject: Mapping[str, Any], index: int) -> str:
    role = "under diagnosis" if index == 0 else "for comparison"
    weights = "trained weights" if subject["checkpoint"] else "as initialised"
    return f"{role} · {subject['parameters_m']:.1f} M parameters · {weights}"


def _anchor_of(cause: Mapping[str, Any], report: Report) -> str:
    if cause["finding"] is None:
        return "differences"
    finding = report["findings"][cause["finding"]]
    return _anchor(finding["id"], finding["path"])


def _anchor(id: str, path: str) -> str:
    return "finding-" + "".join(c if c.isalnum() else "-" for c in f"{id}-{path}")


def _difference(change: Mapping[str, Any]) -> list[Any]:
    shown = [Markup("<code>{}</code>").format(_value(change[key])) for key in ("before", "after")]
    path = Markup("<code>{}</code>").format(change["path"])
    return [path, change.get("reason") or change.get("slot") or "", *shown]


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        inside = ", ".join(f"{key}={_value(item)}" for key, item in value.items())
        return f"{{{inside}}}"
    return str(value)


def _card(
    group: Sequence[tuple[int, Mapping[str, Any]]], report: Report, names: Sequence[str]
) -> dict[str, Any]:
    mine = [finding for _, finding in group]
    worst = min(mine, key=lambda f: SEVERITIES.index(f["severity"]))
    who = list(dict.fromkeys(finding["subject"] for finding in mine))
    law = next((p["law"] for p in report["probes"] if p["id"] == worst["probe"] and p["law"]), "")
    messages = list(dict.fromkeys(finding["message"] for finding in mine))
    if len(messages) > 1:
        messages = [f"{f['subject']}: {f['message']}" for f in mine]
    colours = " ".join(blocks.colour(names.index(name)) for name in who)
    return {
        "anchor": _anchor(worst["id"], worst["path"]),
        "severity": worst["severity"],
        "title": worst["id"],
        "who": [blocks.subject_mark(name, names.index(name)) for name in who],
        "tags": f"{worst['severity']} {colours}",
        "messages": messages,
        "path": worst["path"],
        "evidence": _evidence(mine, names),
        "fix": list(dict.fromkeys(f"--set {line}" for f in mine for line in f["fix"])),
        "law": law,
        "see": worst["see"],
    }


def _evidence(mine: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Markup:
    keys = list(dict.fromkeys(k for f in mine for k in f["evidence"] if k != "priority"))
    if not keys:
        return Markup("")
    if len(mine) == 1:
        pairs = [(_words(key), _told(mine[0]["evidence"][key])) for key in keys]
        return _module().numbers(pairs)
    columns = ["evidence", *(blocks.Column(f["subject"], True) for f in mine)]
    rows = [[_words(key), *(_shown(f["evidence"].get(key)) for f in mine)] for key in keys]
    shown = blocks.table(columns, rows[:MOST_NUMBERS], caption="What was measured")
    if len(rows) <= MOST_NUMBERS:
        return shown
    rest = blocks.table(columns, rows[MOST_NUMBERS:], caption="The rest")
    return Markup("{}{}").format(shown, blocks.details(f"{len(rows) - MOST_NUMBERS} more", rest))


def _told(value: Any) -> str:
    shown = _shown(value)
    return shown if isinstance(shown, str) else blocks.number(shown)


def _words(key: str) -> str:
    return key.replace("_", " ")


def _shown(value: Any) -> Any:
    if isinstance(value, list):
        return ", ".join(str(_shown(item)) for item in value[:8]) + (" …" if len(value) > 8 else "")
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_shown(item)}" for key, item in list(value.items())[:8])
    return value if value is None or isinstance(value, str) else blocks.number(value)


def _choices(report: Report, names: Sequence[str]) -> list[dict[str, Any]]:
    def choice(value: str, label: str, count: int, on: bool = True) -> dict[str, Any]:
        return {"value": value, "label": label, "count": count, "on": on}

    found = report["findings"]
    by_severity = [
        choice(severity, severity, sum(f["severity"] == severity for f in found))
        for severity in SEVERITIES
    ]
    groups = [{"legend": "Severity", "choices": by_severity}]
    if len(names) > 1:
        by_subject = [
            choice(blocks.colour(i), name, sum(f["subject"] == name for f in found))
            for i, name in enumerate(names)
        ]
        groups.append({"legend": "Subject", "choices": by_subject})
    return groups


def _outcome(probe: Mapping[str, Any] | None) -> Markup:
    if probe is None:
        return Markup("–")
    status = blocks.mark(probe["status"], probe["status"])
    why = Markup("<br><small>{}</small>").format(probe["why"]) if probe["why"] else ""
    return Markup("{} <small>{:.1f} s</small>{}").format(status, probe["seconds"], why)

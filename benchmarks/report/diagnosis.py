"""The report of `zoo diagnose`: one HTML file that says why, with the numbers that say so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from torch import Tensor

from benchmarks.report import blocks, measures, page, pictures, viewer, wording


def render(
    report: Mapping[str, Any], looks: Sequence[pictures.Looks] = (), faces: Tensor | None = None
) -> str:
    """The page of a diagnosis.

    report: what `benchmarks.causes.complete` returns, or the same read from its JSON.
    looks: each subject's crops; without them the page has no pictures and says so.
    faces: (F, 3) of the hand's surface, needed with `looks`.
    """
    names = [subject["name"] for subject in report["subjects"]]
    scripts: list[str] = []
    sections = [
        wording.differences(report),
        wording.findings(report),
        measures.gradients(report),
        measures.scales(report),
    ]
    if looks:
        sections.append(pictures.crops(looks))
    sections += [measures.losses(report), measures.errors(report)]
    if looks and faces is not None:
        try:
            scripts = viewer.scripts()
            sections.append(pictures.hands_in_3d(looks, faces))
        except viewer.ViewerMissing as missing:
            notice = blocks.notice(str(missing), "warning")
            sections.append(page.Section("hands", "The hands in 3D", notice))
    sections += [wording.probes(report), wording.repeat(report)]
    return page.render(
        title=" against ".join(names),
        kind="zoo diagnose",
        subjects=names,
        lead=_when(report["environment"].get("made")),
        top=wording.verdict(report),
        top_link="verdict",
        sections=sections,
        scripts=scripts,
    )


def _when(made: str | None) -> str:
    return f"{datetime.fromisoformat(made):%-d %B %Y, %H:%M}" if made else ""

"""One self-contained HTML page for every report: the frame, its style and its script.

How `zoo diagnose`, `zoo bench` and `zoo ladder` use it:

    from benchmarks.report import blocks, page

    numbers = blocks.table(["model", blocks.Column("ms", numeric=True)], [["hamer", 41.2]],
                           caption="Forward pass, batch 1")
    html = page.render(
        title="hamer against csvit2",
        kind="zoo bench",
        subjects=["hamer", "csvit2"],       # drawn in the two subjects' colours everywhere
        lead="What the page says, in a sentence.",
        sections=[page.Section("numbers", "Numbers", numbers, lead="What this part shows.")],
        facts={"command": "zoo bench hamer csvit2", "torch": "2.11"},
    )
    page.write(Path("report.html"), html)

Text given as `str` is escaped; `markupsafe.Markup`, which every block returns, is taken as HTML.
Charts: `benchmarks.report.figures`. Hands in 3D: `benchmarks.report.viewer`. The page forbids
itself every network request by a Content-Security-Policy, prints with all tabs open, follows the
system's light or dark colours and has a switch for them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

MAX_SUBJECTS = 6  # as many as there are colours


@dataclass(frozen=True)
class Section:
    """A part of a page with its own heading and entry in the contents."""

    id: str  # "gradients": the anchor, and the name of the test hook
    title: str
    body: Markup
    lead: str = ""  # one sentence under the heading: what to look for
    badge: str = ""  # a short count shown in the contents


def environment() -> Environment:
    """The templates of this folder; everything not marked as HTML is escaped."""
    return Environment(
        loader=PackageLoader("benchmarks.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render(
    *,
    title: str,
    kind: str,
    sections: Sequence[Section],
    subjects: Sequence[str] = (),
    lead: str = "",
    top: Markup | None = None,
    top_link: str = "",
    facts: Mapping[str, str] | None = None,
    scripts: Sequence[str] = (),
) -> str:
    """A whole HTML document as text.

    kind: the small line over the title, such as the command's name.
    top: what stands between title and first section, such as a verdict.
    top_link: the id of an element in it, if the contents are to begin with it.
    facts: the small print at the end (versions, machine, seed), in the order given.
    scripts: JavaScript sources that only this page needs, such as the 3D viewer's.
    Raises ValueError for more subjects than there are colours, or two sections of one id.
    """
    if len(subjects) > MAX_SUBJECTS:
        raise ValueError(f"A page has colours for {MAX_SUBJECTS} subjects, not {len(subjects)}.")
    ids = [section.id for section in sections]
    if len(set(ids)) < len(ids):
        raise ValueError(f"Two sections of a page have the same id; the ids are {', '.join(ids)}.")
    templates = environment()
    return templates.get_template("page.html.j2").render(
        title=title,
        kind=kind,
        subjects=subjects,
        lead=lead,
        top=top or "",
        top_link=top_link,
        sections=sections,
        facts=facts or {},
        style=_source(templates, "style.css"),
        scripts=[_source(templates, "script.js"), *map(_inline, scripts)],
    )


def write(path: Path, html: str) -> None:
    """The page under its name, whole or not at all; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(html, encoding="utf-8")
    os.replace(partial, path)


def _source(templates: Environment, name: str) -> Markup:
    text, _, _ = templates.loader.get_source(templates, name)
    return _inline(text)


def _inline(source: str) -> Markup:
    # A script element ends at the first "</script", wherever that stands.
    return Markup(source.replace("</script", "<\\/script"))

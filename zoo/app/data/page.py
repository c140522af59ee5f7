"""`zoo data stats`: what shards hold, as one page that needs nothing but itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from rich.console import Console

from benchmarks.report import blocks, figures, page
from benchmarks.report.blocks import Column
from zoo.data.shards import fingerprint, resolve_shards
from zoo.data.statistics import QUANTITIES, Quantity, Statistics, collect


def write_statistics(shards: Sequence[str], out: Path, console: Console) -> dict[str, Any]:
    """Writes the page and returns hands by source and the medians; raises as `collect` does."""
    urls = resolve_shards(shards)
    found = collect(urls)
    if not found.sides:
        raise ValueError(f"{urls[0]} and {len(urls) - 1} more hold no labelled hand.")
    page.write(out, statistics_page(found, fingerprint(urls), len(urls)))
    told = {
        source: {
            "hands": sum(found.sides[source].values()),
            **{
                quantity.name: float(np.median(found.values[quantity.name, source]))
                for quantity in QUANTITIES
                if (quantity.name, source) in found.values
            },
        }
        for source in found.sources
    }
    for bad in found.broken:
        console.print(f"[yellow]not read further:[/] {bad}", highlight=False)
    return told


def statistics_page(found: Statistics, name: str, count: int) -> str:
    """A whole HTML document of the histograms."""
    sources = found.sources
    drawn = sources[: page.MAX_SUBJECTS]
    hands = sum(sum(found.sides[source].values()) for source in sources)
    sections = [
        page.Section("sources", "Sources", _sources(found), lead="Hands in pictures, and labels."),
        page.Section("sides", "Sides", _sides(found), lead="Left hands are stored as left hands."),
    ]
    for quantity in QUANTITIES:
        if found.histograms[quantity.name]:
            sections.append(
                page.Section(
                    quantity.name,
                    f"{quantity.title} ({quantity.unit})",
                    _histogram(found, quantity, drawn),
                )
            )
    more = f" The {len(sources) - len(drawn)} smallest sources are in the tables alone."
    lead = f"{hands:,} hands of {len(sources)} sources in {count} shards." + (
        more if len(sources) > len(drawn) else ""
    )
    return page.render(
        title="What the shards hold",
        kind="zoo data stats",
        subjects=drawn,
        lead=lead,
        sections=sections,
        facts={
            "shards": str(count),
            "fingerprint": name[:16],
            "unreadable": str(len(found.broken)),
        },
    )


def _sources(found: Statistics) -> Markup:
    labels = ("2D", "3D", "MANO", "camera", "box")
    head = ["source", Column("hands", numeric=True), *(Column(n, numeric=True) for n in labels)]
    rows = [
        [
            source,
            total,
            *(f"{100 * found.labels[source][n] / total:.0f} %" for n in labels),
            ", ".join(sorted(found.licenses[source])),
        ]
        for source in found.sources
        if (total := sum(found.sides[source].values()))
    ]
    return blocks.table([*head, "licence"], rows, caption="Share of hands with each label")


def _sides(found: Statistics) -> Markup:
    figure, axes = figures.canvas(width=6.0, height=0.6 + 0.4 * len(found.sources))
    for place, source in enumerate(reversed(found.sources)):
        sides, start = found.sides[source], 0.0
        for index, side in enumerate(("left", "right")):
            share = 100 * sides[side] / sum(sides.values())
            colour = figures.subject_colour(index)
            label = side if place == 0 else None
            axes.barh(place, share, left=start, color=colour, height=0.6, label=label)
            start += share
    axes.set_yticks(range(len(found.sources)), list(reversed(found.sources)))
    axes.set_xlim(0, 100)
    axes.set_xlabel("% of the source's hands")
    axes.legend(frameon=False, fontsize=9, labelcolor=figures.INK, ncols=2, loc="lower right",
                bbox_to_anchor=(1, 1))  # fmt: skip
    return blocks.figure(figures.svg(figure, title="Left and right hands", id="side-bars"))


def _histogram(found: Statistics, quantity: Quantity, drawn: Sequence[str]) -> Markup:
    figure, axes = figures.canvas(width=7.0, height=2.8)
    for index, source in enumerate(drawn):
        counts = found.histograms[quantity.name].get(source)
        if counts is None:
            continue
        share = 100 * counts / counts.sum()
        colour = figures.subject_colour(index)
        axes.stairs(share, quantity.edges, color=colour, linewidth=1.6, label=source)
    axes.set_xlabel(f"{quantity.title} ({quantity.unit})")
    axes.set_ylabel("% of hands")
    axes.set_ylim(bottom=0)
    figures.legend(axes)
    title = f"{quantity.title}, {quantity.unit}"
    drawing = figures.svg(figure, title=title, id=f"histogram-{quantity.name}")
    percents = (1, 25, 50, 75, 99)
    rows = [
        [source, len(values), *np.percentile(values, percents).tolist()]
        for source in found.sources
        if (values := found.values.get((quantity.name, source)))
    ]
    head = ["source", Column("hands", numeric=True)]
    head += [Column(f"{p} %", numeric=True) for p in percents]
    table = blocks.table(head, rows, caption=f"Percentiles, {quantity.unit}")
    note = "What lies beyond the last edge is counted in the last bin."
    return blocks.stack([blocks.figure(drawing, note), table])

"""Charts as inline SVG that wear the page's colours, light or dark.

matplotlib draws; the few colours it was given stand for roles and become CSS variables:

    figure, axes = figures.canvas(width=6, height=3)
    axes.plot(steps, loss, color=figures.subject_colour(0), label="csvit2")
    drawing = figures.svg(figure, title="Loss over the first steps", id="first-steps")
"""

from __future__ import annotations

import io
import re

import matplotlib
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from benchmarks.report.page import MAX_SUBJECTS

INK, MUTED, LINE, TARGET = "#010101", "#010102", "#010103", "#010104"
_ROLES = {INK: "ink", MUTED: "muted", LINE: "line", TARGET: "target"}
_ROLES |= {f"#01020{i}": f"s{i}" for i in range(MAX_SUBJECTS)}


def subject_colour(index: int) -> str:
    """What to give matplotlib as the colour of the subject with this index."""
    return f"#01020{index % MAX_SUBJECTS}"


def canvas(
    width: float = 6.0,
    height: float = 3.2,
    rows: int = 1,
    columns: int = 1,
    *,
    share_x: bool = False,
    share_y: bool = False,
) -> tuple[Figure, Axes]:
    """A figure (inches) and its axes, one or an array of them, dressed for the page."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(rows, columns, sharex=share_x, sharey=share_y)
    for one in figure.axes:
        one.set_facecolor("none")
        one.spines[["top", "right"]].set_visible(False)
        one.spines[["left", "bottom"]].set_color(LINE)
        one.tick_params(which="both", colors=MUTED, labelsize=9, length=3)
        one.grid(color=LINE, linewidth=0.7)
        one.set_axisbelow(True)
        one.title.set_color(INK)
        one.title.set_fontsize(10)
        one.xaxis.label.set_color(MUTED)
        one.yaxis.label.set_color(MUTED)
    return figure, axes


def logarithmic(axes: Axes) -> None:
    """A logarithmic y axis that says 0.2 and 5, not powers of ten."""
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=12))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())


def legend(axes: Axes, place: str = "best") -> None:
    """A legend without a box."""
    axes.legend(frameon=False, fontsize=9, labelcolor=INK, loc=place)


def svg(figure: Figure, *, title: str, id: str) -> Markup:
    """The figure as an accessible inline SVG of the page's own font and colours.

    title: what a screen reader says it is.
    id: its own on the page; the parts inside are named after it.
    """
    figure.patch.set_alpha(0)
    settings = {"svg.fonttype": "none", "svg.hashsalt": id, "font.family": "sans-serif"}
    buffer = io.StringIO()
    with matplotlib.rc_context(settings):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"font-family: [^;\"]+|font: ([\d.]+px)[^;\"]*", _plain_font, text)
    for colour, role in _ROLES.items():
        text = text.replace(colour, f"var(--{role})")
    text = _own_ids(text, id)
    size = re.search(r'viewBox="[^"]+"', text)[0]
    width = figure.get_figwidth() * 96  # px; on a narrow screen it shrinks with the column
    head = f'<svg {size} style="max-width:{width:.0f}px" role="img" aria-labelledby="{id}" '
    head += 'xmlns="http://www.w3.org/2000/svg" '
    head += f'xmlns:xlink="http://www.w3.org/1999/xlink"><title id="{id}">{escape(title)}</title>'
    return Markup(re.sub(r"<svg[^>]*>", lambda _: head, text, count=1))


def _plain_font(match: re.Match) -> str:
    return f"font-size: {match[1]}" if match[1] else "font-family: inherit"


def _own_ids(text: str, prefix: str) -> str:
    # matplotlib calls the parts of every figure alike: figure_1, axes_1.
    text = re.sub(r'\bid="', f'id="{prefix}-', text)
    text = re.sub(r'(href="#)', rf"\1{prefix}-", text)
    return re.sub(r"url\(#", f"url(#{prefix}-", text)

"""The frame of every report: escaped, self-contained, and reusable."""

from __future__ import annotations

import re

import pytest
from markupsafe import Markup

from benchmarks.report import blocks, figures, page

EMPTY = Markup("")


def section(id: str, body: Markup | None = None) -> page.Section:
    return page.Section(id, id.title(), body or Markup("<p>x</p>"))


def test_a_page_names_its_sections_in_the_contents_in_order():
    html = page.render(title="t", kind="k", sections=[section("one"), section("two")])
    assert re.findall(r'<a href="#(\w+)"><span>(\w+)', html) == [("one", "One"), ("two", "Two")]
    assert re.findall(r'<section id="(\w+)"', html) == ["one", "two"]


def test_text_is_escaped_everywhere_it_may_come_from_a_user():
    evil = "<script>alert(1)</script>"
    body = blocks.stack(
        [
            blocks.table([evil], [[evil], blocks.Group(evil)], caption=evil),
            blocks.heat_table([evil], {evil: [blocks.Heat(evil, note=evil)]}, caption=evil),
            blocks.code(evil, label=evil),
            blocks.bars([(evil, 1.0, evil)]),
            blocks.notice(evil, "error"),
            blocks.details(evil, blocks.paragraph(evil)),
            blocks.mark(evil),
            blocks.heading(evil),
            blocks.tabs(
                evil, [blocks.Panel(evil, Markup("")), blocks.Panel("b", Markup(""))], id="t"
            ),
        ]
    )
    html = page.render(
        title=evil, kind=evil, lead=evil, sections=[section("a", body)], facts={evil: evil}
    )
    assert evil not in html
    assert html.count("&lt;script&gt;") > 15


def test_a_page_forbids_itself_the_network_and_names_no_address():
    html = page.render(title="t", kind="k", sections=[section("a")])
    assert "default-src 'none'" in html
    assert re.findall(r'(?:src|href)="(?!#|data:)[^"]*"', html) == []
    assert "url(" not in html


def test_a_script_that_holds_a_closing_tag_does_not_end_its_element():
    html = page.render(
        title="t", kind="k", sections=[section("a")], scripts=['const x = "</script>";']
    )
    assert html.count("</script>") == html.count("<script>") == 2


def test_two_sections_of_one_id_and_too_many_subjects_are_refused():
    with pytest.raises(ValueError, match="same id"):
        page.render(title="t", kind="k", sections=[section("a"), section("a")])
    with pytest.raises(ValueError, match="colours for 6"):
        page.render(title="t", kind="k", sections=[], subjects=list("abcdefg"))


def test_a_page_is_written_whole_or_not_at_all(tmp_path):
    file = tmp_path / "new" / "report.html"
    page.write(file, "<html>")
    assert file.read_text() == "<html>"
    with pytest.raises(UnicodeEncodeError):
        page.write(file, "\ud800")
    assert file.read_text() == "<html>"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (41.234, "41.2"),
        (0.001234, "0.00123"),
        (1.2e-7, "1.2e-7"),
        (0.0, "0"),
        (-3.0, "-3"),
        (192, "192"),
        (12345, "12\u2009345"),
        (float("nan"), "nan"),
        (None, "–"),
    ],
)
def test_numbers_are_said_in_three_digits(value, shown):
    assert blocks.number(value) == shown


def test_a_chart_wears_the_pages_colours_and_says_what_it_is():
    figure, axes = figures.canvas()
    axes.plot([0, 1], [0, 1], color=figures.subject_colour(1), label="b")
    figures.legend(axes)
    drawing = figures.svg(figure, title="Loss <of> b", id="loss")
    assert "var(--s1)" in drawing
    assert '<title id="loss">Loss &lt;of&gt; b</title>' in drawing
    assert not re.search(r"#0102|#0101", drawing)
    ids = re.findall(r'\bid="([^"]+)"', drawing)
    assert len(ids) == len(set(ids))


def test_one_panel_needs_no_tabs():
    assert blocks.tabs("x", [blocks.Panel("A", Markup("<p>a</p>"))], id="x") == "<p>a</p>"

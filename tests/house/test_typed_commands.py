"""Every zoo command that a page shows is one the command line takes, option for option."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.main import get_command

from zoo.app.cli.main import app

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
_BLOCK = re.compile(r"```(?:bash|sh|console)?\n(.*?)```", re.DOTALL)
ZOO = get_command(app)
_PROGRAM = re.compile(r"^(?:\.venv/bin/)?zoo$")


def typed(text: str) -> Iterator[list[str]]:
    """The words after `zoo` of each command line in a page's blocks."""
    for block in _BLOCK.findall(text):
        for line in block.replace("\\\n", " ").splitlines():
            for command in line.split(" && "):
                try:
                    words = shlex.split(command, comments=True)
                except ValueError:  # a line of something else
                    continue
                at = next((i for i, word in enumerate(words) if _PROGRAM.match(word)), None)
                if at is not None and all("=" in word for word in words[:at]):
                    yield words[at + 1 :]


def parse(words: list[str]) -> None:
    """Reads the words as the command line does, and runs nothing; raises what it would say."""
    command, context = ZOO, None
    while hasattr(command, "commands"):
        context = command.make_context("zoo", [words[0]], parent=context)
        _, command, _ = command.resolve_command(context, words)
        words = words[1:]
    if command.allow_extra_args or "--help" in words:
        return
    command.make_context("zoo", list(words), parent=context)


COMMANDS = sorted(
    {
        (str(page.relative_to(ROOT)), shlex.join(words))
        for page in PAGES
        for words in typed(page.read_text(encoding="utf-8"))
    }
)


def test_the_pages_show_commands():
    assert len(COMMANDS) > 60


@pytest.mark.parametrize(("page", "line"), COMMANDS)
def test_a_command_of_a_page_is_taken(page, line):
    parse(shlex.split(line))


def test_a_misspelt_option_would_be_found():
    with pytest.raises(Exception, match="No such option: --stepz"):
        parse(["train", "csvit2", "--stepz", "3"])

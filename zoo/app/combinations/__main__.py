"""Writes docs/combinations.md anew: `python -m zoo.app.combinations`, from the repository."""

from __future__ import annotations

from pathlib import Path

import torch
from rich.console import Console

from zoo.app.combinations.cells import factors
from zoo.app.combinations.covering import Covering
from zoo.app.combinations.design import run
from zoo.app.combinations.page import page

PAGE = Path(__file__).parents[3] / "docs" / "combinations.md"


def main() -> None:
    """Tries every combination, with a line now and then, and writes what it found."""
    console = Console()
    torch.set_num_threads(1)  # the models are so small that threads only wait for each other

    def progress(count: int, design: Covering) -> None:
        if count % 25 == 0:
            done = 1 - len(design.open) / design.total
            console.print(f"{count} combinations, {done:.0%} of pairs and triples", highlight=False)

    result = run(factors(), progress=progress)
    PAGE.write_text(page(result), encoding="utf-8")
    console.print(f"{PAGE}: {len(result.trained)} train, {len(result.refusals)} refused")


if __name__ == "__main__":
    main()

"""Commands about data: synth, convert, export, check, stats, view."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import Annotated, Optional

import typer
from rich.console import Console

HAND = "MANO_RIGHT.pkl or its folder, or clayhand; default: as `zoo doctor` finds it"
data_app = typer.Typer(
    help="Render, convert, check and look at shards.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@data_app.command()
def synth(
    folder: Annotated[Path, typer.Argument(help="Where train/ and val/ shards go")],
    count: Annotated[int, typer.Option(help="Pictures in both splits together")] = 10000,
    image_size: Annotated[int, typer.Option(help="px")] = 256,
    seed: Annotated[int, typer.Option(help="The same seed gives the same samples")] = 0,
    split: Annotated[tuple[float, float], typer.Option(help="Shares of train and val")] = (
        0.9,
        0.1,
    ),
    sequences: Annotated[float, typer.Option(help="Share of pictures that belong to clips")] = 0.0,
    clip_frames: Annotated[int, typer.Option(help="Frames of a clip")] = 8,
    depth: Annotated[Optional[str], typer.Option(help="Depth too: exact or sensor")] = None,  # noqa: UP045
    jobs: Annotated[Optional[int], typer.Option(help="Processes; default: the cores")] = None,  # noqa: UP045
) -> None:
    """Render hands with exact labels into WebDataset shards; a killed run goes on where it was."""
    from zoo.app.data.shards import render

    told = render(
        folder,
        Console(),
        count=count,
        image_size=image_size,
        seed=seed,
        split=split,
        sequences=sequences,
        clip_frames=clip_frames,
        depth=depth,
        jobs=jobs,
    )
    for name, part in told["splits"].items():
        Console().print(
            f"{name}: {part['frames']} pictures in {part['samples']} samples, "
            f"{part['shards']} shards, fingerprint {part['fingerprint'][:12]}",
            highlight=False,
        )


@data_app.command()
def convert(
    name: Annotated[str, typer.Argument(help="A converter: zoo list converter")],
    source: Annotated[Path, typer.Argument(help="The data set as it was released")],
    target: Annotated[Path, typer.Argument(help="Where the shards go")],
    split: Annotated[str, typer.Option(help="As the data set names it")] = "train",
    limit: Annotated[Optional[int], typer.Option(help="Stop after so many pictures")] = None,  # noqa: UP045
    workers: Annotated[int, typer.Option(help="Processes; each opens the release itself")] = 1,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a killed run")] = False,
    hand: Annotated[Optional[str], typer.Option(help=HAND)] = None,  # noqa: UP045
    depth: Annotated[bool, typer.Option("--depth", help="Keep depth: dexycb, ho3d")] = False,
) -> None:
    """Turn a released data set into shards."""
    from zoo.app.data.convert import convert_dataset

    convert_dataset(
        name,
        source,
        target,
        split=split,
        limit=limit,
        workers=workers,
        resume=resume,
        hand=hand,
        depth=depth,
        console=Console(),
    )


@data_app.command("export")
def export(
    shards: Annotated[str, typer.Argument(help="Shards: a folder, a glob or a brace range")],
    target: Annotated[Path, typer.Argument(help="Where HaMeR's tars go")],
    overwrite: Annotated[bool, typer.Option("--overwrite")] = False,
) -> None:
    """Write shards as training tars of HaMeR's layout."""
    from zoo.app.data.convert import export_hamer

    pictures = export_hamer(shards, target, Console(), overwrite=overwrite)
    Console().print(f"{pictures} pictures in {target}", highlight=False)


@data_app.command()
def check(
    shards: Annotated[list[str], typer.Argument(help="Shards: folders, globs, brace ranges")],
    json: Annotated[Optional[Path], typer.Option("--json", help="Write the findings here")] = None,  # noqa: UP045
    hand: Annotated[Optional[str], typer.Option(help=HAND)] = None,  # noqa: UP045
) -> None:
    """Test shards against laws: projection, depth, units, order, sides, leaks."""
    from zoo.app.data.convert import check_shards

    found = check_shards(shards, Console(), hand=hand)
    if json is not None:
        json.write_text(json_module.dumps({"schema": 1, "findings": found}, indent=1) + "\n")
    if any(finding["severity"] == "error" for finding in found):
        raise typer.Exit(1)


@data_app.command()
def stats(
    shards: Annotated[list[str], typer.Argument(help="Shards: folders, globs, brace ranges")],
    out: Annotated[Path, typer.Option(help="The page to write")] = Path("stats.html"),
    json: Annotated[Optional[Path], typer.Option("--json", help="Write the medians here")] = None,  # noqa: UP045
) -> None:
    """Draw histograms of depth, focal length, boxes, poses, sides and sources as one page."""
    from zoo.app.data.page import write_statistics

    told = write_statistics(shards, out, Console())
    if json is not None:
        json.write_text(json_module.dumps({"schema": 1, "sources": told}, indent=1) + "\n")
    hands = sum(source["hands"] for source in told.values())
    Console().print(f"{hands} hands of {len(told)} sources: {out}", highlight=False)


@data_app.command()
def view(
    shards: Annotated[str, typer.Argument(help="Shards: a folder, a glob or a brace range")],
    out: Annotated[Path, typer.Option(help="The picture to write")] = Path("sheet.png"),
    count: Annotated[int, typer.Option(help="Hands to draw")] = 48,
    overwrite: Annotated[bool, typer.Option("--overwrite")] = False,
) -> None:
    """Draw a contact sheet of hands with their labels."""
    from zoo.app.data.convert import draw_sheet

    drawn = draw_sheet(shards, out, count=count, overwrite=overwrite)
    Console().print(f"{drawn} hands drawn: {out}", highlight=False)

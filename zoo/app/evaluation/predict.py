"""`zoo predict`: pictures in, hands out, as files other programs can open."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from registry.config import load
from registry.plugins import load_plugin
from zoo.app.clips.films import Films, check_fps, clip_frames_of
from zoo.app.evaluation.evaluate import load_weights
from zoo.app.machine.device import choose_device
from zoo.app.machine.sizing import size_of_run
from zoo.app.training.assemble import build_model
from zoo.contracts import Frame, SkippedSample
from zoo.inference.boxes import HandBox, choose_boxes, parse_box
from zoo.inference.export import write_hand
from zoo.inference.files import write_png
from zoo.inference.films import FilmResult
from zoo.inference.overlay import panel
from zoo.inference.predictor import HandResult, Predictor, frame_of
from zoo.inference.sources import Picture, pictures


@dataclass(frozen=True)
class PredictRequest:
    """What the user typed after `zoo predict`."""

    config: str
    checkpoint: Path
    images: tuple[Path, ...]
    boxes: tuple[str, ...] = ()
    sides: tuple[str, ...] = ("right",)
    focal: float | None = None
    out: Path = Path("predictions")
    every: int = 1
    fps: float | None = None
    overwrite: bool = False
    size: str = "auto"
    device: str = "auto"
    changes: tuple[str, ...] = ()
    plugins: tuple[Path, ...] = ()


def predict_hands(request: PredictRequest, console: Console) -> int:
    """Writes overlay PNG, .obj, .glb and .json of every hand; returns how many hands there were.

    A model with a temporal part takes videos and folders as films: each frame is refined by those
    before it, its .json also says what Stage 1 alone makes of it, and so does the film's motion.

    Raises ValueError for boxes, sides, paths or a device that cannot be meant, before any model is
    built.
    """
    hands, device = asked_hands(request), choose_device(request.device)
    pictures(request.images, skipped=[], every=request.every)  # a missing one is said first
    for plugin in request.plugins:
        load_plugin(plugin)
    size = size_of_run(request.config, request.checkpoint, request.size)
    config = load(request.config, request.changes, size=size)
    skipped: list[SkippedSample] = []
    clip_frames = clip_frames_of(config)
    films = clip_frames is not None
    sources = pictures(request.images, skipped=skipped, every=request.every, films=films)
    check_fps(request.fps, request.images if films else ())
    model = build_model(config)
    step = load_weights(model, request.checkpoint)
    predictor = Predictor(model=model, preprocess=model.data_preprocessor, device=device)
    count, notes = 0, set()
    if not films and request.fps is not None:
        notes.add(f"--fps changes nothing: {request.config} looks at single frames")
    for picture, answer in _answers(
        sources, hands, request, predictor, clip_frames, notes, console
    ):
        extra = {"checkpoint": str(request.checkpoint), "steps": step, "picture": picture.path.name}
        _write(picture, answer, extra, request, console)
        count += 1
    for note in sorted(notes):
        console.print(f"[yellow]note:[/] {note}", highlight=False)
    for sample in skipped:
        console.print(f"[yellow]left out:[/] {sample.reason}", highlight=False)
    console.print(f"{count} {'hand' if count == 1 else 'hands'} in {request.out}")
    return count


def _answers(
    sources: Iterable[Picture],
    hands: list[HandBox],
    request: PredictRequest,
    predictor: Predictor,
    clip_frames: int | None,
    notes: set[str],
    console: Console,
) -> Iterator[tuple[Picture, HandResult | FilmResult]]:
    def frames_of(picture: Picture) -> list[Frame]:
        return list(_frames(picture, hands, request, notes))

    if clip_frames is None:
        for picture in sources:
            for result in predictor(frames_of(picture)):
                yield picture, result
        return
    films = Films(
        predictor=predictor,
        clip_frames=clip_frames,
        out=request.out,
        fps=request.fps,
        every=request.every,
        overwrite=request.overwrite,
    )
    yield from films.answers(sources, frames_of, console)


def _write(
    picture: Picture,
    answer: HandResult | FilmResult,
    extra: dict[str, Any],
    request: PredictRequest,
    console: Console,
) -> None:
    result, raw = answer, None
    if isinstance(answer, FilmResult):
        result, raw = answer.refined, answer.raw
        earlier = [round(time, 6) for time in answer.times]
        clip = {"film": picture.film, "frame": picture.frame_index, "earlier_s": earlier}
        extra = {**extra, "clip": clip}
    files = write_hand(result, request.out, extra=extra, raw=raw, overwrite=request.overwrite)
    drawn = panel(picture.image, result, note=f"{result.camera} camera")
    overlay = request.out / f"{result.name}.png"
    write_png(overlay, drawn, overwrite=request.overwrite)
    wrist = ", ".join(f"{value:.2f}" for value in result.joints[0])
    also = ", ".join(path.suffix for path in files.values())
    console.print(
        f"{result.name}: {result.side} hand, wrist at ({wrist}) m, {result.camera} camera "
        f"-> {overlay} (+ {also})",
        highlight=False,
        soft_wrap=True,
    )


def asked_hands(request: PredictRequest) -> list[HandBox]:
    """The boxes and sides of the command line.

    Raises ValueError for a side that is none, or another number of sides than boxes.
    """
    boxes = [parse_box(text) for text in request.boxes]
    for side in request.sides:
        if side not in ("left", "right"):
            raise ValueError(f"--side {side!r}: a hand is 'left' or 'right'.")
    if len(request.sides) not in (1, len(boxes)):
        raise ValueError(
            f"--side was given {len(request.sides)} times for {len(boxes)} boxes; give it once, or "
            f"once for each box."
        )
    sides = request.sides * len(boxes) if len(request.sides) == 1 else request.sides
    return [HandBox(box, side) for box, side in zip(boxes, sides, strict=True)]


def _frames(
    picture: Picture, hands: list[HandBox], request: PredictRequest, notes: set[str]
) -> Iterator[Frame]:
    found = choose_boxes(
        picture.image, given=hands, side=request.sides[0], picture=picture.path.name
    )
    if found.origin == "whole picture":
        notes.add(found.note)
    for number, hand in enumerate(found.hands):
        name = picture.name if len(found.hands) == 1 else f"{picture.name}_hand{number}"
        camera = _camera(request.focal, picture.image)
        yield frame_of(picture.image, hand, intrinsics=camera, name=name)


def _camera(focal: float | None, image: np.ndarray) -> np.ndarray | None:
    if focal is None:
        return None
    if not focal > 0:
        raise ValueError(f"--focal {focal}: a focal length is a positive number of pixels.")
    height, width = image.shape[:2]
    return np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]])

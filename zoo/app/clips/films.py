"""Films of a temporal model: which frames belong together, when, and how calmly the hand moves."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from registry.layout import at
from zoo.contracts import Frame
from zoo.inference.export import json_bytes
from zoo.inference.files import software_version, write_bytes
from zoo.inference.films import FilmPredictor, FilmResult
from zoo.inference.predictor import Predictor
from zoo.inference.sources import Picture, folder_of_frames
from zoo.metrics.motion import second_differences

_MEANING = (
    "mean length of the second differences of wrist-relative joints in mm per frame^2, over runs "
    "of three consecutive frames. Nobody labelled this film, so this is motion and no error: it "
    "holds the hand's own motion and the trembling of the predictions alike, and a smaller number "
    "is calmer, not truer"
)


@dataclass
class Motion:
    """The second differences of one hand's joints in a film, added up as its frames come."""

    total: float = 0.0
    count: int = 0
    latest: list[tuple[int, np.ndarray]] = field(default_factory=list)  # at most two

    def add(self, frame: int, joints: np.ndarray) -> None:
        """Takes the next frame; runs broken by a missing frame do not count.

        frame: its number in the film, in steps of one.
        joints: (21, 3) m, camera.
        """
        run = [*self.latest, (frame, joints)]
        if [number for number, _ in run] == [frame - 2, frame - 1, frame]:
            run_joints = np.stack([points for _, points in run])[None]
            self.total += float(np.linalg.norm(second_differences(run_joints), axis=-1).mean())
            self.count += 1
        self.latest = run[-2:]

    @property
    def mean(self) -> float | None:
        """mm/frame^2; None where no three frames followed one another."""
        return self.total / self.count if self.count else None


@dataclass
class _Hand:
    """One hand of one film on its way."""

    predictor: FilmPredictor
    refined: Motion = field(default_factory=Motion)
    raw: Motion = field(default_factory=Motion)
    times: list[float] = field(default_factory=list)  # s, of the first and the latest frame
    frames: int = 0


@dataclass(frozen=True)
class Films:
    """How a temporal model sees pictures: as the frames of films.

    fps: frames a second of folders, and of videos whose own rate is wrong; None takes the videos'.
    every: of a video, each `every`-th frame was taken.
    """

    predictor: Predictor
    clip_frames: int
    out: Path
    fps: float | None = None
    every: int = 1
    overwrite: bool = False

    def answers(
        self,
        pictures: Iterable[Picture],
        frames_of: Callable[[Picture], Iterable[Frame]],
        console: Console,
    ) -> Iterator[tuple[Picture, FilmResult]]:
        """Every hand of every frame; at a film's end its motion is written and said.

        pictures: as `zoo.inference.sources.pictures` with films=True gives them.
        frames_of: the hands of a picture, the same ones for all pictures of a film.

        Raises:
            ValueError: when a film has no frame rate, or a motion file may not be replaced.
        """
        for _, film in groupby(pictures, key=lambda picture: picture.film or picture.path):
            hands: list[_Hand] = []
            name = None
            # Pictures wait until their batch is answered, so no more are held than one batch.
            while stretch := list(islice(film, self.predictor.batch_size)):
                name = stretch[0].film
                times = [self._time(picture) for picture in stretch]
                rows = zip(*(frames_of(picture) for picture in stretch), strict=True)
                for number, frames in enumerate(rows):
                    if number == len(hands):
                        hands.append(_Hand(self._new_predictor()))
                    yield from self._answer(hands[number], stretch, frames, times)
            if name is not None:
                self._conclude(name, hands, console)

    def _new_predictor(self) -> FilmPredictor:
        return FilmPredictor(predictor=self.predictor, clip_frames=self.clip_frames)

    def _answer(
        self, hand: _Hand, stretch: list[Picture], frames: tuple[Frame, ...], times: list[float]
    ) -> Iterator[tuple[Picture, FilmResult]]:
        hand.times = [(hand.times or times)[0], times[-1]]
        for picture, result in zip(stretch, hand.predictor(frames, times), strict=True):
            step = (picture.frame_index or 0) // (1 if picture.time is None else self.every)
            hand.refined.add(step, result.refined.joints)
            hand.raw.add(step, result.raw.joints)
            hand.frames += 1
            yield picture, result

    def _time(self, picture: Picture) -> float:
        """Seconds from the film's start."""
        if picture.film is None:
            return 0.0
        if self.fps is not None:
            return picture.frame_index / self.fps
        if picture.time is None:
            raise ValueError(
                f"{picture.path}: {picture.film} does not say how many frames a second it has, and "
                f"a model with a temporal part goes by time; add --fps."
            )
        return picture.time

    def _conclude(self, name: str, hands: list[_Hand], console: Console) -> None:
        for number, hand in enumerate(hands):
            stem = name if len(hands) == 1 else f"{name}_hand{number}"
            path = self.out / f"{stem}_motion.json"
            write_bytes(path, json_bytes(self._motion(stem, hand)), overwrite=self.overwrite)
            console.print(f"{stem}: {_in_words(hand)} -> {path}", highlight=False, soft_wrap=True)

    def _motion(self, name: str, hand: _Hand) -> dict[str, Any]:
        return {
            "schema": 1,
            "software": {"name": "hand-mesh-zoo", "version": software_version()},
            "film": name,
            "frames": hand.frames,
            "clip_frames": self.clip_frames,
            "seconds": round(hand.times[1] - hand.times[0], 6),
            "runs_of_three": hand.refined.count,
            "motion_mm_per_frame2": {
                "refined": _rounded(hand.refined.mean),
                "raw": _rounded(hand.raw.mean),
            },
            "meaning": _MEANING,
        }


def clip_frames_of(config: dict[str, Any]) -> int | None:
    """T of a config with a temporal part, None of one that looks at single frames.

    Raises ValueError where the temporal part is there and T is not.
    """
    if not at(config, "model.temporal"):
        return None
    frames = at(config, "data.clip.frames")
    if not frames:
        raise ValueError(
            "model.temporal looks at clips, but data.clip.frames says nothing of their length; "
            "add --set \"data.clip={'frames': 7}\" with the length it was trained on."
        )
    return int(frames)


def check_fps(fps: float | None, images: Iterable[Path]) -> None:
    """Passes a frame rate that can be meant, or none where no folder of frames needs one.

    Raises ValueError otherwise.
    """
    if fps is not None and not (fps > 0 and math.isfinite(fps)):
        raise ValueError(f"--fps {fps:g}: a frame rate is a number of frames a second above 0.")
    if fps is None and (folder := folder_of_frames(images)):
        raise ValueError(
            f"{folder} holds pictures, which a model with a temporal part takes as the frames of "
            f"one film, and nothing says how fast they follow one another; add --fps, for example "
            f"--fps 30."
        )


def _in_words(hand: _Hand) -> str:
    if hand.refined.mean is None:
        return f"{hand.frames} frames, too few in a row to speak of motion"
    return (
        f"{hand.frames} frames; motion {hand.refined.mean:.2f} mm/frame^2 refined, "
        f"{hand.raw.mean:.2f} raw (mean second difference of wrist-relative joints; without "
        f"labels this is no error)"
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)

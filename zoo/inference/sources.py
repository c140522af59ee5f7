"""Pictures out of whatever a user names: files, folders and videos, one by one."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from zoo.contracts import SkippedSample

PICTURE_ENDINGS = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif"})
VIDEO_ENDINGS = frozenset({".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg"})


class UnreadablePicture(ValueError):
    """A file that should hold a picture or video and does not; the message says why."""


@dataclass(frozen=True)
class Picture:
    """One picture to look at."""

    name: str  # stem for output files, unique within one run
    image: np.ndarray  # (h, w, 3) uint8 RGB, upright
    path: Path
    frame_index: int | None = None  # of a video or a folder that is a film, else None
    time: float | None = None  # s from the start of a video
    film: str | None = None  # the video or folder it is a frame of, unique; None: a picture alone


def read_picture(path: Path | str) -> np.ndarray:
    """The picture in a file, upright as its EXIF tag says.

    returns: (h, w, 3) uint8 RGB.

    Raises:
        UnreadablePicture: when the file is absent, empty, cut short or not a picture.
    """
    path = Path(path)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise UnreadablePicture(f"{path} {what}; a picture file was expected.")
    try:
        with Image.open(path) as picture:
            upright = ImageOps.exif_transpose(picture)
            return np.array(_eight_bit(upright).convert("RGB"))
    except UnidentifiedImageError:
        known = ", ".join(sorted(PICTURE_ENDINGS))
        raise UnreadablePicture(
            f"{path} is not a picture ({path.stat().st_size} bytes that no reader knows); "
            f"known kinds are {known}."
        ) from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UnreadablePicture(
            f"{path} cannot be read as a picture, it is damaged or cut short ({error}); "
            "copy or download it again."
        ) from None


def _eight_bit(picture: Image.Image) -> Image.Image:
    """The same picture with 8 bits a channel, since Pillow clips 16 bits instead of scaling."""
    if picture.mode.startswith(("I;16", "I")):
        return Image.fromarray((np.array(picture).astype(np.uint32) >> 8).astype(np.uint8))
    return picture


def pictures(
    paths: Iterable[Path | str],
    *,
    skipped: list[SkippedSample],
    every: int = 1,
    films: bool = False,
) -> Iterator[Picture]:
    """Every picture in the named files, folders and videos, in order, under unique names.

    What cannot be read is appended to `skipped` with its reason, and the walk goes on.

    paths: picture files, video files, or folders of either (walked in depth, sorted).
    every: of a video, take each `every`-th frame.
    films: a folder's own pictures are the frames of one film, 2 before 10, folder after folder;
        else they are single pictures in order of their paths.

    Raises:
        UnreadablePicture: when a named path does not exist, before any picture is read.
        ValueError: when `every` is below 1.
    """
    if every < 1:
        raise ValueError(f"every is {every}; take each frame with 1, or each n-th with n > 1.")
    paths = [Path(path) for path in paths]
    for path in paths:
        if not path.exists():
            raise UnreadablePicture(f"{path} does not exist; name a picture, video or folder.")
    return _walk(paths, skipped, every, films)


def folder_of_frames(paths: Iterable[Path | str]) -> Path | None:
    """The first folder at or under these paths whose own pictures make a film, if there is one."""
    folders = [Path(path) for path in paths if Path(path).is_dir()]
    return next((film for path, _, film in _files(folders, films=True) if film != path), None)


def _walk(
    paths: list[Path], skipped: list[SkippedSample], every: int, films: bool
) -> Iterator[Picture]:
    taken, taken_by_films = {}, {}
    names: dict[Path | None, str] = {}
    counts: Counter[Path | None] = Counter()
    for path, root, film in _files(paths, films=films):
        found = 0
        if film is not None and film not in names:
            names[film] = _unique(_film_name(film, root), taken_by_films)
        try:
            for picture in _from_file(path, root, every):
                found += 1
                index = picture.frame_index
                if film is not None and index is None:
                    index = counts[film]
                name = _unique(picture.name, taken)
                yield replace(picture, name=name, frame_index=index, film=names.get(film))
        except UnreadablePicture as error:
            reason = str(error) if not found else f"{error} {found} frame(s) before it were used."
            skipped.append(SkippedSample(key=path.name, shard=str(path.parent), reason=reason))
        counts[film] += 1  # a damaged frame leaves a gap: the next one is as late as it was


def _files(paths: list[Path], *, films: bool) -> Iterator[tuple[Path, Path, Path | None]]:
    """Files to open, each with the folder its name is told from, and the film it belongs to."""
    for path in paths:
        if not path.is_dir():
            yield path, path.parent, path if films and _is_video(path) else None
            continue
        known = PICTURE_ENDINGS | VIDEO_ENDINGS
        files = [
            file
            for file in sorted(path.rglob("*"))
            if file.is_file() and file.suffix.lower() in known and not file.name.startswith(".")
        ]
        if not films:
            yield from ((file, path, None) for file in files)
            continue
        film_of = {file: file if _is_video(file) else file.parent for file in files}
        # All of one film before the next, whatever else lies in its folder.
        for file in sorted(files, key=lambda file: (_by_number(film_of[file]), _by_number(file))):
            yield file, path, film_of[file]


def _is_video(path: Path) -> bool:
    return path.suffix.lower() in VIDEO_ENDINGS


def _by_number(path: Path) -> list[list[str | int]]:
    """A key that sorts frame2 before frame10."""
    parts = [re.split(r"(\d+)", part) for part in path.parts]
    return [[int(s) if i % 2 else s for i, s in enumerate(part)] for part in parts]


def _film_name(film: Path, root: Path) -> str:
    inside = film.relative_to(root)
    inside = inside if film.is_dir() else inside.with_suffix("")
    return "_".join(inside.parts) or film.resolve().name


def _from_file(path: Path, root: Path, every: int) -> Iterator[Picture]:
    name = "_".join(path.relative_to(root).with_suffix("").parts)
    if _is_video(path):
        yield from _video_frames(path, name, every)
    else:
        yield Picture(name=name, image=read_picture(path), path=path)


def _unique(wanted: str, taken: dict[str, int]) -> str:
    """A name no earlier one has: a.jpg and a.png become a and a_2."""
    name = wanted
    while name in taken:
        taken[wanted] += 1
        name = f"{wanted}_{taken[wanted]}"
    taken[name] = 1
    return name


def _video_frames(path: Path, name: str, every: int) -> Iterator[Picture]:
    video = cv2.VideoCapture(str(path))
    try:
        if not video.isOpened():
            raise UnreadablePicture(
                f"{path} cannot be opened as a video; convert it to H.264 in an .mp4 file."
            )
        rate = video.get(cv2.CAP_PROP_FPS)
        index = 0
        while video.grab():
            if index % every == 0:
                good, frame = video.retrieve()
                if not good:
                    raise UnreadablePicture(f"{path} is damaged at frame {index}.")
                image = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
                time = index / rate if rate > 0 else None
                yield Picture(f"{name}_{index:06d}", image, path, index, time)
            index += 1
        if index == 0:
            raise UnreadablePicture(f"{path} holds no frame that can be decoded.")
    finally:
        video.release()

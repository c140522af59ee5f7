"""Pictures out of whatever a user names: files, folders and videos, one by one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
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
    frame_index: int | None = None  # of a video, else None
    time: float | None = None  # s from the start of a video


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
) -> Iterator[Picture]:
    """Every picture in the named files, folders and videos, in order, under unique names.

    What cannot be read is appended to `skipped` with its reason, and the walk goes on.

    paths: picture files, video files, or folders of either (walked in depth, sorted).
    every: of a video, take each `every`-th frame.

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
    return _walk(paths, skipped, every)


def _walk(paths: list[Path], skipped: list[SkippedSample], every: int) -> Iterator[Picture]:
    taken: dict[str, int] = {}
    for path, root in _files(paths):
        found = 0
        try:
            for picture in _from_file(path, root, every):
                found += 1
                yield _renamed(picture, taken)
        except UnreadablePicture as error:
            reason = str(error) if not found else f"{error} {found} frame(s) before it were used."
            skipped.append(SkippedSample(key=path.name, shard=str(path.parent), reason=reason))


def _files(paths: list[Path]) -> Iterator[tuple[Path, Path]]:
    """Files to open, each with the folder its name is told from."""
    for path in paths:
        if not path.is_dir():
            yield path, path.parent
            continue
        known = PICTURE_ENDINGS | VIDEO_ENDINGS
        for file in sorted(path.rglob("*")):
            if file.is_file() and file.suffix.lower() in known and not file.name.startswith("."):
                yield file, path


def _from_file(path: Path, root: Path, every: int) -> Iterator[Picture]:
    name = "_".join(path.relative_to(root).with_suffix("").parts)
    if path.suffix.lower() in VIDEO_ENDINGS:
        yield from _video_frames(path, name, every)
    else:
        yield Picture(name=name, image=read_picture(path), path=path)


def _renamed(picture: Picture, taken: dict[str, int]) -> Picture:
    """The picture under a name no earlier one has: a.jpg and a.png become a and a_2."""
    name = picture.name
    while name in taken:
        taken[picture.name] += 1
        name = f"{picture.name}_{taken[picture.name]}"
    taken[name] = 1
    return Picture(name, picture.image, picture.path, picture.frame_index, picture.time)


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

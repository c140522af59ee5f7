"""How many hands a core makes ready a second: the zoo's code and HaMeR's way, in one run.

Run as `python -m benchmarks.data`. HaMeR's way is written anew from a description of it: every
sample alone, a mask warped along as a fourth channel, then float32 planes whose colours are scaled
and normalised on the CPU. The zoo's is its own decoding and warp, brought to the same output.
`reduced` shows what decoding at half or quarter size adds, which `data.train.shrink` asks for.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
import torch

from zoo.geometry.view import move_points, warp_to_crop

CROP = 256  # px
READ = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
MEAN = 255 * np.array([0.485, 0.456, 0.406])
STD = 255 * np.array([0.229, 0.224, 0.225])
HAND_SHARE = 0.4  # of the picture's shorter side, before the crop doubles it
REDUCED = {
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}

Way = Callable[[bytes, np.ndarray, np.ndarray, float, np.ndarray], tuple[np.ndarray, np.ndarray]]


def encoded_picture(size: tuple[int, int], rng: np.random.Generator) -> bytes:
    """A JPEG of a picture (w, h) with detail at every scale, as a photograph has."""
    picture = np.zeros((size[1], size[0], 3), np.float32)
    for cells in (4, 16, 64, 256):
        noise = rng.normal(0, 40, (cells, cells, 3)).astype(np.float32)
        picture += cv2.resize(noise, size, interpolation=cv2.INTER_CUBIC) / np.sqrt(cells / 4)
    picture = (picture + 120).clip(0, 255).astype(np.uint8)
    return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()


def draw(size: tuple[int, int], rng: np.random.Generator) -> tuple[np.ndarray, float, np.ndarray]:
    """Centre (2,) px and side px of a crop, its angle, and the factors (3,) of its colours."""
    center = np.array(size) / 2 + rng.normal(0, 0.03 * min(size), 2)
    side = 2 * HAND_SHARE * min(size) * (1 + 0.3 * rng.normal(0, 0.3))
    colours = 1 + rng.uniform(-0.2, 0.2, 3)
    return np.r_[center, side], float(rng.normal(0, 15)), colours


def crop_from_frame(box: np.ndarray, angle: float) -> np.ndarray:
    """(2, 3): the square of a box (x, y, side) px, turned by `angle` degrees, as the crop."""
    matrix = cv2.getRotationMatrix2D((float(box[0]), float(box[1])), angle, CROP / float(box[2]))
    matrix[:, 2] += CROP / 2 - box[:2]
    return matrix


def hamers_way(
    data: bytes, keypoints: np.ndarray, box: np.ndarray, angle: float, colours: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(3, 256, 256) float32, normalised, and keypoints (21, 2) in crops from the middle."""
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    mask = np.ones(image.shape[:2], np.float32)  # its tars may hold masks; without, ones serve
    masked = np.concatenate([image, (mask[..., None] * 255).astype(np.uint8)], axis=2)
    matrix = crop_from_frame(box, angle)
    patch = cv2.warpAffine(masked, matrix, (CROP, CROP), flags=cv2.INTER_LINEAR)
    planes = np.transpose(patch[:, :, :3], (2, 0, 1)).astype(np.float32)
    _ = patch[:, :, 3].astype(np.float32) / 255.0
    for channel in range(3):
        planes[channel] = np.clip(planes[channel] * colours[channel], 0, 255)
        planes[channel] = (planes[channel] - MEAN[channel]) / STD[channel]
    moved = keypoints.copy()
    for joint in range(len(moved)):  # one point after another, as its loader does
        moved[joint] = matrix @ np.array([*keypoints[joint], 1.0])
    return planes, moved / CROP - 0.5


def decode(data: bytes) -> np.ndarray:
    """(h, w, 3) uint8 RGB, read as `zoo.data.pictures` reads it (rooms above may not import it)."""
    return cv2.imdecode(np.frombuffer(data, np.uint8), READ)


def zoos_way(
    data: bytes, keypoints: np.ndarray, box: np.ndarray, angle: float, colours: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(3, 256, 256) float32, normalised, and keypoints (21, 2) in crops from the middle."""
    image = torch.from_numpy(decode(data)).permute(2, 0, 1)
    homography = torch.eye(3, dtype=torch.float64)[None]
    homography[0, :2] = torch.from_numpy(crop_from_frame(box, angle))
    crop = warp_to_crop([image], homography, (CROP, CROP))
    scale = torch.as_tensor(colours, dtype=torch.float32)[:, None, None]
    mean, std = (torch.tensor(v / 255, dtype=torch.float32)[:, None, None] for v in (MEAN, STD))
    planes = crop[0].mul_(scale).clamp_(0, 1).sub_(mean).div_(std)
    moved = move_points(torch.from_numpy(keypoints)[None], homography)[0]
    return planes.numpy(), moved.numpy() / CROP - 0.5


def reduced(
    data: bytes, keypoints: np.ndarray, box: np.ndarray, angle: float, colours: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(256, 256, 3) uint8 RGB, and keypoints (21, 2) in crops from the middle.

    The picture is decoded at half, quarter or eighth size where the crop stays smaller than that.
    """
    factor = next((f for f in (8, 4, 2) if box[2] / CROP >= f), 1)
    flag = REDUCED.get(factor, cv2.IMREAD_COLOR)
    image = cv2.imdecode(np.frombuffer(data, np.uint8), flag)
    matrix = crop_from_frame(box, angle)
    inner = matrix @ np.array(
        [[factor, 0, (factor - 1) / 2], [0, factor, (factor - 1) / 2], [0, 0, 1]]
    )
    patch = cv2.warpAffine(image, inner, (CROP, CROP), flags=cv2.INTER_LINEAR)
    levels = np.arange(256)[:, None] * colours[::-1]
    table = levels.round().clip(0, 255).astype(np.uint8)[None]
    patch = cv2.cvtColor(cv2.LUT(patch, table), cv2.COLOR_BGR2RGB)
    moved = keypoints @ matrix[:, :2].T + matrix[:, 2]
    return patch, moved / CROP - 0.5


def decode_alone(data: bytes, *_: Any) -> tuple[np.ndarray, np.ndarray]:
    """The picture and nothing more: what a worker does while the device makes the crops."""
    return decode(data), np.zeros((21, 2))


def difference(size: tuple[int, int], rng: np.random.Generator) -> float:
    """Grey levels, the mean difference of both ways' crops of one picture."""
    sample = _sample(size, rng)
    theirs, _ = hamers_way(*sample)
    ours, _ = zoos_way(*sample)
    return float((np.abs(theirs - ours) * STD[:, None, None]).mean())


WAYS: Mapping[str, Way] = {
    "hamer": hamers_way,
    "zoo": zoos_way,
    "reduced": reduced,
    "decode alone": decode_alone,
}


def measure(
    sizes: Sequence[tuple[int, int]], *, hands: int, rounds: int, seed: int = 0
) -> dict[str, Any]:
    """Hands a second of every way by picture size: medians over rounds that take turns."""
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    record: dict[str, Any] = {"crop": CROP, "hands": hands, "rounds": rounds, "sizes": []}
    for size in sizes:
        rng = np.random.default_rng(seed)
        samples = [_sample(size, rng) for _ in range(hands)]
        seconds: dict[str, list[float]] = {name: [] for name in WAYS}
        for _ in range(rounds):
            for name, way in WAYS.items():
                began = time.perf_counter()
                for sample in samples:
                    way(*sample)
                seconds[name].append(time.perf_counter() - began)
        rates = {name: hands / median(times) for name, times in seconds.items()}
        pairs = zip(seconds["hamer"], seconds["zoo"], strict=True)
        record["sizes"].append(
            {
                "width": size[0],
                "height": size[1],
                "hands_per_s": rates,
                "times_as_fast": median(theirs / ours for theirs, ours in pairs),
                "levels_apart": difference(size, np.random.default_rng(seed)),
            }
        )
    return record


def _sample(
    size: tuple[int, int], rng: np.random.Generator
) -> tuple[bytes, np.ndarray, np.ndarray, float, np.ndarray]:
    box, angle, colours = draw(size, rng)
    keypoints = box[:2] + rng.normal(0, box[2] / 8, (21, 2))
    return encoded_picture(size, rng), keypoints, box, angle, colours


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Prints the rates of each way and leaves them where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="+", default=["512x512", "1920x1080"], help="WxH, px")
    parser.add_argument("--hands", type=int, default=64, help="pictures of each size")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    asked = parser.parse_args(arguments)
    sizes = [tuple(int(n) for n in text.split("x")) for text in asked.sizes]
    record = measure(sizes, hands=asked.hands, rounds=asked.rounds)
    for row in record["sizes"]:
        print(f"{row['width']}x{row['height']} to {CROP}x{CROP}, one core")
        for name, rate in row["hands_per_s"].items():
            print(f"  {name:<20}{rate:>8.0f} hands/s")
        print(
            f"  the zoo's way is {row['times_as_fast']:.2f} times as fast as HaMeR's; the crops "
            f"differ by {row['levels_apart']:.2f} grey levels on average"
        )
    if asked.json:
        asked.json.write_text(json.dumps(record, indent=1) + "\n")
    return record


if __name__ == "__main__":
    main()

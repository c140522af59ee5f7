"""Large pictures decoded at half, quarter or eighth size where a crop would throw the rest away."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from zoo.contracts import Frame
from zoo.data.pictures import is_jpeg
from zoo.data.schema import ClipSample, decode_slot

FACTORS = (8, 4, 2)


@dataclass(frozen=True)
class Shrink:
    """Decodes JPEGs as small as the crops of a config allow, and moves camera and labels along.

    A frame is then a picture of its own: image, camera, box and keypoints are in its pixels, with
    the centre of the top-left pixel at (0, 0) as ever, so labels land on the same crop pixels. Its
    crop is smoother than one sampled out of the whole picture, which is a bilinear pick of few of
    its pixels; `frame_from_crop` leads to the small picture. For training, where nobody draws on
    the original.

    crop: longer side of the crops, px. expand: side of a crop in longer sides of the hand box.
    least: the smallest share of that side which jitter leaves.
    """

    crop: int
    expand: float
    least: float = 1.0

    def decode(self, sample: ClipSample, hand: int, frame: int) -> Frame:
        """As `decode_slot`, from as few pixels as do; raises BadSample as that does."""
        factor = self.factor(sample, hand, frame)
        if factor == 1:
            return decode_slot(sample, hand, frame)
        return smaller(decode_slot(sample, hand, frame, reduce=factor), factor)

    def factor(self, sample: ClipSample, hand: int, frame: int) -> int:
        """How many times fewer columns are decoded: 1, 2, 4 or 8, never so many that a crop grows.

        Of a picture with depth, of another format, or of unknown size, 1.
        """
        told = sample.meta["frames"][frame]
        if not all(isinstance(told.get(name), int) for name in ("width", "height")):
            return 1
        if any(sample.depths) or not is_jpeg(sample.pictures[frame]):
            return 1
        shown = self.expand * self.least * _hand_side(sample, hand, frame)
        return next((factor for factor in FACTORS if shown >= factor * self.crop), 1)


def smaller(frame: Frame, factor: int) -> Frame:
    """A frame whose image was decoded so many times smaller, its labels moved to those pixels.

    A pixel of the small picture covers factor x factor of the large one: x' = (x + 0.5) / f - 0.5.
    """
    half = 0.5 / factor - 0.5

    def moved(points: Tensor) -> Tensor:
        return points / factor + half

    label = frame.label
    shift = torch.tensor([[1 / factor, 0, half], [0, 1 / factor, half], [0, 0, 1]])
    known = (label.keypoints_valid > 0)[:, None]
    return dataclasses.replace(
        frame,
        intrinsics=shift @ frame.intrinsics,
        hand_box=moved(frame.hand_box),
        label=dataclasses.replace(
            label, keypoints=torch.where(known, moved(label.keypoints), label.keypoints)
        ),
    )


def _hand_side(sample: ClipSample, hand: int, frame: int) -> float:
    """px, the longer side of the hand box, stored or around the keypoints, whichever is smaller."""
    arrays, at, sides = sample.arrays, (hand, frame), []
    if arrays["has_bbox"][at]:
        box = arrays["bbox_xyxy"][at]
        sides.append((box[2:] - box[:2]).max())
    points = arrays["kp2d"][at][arrays["kp2d_conf"][at] > 0]
    if len(points) > 2:
        sides.append(np.ptp(points, axis=0).max())
    return float(min(sides, default=0.0))

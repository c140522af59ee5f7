"""Pictures whose every pixel says where it is, so that a warp can be read back from its crop."""

from __future__ import annotations

import dataclasses

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.contracts import CropView, Frame, FrameBatch
from zoo.mano.topology import mirror_points, mirror_rotmats

_REACH = 1.5  # hand boxes around the box's centre that the ramp covers
_LEVELS = 255.0


def painted(frame: Frame) -> Frame:
    """The frame with a picture of ramps: red grows with x, green with y, blue is constant.

    The ramps cover the surroundings of the hand box, so that a level stands for few pixels.
    """
    height, width = frame.image.shape[-2:]
    low, high = _span(frame)
    x = torch.arange(width).expand(height, width)
    y = torch.arange(height)[:, None].expand(height, width)
    levels = [
        ((value - low[axis]) / (high[axis] - low[axis]) * _LEVELS).round().clamp(0, 255)
        for axis, value in enumerate((x, y))
    ]
    image = torch.stack((*levels, torch.full_like(levels[0], 200.0))).to(torch.uint8)
    return dataclasses.replace(frame, image=image)


def read_back(view: CropView, points: Tensor, frames: FrameBatch) -> tuple[Tensor, Tensor]:
    """Where in its picture each point of a crop was seen, by the colours found there.

    points: (B, N, 2) px of the crop.
    returns: (B, N, 2) px of the picture; (B, N) bool, whether the ramp could be read there.
    """
    height, width = view.crop_size
    size = points.new_tensor((width - 1, height - 1))
    grid = (2 * points / size - 1)[:, :, None]
    colours = F.grid_sample(view.images.float(), grid, align_corners=True)[..., 0].mT
    spans = [_span(frame) for frame in frames.frames]
    low = torch.stack([span[0] for span in spans])[:, None]
    high = torch.stack([span[1] for span in spans])[:, None]
    found = low + colours[..., :2] * (high - low)
    inside = ((points >= 1) & (points <= size - 1)).all(-1)
    bright = colours[..., 2] * _LEVELS > 190
    readable = ((colours[..., :2] > 0.03) & (colours[..., :2] < 0.97)).all(-1)
    return found, inside & bright & readable


def mirror_image(frame: Frame) -> Frame:
    """The same hand as the other side's: picture, labels and camera in a mirror."""
    width, label = frame.image.shape[-1], frame.label
    keypoints = label.keypoints.clone()
    keypoints[:, 0] = torch.where(
        label.keypoints_valid > 0, width - 1 - keypoints[:, 0], keypoints[:, 0]
    )
    intrinsics, box = frame.intrinsics.clone(), frame.hand_box.clone()
    intrinsics[0, 2] = width - 1 - intrinsics[0, 2]
    box[0], box[2] = width - 1 - frame.hand_box[2], width - 1 - frame.hand_box[0]
    mirrored = dataclasses.replace(
        label,
        keypoints=keypoints,
        joints=mirror_points(label.joints),
        rotmats=mirror_rotmats(label.rotmats),
        vertices=None,
        vertices_valid=None,
    )
    return dataclasses.replace(
        frame,
        image=frame.image.flip(-1),
        intrinsics=intrinsics,
        hand_box=box,
        label=mirrored,
        is_left=not frame.is_left,
    )


def copied(frame: Frame) -> Frame:
    """The same frame in memory of its own."""
    label = frame.label.map(torch.clone)
    return dataclasses.replace(
        frame,
        image=frame.image.clone(),
        intrinsics=frame.intrinsics.clone(),
        hand_box=frame.hand_box.clone(),
        label=label,
    )


def _span(frame: Frame) -> tuple[Tensor, Tensor]:
    """The pixels at which the two ramps begin and end, both (2,)."""
    box = frame.hand_box.float()
    center = (box[:2] + box[2:]) / 2
    reach = _REACH * (box[2:] - box[:2]).amax().clamp(min=8.0)
    return center - reach, center + reach

"""The cube in which depth is told holds the hand, though no label says where the hand is."""

from __future__ import annotations

import torch

from zoo.augment.crop import HandCrop
from zoo.backbones.hand_depth import in_cube
from zoo.data.synthetic.frames import RenderedFrames
from zoo.preprocess import Preprocess

SIDE = 0.28  # m


def test_the_joints_of_rendered_hands_are_in_the_cube():
    frames = RenderedFrames(count=48, image_size=96, depth="sensor")()
    crops = Preprocess(
        crop=HandCrop(size=(96, 96)), view_augmentations={}, pixel_augmentations={}, seed=0
    )
    seen = crops(frames, False)
    view, joints = seen["inputs"], seen["data_samples"].joints
    numbers, known = in_cube(view.depth, view.hand_box, side=SIDE)
    assert known.all()
    read = torch.where((view.depth > 0) & (numbers.abs() < 1), view.depth - numbers * SIDE / 2, 0)
    middle = torch.stack([one[one > 0].median() for one in read])
    apart = joints[..., 2] - middle[:, None]
    assert (apart.abs() < SIDE / 2).float().mean() > 0.95
    assert apart.mean(1).median() > 0, "skin is nearer than bones"

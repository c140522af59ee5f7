"""From pictures of any size to what a network sees and what a loss may compare it with."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.model import BaseDataPreprocessor
from torch import Generator, Tensor

from zoo.contracts import (
    ClipView,
    CropView,
    EncodedBatch,
    Frame,
    FrameBatch,
    HandTarget,
    PixelAugmentation,
    ViewAugmentation,
    ViewChange,
)
from zoo.geometry.camera import assumed_intrinsics
from zoo.geometry.depth import reshaped_depth
from zoo.geometry.labels import apart_after, moved_alone
from zoo.geometry.view import (
    apply,
    compose,
    mirrored,
    move_box,
    move_points,
    pixel_homography,
    unstretched,
    without_stretch,
)

Chosen = TypeVar("Chosen", Tensor, ViewChange)


class Crop(Protocol):
    """Chooses the camera of a crop; `zoo.augment.crop.HandCrop` is one."""

    size: tuple[int, int]  # (H, W) px
    blur: float | None  # in training
    eval_blur: float | None

    def hand_box(self, stored: Tensor, keypoints: Tensor, valid: Tensor) -> Tensor: ...
    def __call__(
        self, intrinsics: Tensor, hand_box: Tensor, rng: Generator | None
    ) -> ViewChange: ...


class Preprocess(BaseDataPreprocessor):
    """mmengine's data preprocessor: everything chosen first, then one warp, colours last.

    Left hands are shown in a mirror, so that every hand is a right hand; that mirror, all changes
    of view and the crop are one homography. A view augmentation may have the attributes
    `in_evaluation` (chosen outside training too), `breaks_mano` (the MANO label is taken away where
    it stretched the hand), `keeps_shape` (the hand goes where the stretch takes its wrist and is
    not stretched itself) and `moves` (see `zoo.geometry.labels`). A picture without a camera (zero
    focal length) gets `zoo.geometry.camera.assumed_intrinsics` and has_intrinsics = 0.

    Each training call has its own random state, a hash of (seed, number of training calls so far,
    rank). The count is the buffer `draws` and so part of a checkpoint: a resumed run goes on with
    the augmentations an uninterrupted one would have seen. All frames of a clip share their
    augmentation, but one with the attribute `each_frame` (noise).

    Args:
        crop: chooses the crop's camera.
        view_augmentations: chosen one after the other, each for the camera the last one left.
        pixel_augmentations: applied to the crops in this order, in training.
        seed: of all augmentation.
    """

    draws: Tensor

    def __init__(
        self,
        *,
        crop: Crop,
        view_augmentations: Mapping[str, ViewAugmentation],
        pixel_augmentations: Mapping[str, PixelAugmentation],
        seed: int,
    ) -> None:
        super().__init__(non_blocking=True)
        if seed < 0:
            raise ValueError(f"preprocess.seed is a whole number from 0 up, not {seed}")
        self.crop, self.seed = crop, seed
        self.view_augmentations = dict(view_augmentations)
        self.pixel_augmentations = dict(pixel_augmentations)
        self.register_buffer("draws", torch.zeros((), dtype=torch.int64))
        self._count: int | None = None  # `draws` on the host: reading it would wait for the GPU

    @torch.no_grad()
    def forward(self, data: FrameBatch | EncodedBatch, training: bool = False) -> dict:
        """`inputs` (CropView, or ClipView of clips) and `data_samples` (HandTarget) of a batch.

        In the crop, keypoints are crop px; joints and orientation are in the camera after all
        changes of view. `frame_from_crop` leads back to the picture as it was stored.
        """
        if isinstance(data, EncodedBatch):
            clips, label = data.clips.to(self.device), data.label.to(self.device)
            return {"inputs": clips, "data_samples": label}
        if not data.frames:
            raise ValueError("preprocessing got a batch without a single hand; leave such out")
        with torch.autocast(self.device.type, enabled=False):
            rng = self._next_generator() if training else None
            films = _films(data.runs) if training and data.runs is not None else None
            inputs, target = self._see(data.frames, rng, films)
            images = inputs.images
            for augmentation in self.pixel_augmentations.values() if training else ():
                images = alike(augmentation, images, rng=rng, films=films)
        view = dataclasses.replace(inputs, images=images)
        if data.rows is None:
            return {"inputs": view, "data_samples": target}
        rows, times = data.rows.to(self.device), data.times.to(self.device)
        last = rows[:, -1]
        clips = ClipView(frames=view, times=times, rows=rows)
        return {"inputs": clips, "data_samples": target.map(lambda label: label[last])}

    def _see(
        self, frames: Sequence[Frame], rng: Generator | None, films: list[Tensor] | None
    ) -> tuple[CropView, HandTarget]:
        """Crops and labels; a generator is given in training alone."""
        target = _stacked_labels(frames, self.device)
        intrinsics, measured = self._cameras(frames)
        target = dataclasses.replace(target, has_intrinsics=target.has_intrinsics * measured)
        is_left = torch.tensor([frame.is_left for frame in frames], device=self.device)
        width = self._floats([frame.image.shape[2] for frame in frames])
        box = self._stacked([frame.hand_box for frame in frames]).nan_to_num(0, 0, 0)

        change = mirrored(intrinsics, width, is_left)
        box = move_box(box, pixel_homography(change, intrinsics))
        change, box, fits, apart = self._augmented_view(change, box, rng, films)
        target = dataclasses.replace(target, has_mano=target.has_mano * fits)
        if rng is not None:
            keypoints = move_points(target.keypoints, pixel_homography(change, intrinsics))
            box = self.crop.hand_box(box, keypoints, target.keypoints_valid)
        to_crop = alike(self.crop, change.intrinsics, box, rng=rng, films=films)
        inputs, target = apply(
            [frame.image for frame in frames],
            target,
            intrinsics=intrinsics,
            hand_box=move_box(box, pixel_homography(to_crop, change.intrinsics)),
            is_left=is_left,
            change=compose(change, to_crop),
            size=self.crop.size,
            blur=self.crop.eval_blur if rng is None else self.crop.blur,
            depths=[frame.depth for frame in frames],
        )
        if rng is not None and self._keeps_shape:
            inputs, target = _unstretched(inputs, target, change.linear)
        return inputs, target if apart is None else moved_alone(target, apart)

    @property
    def _keeps_shape(self) -> bool:
        views = self.view_augmentations.values()
        return any(getattr(augmentation, "keeps_shape", False) for augmentation in views)

    def _augmented_view(
        self, change: ViewChange, box: Tensor, rng: Generator | None, films: list[Tensor] | None
    ) -> tuple[ViewChange, Tensor, Tensor, Tensor | None]:
        """The change with the augmentations after it, the box it leaves, and (B,) MANO fits.

        Last, (B, 3, 3) what moves the labels alone, None where they move with the picture.
        """
        fits, apart = torch.ones_like(box[:, 0]), None
        for augmentation in self.view_augmentations.values():
            if rng is None and not getattr(augmentation, "in_evaluation", False):
                continue
            step = alike(augmentation, change.intrinsics, box, rng=rng, films=films)
            moves = getattr(augmentation, "moves", "all")
            apart = apart_after(step.linear, apart, moves)
            if moves == "labels":
                continue
            box = move_box(box, pixel_homography(step, change.intrinsics))
            change = compose(change, step)
            if getattr(augmentation, "breaks_mano", False):
                fits = fits * _is_rigid(step.linear)
        return change, box, fits, apart

    def _cameras(self, frames: Sequence[Frame]) -> tuple[Tensor, Tensor]:
        """(B, 3, 3) px, assumed where none is stored, and (B,) 1 where one is."""
        stored = self._stacked([frame.intrinsics for frame in frames])
        sizes = self._floats([tuple(frame.image.shape[1:]) for frame in frames])
        focal = stored.diagonal(dim1=-2, dim2=-1)[:, :2]
        measured = (focal > 0).all(-1) & stored.isfinite().all(-1).all(-1)
        cameras = torch.where(measured[:, None, None], stored, assumed_intrinsics(sizes))
        return cameras, measured.float()

    def _next_generator(self) -> Generator:
        """The random state of this training call, always on the CPU."""
        if self._count is None:
            self._count = int(self.draws)
        entropy = (self.seed, self._count, get_rank())
        (state,) = np.random.SeedSequence(entropy).generate_state(1, np.uint64)
        self._count += 1
        self.draws.fill_(self._count)
        return Generator().manual_seed(int(state >> np.uint64(1)))

    def _load_from_state_dict(self, *args: object) -> None:
        super()._load_from_state_dict(*args)
        self._count = None

    def _stacked(self, tensors: Sequence[Tensor]) -> Tensor:
        return torch.stack(list(tensors)).to(self.device, torch.float32, non_blocking=True)

    def _floats(self, numbers: Sequence[float | tuple[float, ...]]) -> Tensor:
        return torch.tensor(numbers, dtype=torch.float32, device=self.device)


def alike(
    choose: Callable[..., Chosen],
    *tensors: Tensor,
    rng: Generator | None,
    films: Sequence[Tensor] | None,
) -> Chosen:
    """What `choose(*tensors, rng)` says, with the same draws for all frames of a film.

    A choice that is not random, or is marked `each_frame` (noise differs from frame to frame in
    any film), is made for all frames at once.

    films: for every place in a run, the rows of the frames that stand there; None: single frames.
    """
    if films is None or rng is None or getattr(choose, "each_frame", False):
        return choose(*tensors, rng)
    state, chosen = rng.get_state(), []
    for rows in films:
        rng.set_state(state)
        chosen.append(choose(*(tensor[rows.to(tensor.device)] for tensor in tensors), rng))
    back = torch.cat(list(films)).argsort()
    if isinstance(chosen[0], Tensor):
        return torch.cat(chosen)[back.to(chosen[0].device)]
    fields = {
        field.name: torch.cat([getattr(part, field.name) for part in chosen])
        for field in dataclasses.fields(chosen[0])
    }
    joined = dataclasses.replace(chosen[0], **fields)
    return joined.map(lambda tensor: tensor[back.to(tensor.device)])


def _films(runs: Tensor) -> list[Tensor]:
    """For every place in a run, the rows of the frames there; runs are equally long in training."""
    lengths = runs.bincount()
    if not (lengths == lengths[0]).all():
        raise ValueError(
            f"runs of {sorted(set(lengths.tolist()))} frames came in one training batch; "
            f"augmentation wants them equally long"
        )
    return list(runs.argsort(stable=True).view(len(lengths), -1).T)


def _stacked_labels(frames: Sequence[Frame], device: torch.device) -> HandTarget:
    """The frames' labels as one, fp32; vertices where every frame has them."""
    labels = [frame.label for frame in frames]
    names = [field.name for field in dataclasses.fields(HandTarget)]
    stacked: dict[str, Tensor | None] = {}
    for name in names:
        values = [getattr(label, name) for label in labels]
        known = all(value is not None for value in values)
        stacked[name] = torch.stack(values).to(device, torch.float32) if known else None
    if stacked["vertices"] is None:
        stacked["vertices_valid"] = None
    elif stacked["vertices_valid"] is None:
        stacked["vertices_valid"] = torch.ones(len(labels), device=device)
    return HandTarget(**stacked)


def _unstretched(
    inputs: CropView, target: HandTarget, linear: Tensor
) -> tuple[CropView, HandTarget]:
    """Labels without the stretch, and depth that agrees with them."""
    moved = unstretched(target, linear)
    if inputs.depth is None:
        return inputs, moved
    wrist, known = target.joints[:, 0], target.joints_valid[:, 0] > 0
    depth = reshaped_depth(inputs.depth, inputs.intrinsics, without_stretch(linear), wrist)
    depth = torch.where(known[:, None, None], depth, inputs.depth)
    return dataclasses.replace(inputs, depth=depth), moved


def _is_rigid(linear: Tensor) -> Tensor:
    """(B,) 1 where the change turns or mirrors a hand without stretching it."""
    identity = torch.eye(3, dtype=linear.dtype, device=linear.device)
    stretch = (linear.mT @ linear - identity).abs().amax((-2, -1))
    return (stretch < 1e-4).to(linear.dtype)

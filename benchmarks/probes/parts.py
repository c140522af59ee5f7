"""Do parts see what they are given: pixels in the right range, places, cameras, estimates?"""

from __future__ import annotations

import dataclasses
import itertools
from typing import ClassVar

import torch
from torch import Tensor, nn

from benchmarks.probe import ProbeResult, Unrunnable
from benchmarks.subject import Subject, last_frames
from zoo.contracts import ClipView, CropView, Finding

PIXEL_STD = (0.1, 6.0)  # of what a backbone's first layer sees; about 1 where well normalised
PIXEL_MEAN = 4.0


class Pixels:
    """What the first layer of the backbone sees of a crop, and of a red one.

    A picture in [0, 1] normalised with constants for [0, 255] is all but constant; colours in BGR
    order meet weights made for RGB (UTNet, R1).
    """

    id: ClassVar[str] = "config.pixels"
    family: ClassVar[str] = "config"
    law: ClassVar[str] = "The first layer sees numbers of order one, and red first."
    see: ClassVar[str] = "docs/probes.md#config-pixels"

    def __call__(self, subject: Subject) -> ProbeResult:
        """Normalisation constants of another range, and swapped colours."""
        backbone = part_of(subject, "backbone")
        view, _ = subject.shown(8, training=False)
        images = last_frames(view).images
        seen = _first_input(backbone, images)
        if seen is None or seen.ndim != 4 or seen.shape[1] != 3:
            raise Unrunnable("the backbone's first layer does not take three colours")
        mean, std = float(seen.mean()), float(seen.std((0, 2, 3)).mean())
        red = _first_input(backbone, _flat(images, 0))
        black = _first_input(backbone, torch.zeros_like(images[:1]))
        change = (red - black).mean((0, 2, 3))
        findings = []
        if not (PIXEL_STD[0] < std < PIXEL_STD[1] and abs(mean) < PIXEL_MEAN):
            findings.append(
                _error(
                    "config.pixels/range",
                    "model.backbone",
                    f"The backbone's first layer sees pixels of mean {mean:.3g} and deviation "
                    f"{std:.3g}; constants for [0, 1] and [0, 255] are mixed up.",
                    mean=mean,
                    std=std,
                )
            )
        if int(change.abs().argmax()) != 0 or change[0] <= 0:
            findings.append(
                _error(
                    "config.pixels/colours",
                    "model.backbone",
                    f"A red picture reaches the first layer as {change.tolist()}: its channels are "
                    "not in the order red, green, blue.",
                    change=change.tolist(),
                )
            )
        return ProbeResult(tuple(findings), {"mean": mean, "std": std, "red": change.tolist()})


class Conditioning:
    """Every part that is told something changes its answer when it is told something else.

    Layers that start at zero are opened first. CS-ViT2's `pie_fusion=cls` did nothing (P-22).
    """

    id: ClassVar[str] = "config.conditioning"
    family: ClassVar[str] = "config"
    law: ClassVar[str] = (
        "The answer depends on the picture; a neck's on the camera, a further step's on the last "
        "one, a temporal part's on earlier frames."
    )
    see: ClassVar[str] = "docs/probes.md#config-conditioning"

    @torch.no_grad()
    def __call__(self, subject: Subject) -> ProbeResult:
        """Parts that answer the same whatever they are told."""
        model = opened(subject.fresh_model())
        view, _ = subject.shown(4, training=False)
        seen, evidence = last_frames(view), {}
        answers = model.predict_hand(view)
        mixed = model.predict_hand(_with_pictures(view, seen.images.flip(0)))
        same = model.predict_hand(_with_pictures(view, seen.images))
        evidence["picture"] = _change(answers.rotmats, mixed.rotmats) + _change(
            answers.camera.position, mixed.camera.position
        )
        noise = _change(answers.rotmats, same.rotmats)
        told = [("picture", "model.backbone", "the picture")]
        if getattr(model, "neck", None) is not None:
            tokens = model.backbone(seen.images).float()
            evidence["neck"] = _change(
                model.neck(tokens, seen), model.neck(tokens, _other_camera(seen))
            )
            told.append(("neck", "model.neck", "the camera of the crop"))
        if len(answers.earlier) > 1:
            evidence["steps"] = _uneven([step.betas for step in (*answers.earlier, answers)])
            told.append(("steps", "model.head.steps", "the estimate of the step before"))
        if getattr(model, "temporal", None) is not None and isinstance(view, ClipView):
            evidence["frames"] = _temporal_change(model, view)
            told.append(("frames", "model.temporal", "the frames before the last"))
        findings = tuple(
            _error(
                f"{self.id}/{name}",
                path,
                f"{path} answers the same whatever {what} is: it changes by {evidence[name]:.1g}.",
                change=evidence[name],
                noise=noise,
            )
            for name, path, what in told
            if evidence[name] <= max(1e-6, 10 * noise)
        )
        return ProbeResult(findings, evidence)


def opened(model: nn.Module) -> nn.Module:
    """The model in evaluation mode, with a little noise on every weight, so that zeros open."""
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=rng))
    return model.eval()


def part_of(subject: Subject, name: str) -> nn.Module:
    """A part of the model by name; Unrunnable where it is not of the zoo's kind."""
    part = getattr(subject.model, name, None)
    if part is None or not hasattr(part, "token_grid"):
        raise Unrunnable(f"the model has no {name} of the zoo's kind")
    return part


def _first_input(backbone: nn.Module, images: Tensor) -> Tensor | None:
    """What the first layer with weights is given."""
    caught: list[Tensor] = []
    layers = [m for m in backbone.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    hooks = [
        layer.register_forward_pre_hook(lambda _, given: caught.append(given[0].detach()))
        for layer in layers
    ]
    try:
        with torch.no_grad():
            backbone(images)
    finally:
        for hook in hooks:
            hook.remove()
    return caught[0].float() if caught else None


def _flat(images: Tensor, channel: int) -> Tensor:
    flat = torch.zeros_like(images[:1])
    flat[:, channel] = 1.0
    return flat


def _with_pictures(view: CropView | ClipView, images: Tensor) -> CropView | ClipView:
    """The view with other pictures, the same throughout a clip."""
    if isinstance(view, CropView):
        return dataclasses.replace(view, images=images)
    repeated = images.repeat_interleave(view.times.shape[1], 0)
    return dataclasses.replace(view, frames=dataclasses.replace(view.frames, images=repeated))


def _other_camera(view: CropView) -> CropView:
    change = torch.tensor([[1.5, 1.0, 1.3], [1.0, 1.5, 0.7], [1.0, 1.0, 1.0]])
    return dataclasses.replace(view, intrinsics=view.intrinsics * change)


def _temporal_change(model: nn.Module, clip: ClipView) -> float:
    batch, frames = clip.times.shape
    images = clip.frames.images.unflatten(0, (batch, frames)).clone()
    images[:, 0] = images[:, 0].flip(0).flip(-1)
    other = dataclasses.replace(clip.frames, images=images.flatten(0, 1))
    once = model.predict_hand(clip)
    twice = model.predict_hand(dataclasses.replace(clip, frames=other))
    return _change(once.rotmats, twice.rotmats)


def _uneven(steps: list[Tensor]) -> float:
    """How much successive corrections differ; 0 where one correction is only repeated."""
    moves = [b - a for a, b in itertools.pairwise(steps)]
    if len(moves) == 1:
        return float(moves[0].abs().max())
    return max(float((b - a).abs().max()) for a, b in itertools.pairwise(moves))


def _change(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs().max())


def _error(name: str, path: str, message: str, **evidence: float | str | list) -> Finding:
    return Finding(name, "error", path, message, evidence)

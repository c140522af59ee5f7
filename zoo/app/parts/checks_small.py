"""Contract checks of parts that stand alone: augmentations, metrics and probes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor

from benchmarks.probe import ProbeResult, Unrunnable
from benchmarks.subject import Subject
from registry.build import build_part
from registry.catalog import SLOTS
from registry.whole import build_model
from zoo.app.combinations import cells
from zoo.app.combinations.trial import hands_for
from zoo.app.parts.checks import Broken, Rules
from zoo.app.parts.example_hands import a_hand_and_its_label
from zoo.contracts import HandMesh

_HANDS = 4


def rules(slot: str, kind: type, arguments: dict[str, Any]) -> Rules:
    """The rules of a part that needs no model around it; raises where it cannot be built."""
    spec = {**cells.small(slot, {"type": kind}), **arguments, "type": kind}
    part = build_part(SLOTS[slot], spec, path=slot, crop_size=(cells.CROP,) * 2)
    make: Callable[[Any], Rules] = {
        "view_augmentation": _view_rules,
        "pixel_augmentation": _pixel_rules,
        "metric": _metric_rules,
        "probe": _probe_rules,
    }[slot]
    return make(part)


def _view_rules(part: Any) -> Rules:
    frames = hands_for("clayhand", None, _HANDS).frames
    intrinsics = torch.stack([frame.intrinsics for frame in frames])
    boxes = torch.stack([frame.hand_box for frame in frames])

    def change(seed: int) -> tuple[Tensor, Tensor]:
        found = part(intrinsics.clone(), boxes.clone(), Generator().manual_seed(seed))
        return found.linear, found.intrinsics

    def shapes() -> str:
        for name, tensor in zip(("linear", "intrinsics"), change(0), strict=True):
            if tuple(tensor.shape) != (_HANDS, 3, 3) or tensor.dtype != torch.float32:
                raise Broken(f"{name} is {tuple(tensor.shape)} {tensor.dtype}, not (B, 3, 3) fp32")
        return "linear and intrinsics (B, 3, 3) fp32"

    def a_view() -> str:
        linear, camera = change(0)
        if not (linear.isfinite().all() and (linear.det().abs() > 1e-3).all()):
            raise Broken("linear cannot be undone, so points would be lost")
        last = torch.tensor([0.0, 0.0, 1.0]).expand(_HANDS, 3)
        if not torch.equal(camera[:, 2], last) or (camera[:, (0, 1), (0, 1)] <= 0).any():
            raise Broken("intrinsics is no camera: focal lengths above 0, last row (0, 0, 1)")
        return "can be undone, and is seen by a camera"

    return {
        "shapes": shapes,
        "a change of view": a_view,
        "leaves its input": lambda: _untouched(part, intrinsics, boxes),
        **_random_rules(lambda seed: torch.cat(change(seed))),
    }


def _pixel_rules(part: Any) -> Rules:
    size = (_HANDS, 3, cells.CROP, cells.CROP)
    images = torch.rand(size, generator=Generator().manual_seed(0))

    def change(seed: int) -> Tensor:
        return part(images.clone(), Generator().manual_seed(seed))

    def shapes() -> str:
        found = change(0)
        if found.shape != images.shape or found.dtype != torch.float32:
            raise Broken(f"it returns {tuple(found.shape)} {found.dtype}, not {size} fp32")
        return "(B, 3, H, W) fp32"

    def in_range() -> str:
        for seed in range(5):
            found = change(seed)
            if not found.isfinite().all() or found.min() < 0 or found.max() > 1:
                raise Broken(f"values reach from {found.min():.3g} to {found.max():.3g}")
        return "values in [0, 1]"

    return {
        "shapes": shapes,
        "range": in_range,
        "leaves its input": lambda: _untouched(part, images),
        **_random_rules(change),
    }


def _untouched(part: Any, *given: Tensor) -> str:
    before = [tensor.clone() for tensor in given]
    part(*given, Generator().manual_seed(0))
    if not all(map(torch.equal, before, given)):
        raise Broken("it edits what it is given")
    return "input left as it was"


def _random_rules(change: Callable[[int], Tensor]) -> Rules:
    def determinism() -> str:
        if not torch.equal(change(1), change(1)):
            raise Broken("the same random state gives two answers")
        return "the same random state gives the same"

    def own_state() -> str:
        before = torch.get_rng_state()
        change(1)
        if not torch.equal(before, torch.get_rng_state()):
            raise Broken(
                "it draws from PyTorch's global generator; draw from the `rng` it is given"
            )
        return "draws from its own random state"

    return {"determinism": determinism, "random state": own_state}


def _metric_rules(part: Any) -> Rules:
    exact, target = a_hand_and_its_label(_HANDS)
    rng = Generator().manual_seed(0)
    noise = (0.01 * torch.randn(points.shape, generator=rng) for points in vars(exact).values())
    mesh = HandMesh(*map(torch.add, vars(exact).values(), noise))

    def shapes() -> str:
        values, counts = part(mesh, target)
        for name, tensor in (("values", values), ("counts", counts)):
            if tuple(tensor.shape) != (_HANDS,):
                raise Broken(f"{name} is {tuple(tensor.shape)}, not one number a hand")
        if not values[counts > 0].isfinite().all():
            raise Broken("a hand with labels has a value that is not finite")
        return "one value and one count a hand"

    def alone() -> str:
        values = part(mesh, target)[0]
        for i in range(_HANDS):
            only = slice(i, i + 1)
            one = part(*(said.map(lambda t, o=only: t[o]) for said in (mesh, target)))[0]
            if not torch.allclose(one, values[only], equal_nan=True):
                raise Broken(f"hand {i} has another value alone than in company")
        return "a hand's value is its own"

    def named() -> str:
        if not isinstance(part.name, str) or not part.name:
            raise Broken("it has no name; a name says the unit: 'mpjpe_mm'")
        return part.name

    return {"shapes": shapes, "batch invariance": alone, "named": named}


def _healthy_subject() -> Subject:
    """A small model nothing is known against, on hands whose labels are exact."""
    offered = cells.factors()
    row = {name: next(iter(values)) for name, values in offered.items()} | {"camera": "metric"}
    config = cells.cell_config(offered, row)
    config["model"]["losses"] = dict(cells.GROUND)
    return Subject(
        name="healthy",
        config=config,
        model=build_model(config),
        frames=hands_for("clayhand", None, _HANDS),
        synthetic=True,
    )


def _probe_rules(part: Any) -> Rules:
    subject = _healthy_subject()

    def runs() -> str:
        try:
            result = part(subject)
        except Unrunnable as why:
            return f"skips a healthy model: {why}"
        if not isinstance(result, ProbeResult):
            raise Broken(f"it returns {type(result).__name__}, not a ProbeResult")
        strange = [f.id for f in result.findings if not f.id.startswith(f"{part.id}/")]
        if strange:
            raise Broken(f"finding {strange[0]!r} does not begin with the probe's id, {part.id}/")
        return f"{len(result.findings)} findings on a healthy model"

    def no_trace() -> str:
        before = {name: value.clone() for name, value in subject.model.state_dict().items()}
        training = subject.model.training
        runs()
        after = subject.model.state_dict()
        moved = [name for name, value in before.items() if not torch.equal(value, after[name])]
        if moved or subject.model.training != training:
            raise Broken(f"it leaves a trace in the model: {', '.join(moved[:3]) or 'its mode'}")
        return "the model is as it was"

    return {"runs": runs, "leaves no trace": no_trace}

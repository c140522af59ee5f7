"""Does every switch of the recipe change something?"""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from benchmarks.answers import leaves, partly_labelled
from benchmarks.probe import ProbeResult, Unrunnable
from benchmarks.probes.parts import opened
from benchmarks.subject import Subject, last_frames
from registry.build import build_part
from registry.catalog import SLOTS
from registry.layout import Place, at, parts
from registry.signature import Argument, constructor
from registry.slot import UnknownComponent
from zoo.contracts import CropView, Finding, HandTarget, Prediction

SILENT = ("gradient_checkpointing", "attention", "pretrained")  # change memory, speed or a file
_FLAGS = ("in_evaluation", "breaks_mano", "moves", "token_grid")  # what neighbours are told
DRAWS = 6  # of an augmentation that acts with a probability


@dataclasses.dataclass(frozen=True)
class Scene:
    """What parts are shown: one batch, and what a model says and labels say of it."""

    view: CropView
    tokens: Tensor
    said: Prediction
    labels: tuple[HandTarget, ...]
    facts: Mapping[str, Any]
    model: nn.Module


class Switches:
    """Every boolean and every choice that the recipe writes out, turned over, one at a time.

    The part is built again with the other value and shown the same batch, labelled in every way a
    mix of data sets may label it. A switch that changes neither parameters nor answers nor
    gradients is one its author only believes in (P-22, P-29; six dead keys in UTNet, R9).
    """

    id: ClassVar[str] = "config.switches"
    family: ClassVar[str] = "config"
    law: ClassVar[str] = "Every switch changes parameters, answers or gradients of its part."
    see: ClassVar[str] = "docs/probes.md#config-switches"

    def __call__(self, subject: Subject) -> ProbeResult:
        """Switches that change nothing."""
        if subject.config is None:
            raise Unrunnable("a model of your own has no recipe to read")
        scene = _scene(subject)
        findings, tried = [], {}
        for place in parts(subject.config):
            if place.slot.name not in _SHOW or not isinstance(place.spec, Mapping):
                continue
            for name, values in _switches(place):
                changed = _acts(place, name, values, scene)
                tried[f"{place.path}.{name}"] = "acts" if changed else "changes nothing"
                if not changed:
                    findings.append(self._finding(place, name, values))
        if not tried:
            raise Unrunnable("the recipe writes out no switch")
        return ProbeResult(tuple(findings), {"switches": tried})

    def _finding(self, place: Place, name: str, values: tuple[Any, ...]) -> Finding:
        return Finding(
            id=f"{self.id}/inert",
            severity="warning",
            path=f"{place.path}.{name}",
            message=f"{place.path}.{name} is {place.spec[name]!r}, but {values[0]!r} gives the "
            "same parameters, answers and gradients: the switch does nothing.",
            evidence={"value": str(place.spec[name]), "other": str(values[0])},
        )


def _switches(place: Place) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """The written-out booleans and choices of a part, each with its other values."""
    try:
        built = constructor(place.slot, place.spec["type"])
    except (KeyError, UnknownComponent):
        return
    for name, value in place.spec.items():
        argument = built.arguments.get(name) if built else None
        if argument is None or name in SILENT:
            continue
        others = tuple(o for o in _options(argument) if o != value)
        if others:
            yield name, others


def _options(argument: Argument) -> tuple[Any, ...]:
    if argument.annotation == "bool":
        return (True, False)
    try:
        node = ast.parse(argument.annotation, mode="eval").body
    except SyntaxError:
        return ()
    if isinstance(node, ast.Subscript) and ast.unparse(node.value).endswith("Literal"):
        items = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        return tuple(item.value for item in items if isinstance(item, ast.Constant))
    return ()


def _acts(place: Place, name: str, values: tuple[Any, ...], scene: Scene) -> bool:
    """Whether some other value changes what the part is or says; one it refuses counts, too."""
    try:
        now = _fingerprint(place, place.spec, scene)
    except (ValueError, KeyError, RuntimeError):
        return True  # it needs more than this scene shows; nothing can be said against it
    for value in values:
        try:
            other = _fingerprint(place, {**place.spec, name: value}, scene)
        except (ValueError, KeyError, RuntimeError):
            return True  # refused, or no longer fitting its neighbours
        if not _same(now, other):
            return True
    return False


def _fingerprint(place: Place, spec: Mapping[str, Any], scene: Scene) -> list[Any]:
    facts = {**scene.facts, "dim": scene.facts["query_dim"]}
    if place.slot.name == "head" and isinstance(spec.get("camera"), Mapping):
        camera = Place(f"{place.path}.camera", SLOTS["camera"], spec["camera"])
        spec = {**spec, "camera": _built(camera, spec["camera"], facts)}
    facts = dict(scene.facts)
    part = _built(place, spec, facts)
    known: list[Any] = []
    if isinstance(part, nn.Module):
        known = [(n, tuple(p.shape), p.requires_grad) for n, p in part.named_parameters()]
        part = opened(part)
    known += [getattr(part, flag, None) for flag in _FLAGS]
    return [*known, *_SHOW[place.slot.name](part, scene)]


def _built(place: Place, spec: Mapping[str, Any], facts: Mapping[str, Any]) -> Any:
    torch.manual_seed(0)  # layers draw their first weights from the global generator
    return build_part(place.slot, spec, path=place.path, **facts)


def _show_backbone(part: nn.Module, scene: Scene) -> list[Any]:
    with torch.no_grad():
        return [part(scene.view.images)]


def _show_neck(part: nn.Module, scene: Scene) -> list[Any]:
    with torch.no_grad():
        return [part(scene.tokens, scene.view)]


def _show_head(part: Any, scene: Scene) -> list[Any]:
    with torch.no_grad():
        said = part.read(part.query(scene.tokens, scene.view), scene.view)
    return [said.rotmats, said.betas, said.camera.position, *said.aux.values(), len(said.earlier)]


def _show_loss(part: Any, scene: Scene) -> list[Any]:
    shown: list[Any] = []
    for label in scene.labels:
        leaf = leaves(scene.said)
        prediction = leaf.prediction()
        value = part(prediction, scene.model.hand.place(prediction), label)
        shown.append(value.detach())
        free = [t for t in leaf.tensors.values() if t.requires_grad]
        if value.requires_grad:
            shown += torch.autograd.grad(value, free, allow_unused=True)
    return shown


def _show_view(part: Any, scene: Scene) -> list[Any]:
    view, shown = scene.view, []
    for seed in range(DRAWS):
        rng = torch.Generator().manual_seed(seed)
        change = part(view.intrinsics, view.hand_box, rng)
        shown += [change.linear, change.intrinsics]
    return shown


def _show_pixels(part: Any, scene: Scene) -> list[Any]:
    images = scene.view.images
    return [part(images.clone(), torch.Generator().manual_seed(seed)) for seed in range(DRAWS)]


def _show_crop(part: Any, scene: Scene) -> list[Any]:
    view, label = scene.view, scene.labels[0]
    stored = view.hand_box + torch.tensor([-3.0, 2.0, 5.0, 1.0])
    box = part.hand_box(stored, label.keypoints, label.keypoints_valid)
    shown = [box]
    for rng in (None, torch.Generator().manual_seed(0)):
        change = part(view.intrinsics, box, rng)
        shown += [change.linear, change.intrinsics]
    return shown


_SHOW = {
    "backbone": _show_backbone,
    "neck": _show_neck,
    "head": _show_head,
    "loss": _show_loss,
    "view_augmentation": _show_view,
    "pixel_augmentation": _show_pixels,
    "crop": _show_crop,
}


def _scene(subject: Subject) -> Scene:
    model = opened(subject.fresh_model())
    clips, target = subject.shown(8, training=False)
    view = last_frames(clips)
    with torch.no_grad():
        tokens = model.backbone(view.images).float()
        said = model.predict_hand(clips)
    placed = model.hand.place_target(target)
    far = placed.joints + torch.tensor([0.0, 0.0, 5.0])
    labels = (placed, partly_labelled(placed), dataclasses.replace(placed, joints=far))
    return Scene(view, tokens, said, labels, _facts(subject, model), model)


def _facts(subject: Subject, model: nn.Module) -> dict[str, Any]:
    """What neighbours tell a part when the whole is built (see registry.build)."""
    backbone, size = model.backbone, at(subject.config, "augmentation.crop.size")
    rows, columns = backbone.token_grid
    size = tuple(size or backbone.image_size)
    return {
        "hand": model.hand,
        "crop_size": size,
        "crop_width": size[1],
        "size": size,
        "image_size": tuple(backbone.image_size),
        "token_dim": backbone.token_dim,
        "token_grid": (rows, columns),
        "num_prefix_tokens": backbone.num_prefix_tokens,
        "num_levels": getattr(backbone, "num_levels", 1),
        "num_tokens": rows * columns + backbone.num_prefix_tokens,
        "query_dim": model.head.query_dim,
    }


def _same(a: list[Any], b: list[Any]) -> bool:
    if len(a) != len(b):
        return False
    for x, y in zip(a, b, strict=True):
        if isinstance(x, Tensor) and isinstance(y, Tensor):
            if x.shape != y.shape or not torch.equal(x, y):
                return False
        elif isinstance(x, Tensor) or isinstance(y, Tensor) or x != y:
            return False
    return True

"""What a diagnosis looks at: a built model, its recipe, and labelled hands whose truth is known."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from registry.catalog import SLOTS
from registry.layout import at
from registry.whole import build_model, load
from zoo.contracts import ClipView, CropView, Frame, FrameBatch, HandTarget

T = TypeVar("T")
FRAME_RATE = 30.0  # per second, of the still clips a recipe of clips is shown
FRAMES = 24  # rendered hands a subject is judged on where no data is given
DEPTH = "data.synthetic.depth"  # whether those have depth too


@dataclass
class Subject:
    """One model under diagnosis, with everything a probe may touch.

    Probes may read the model and run it, never change its weights: take `fresh_model()` for that.
    A model of the zoo is made from `config`; a user's own module comes with `make_model` and
    `make_optimizer` instead.
    """

    name: str  # "csvit2_ief3"
    config: Mapping[str, Any] | None  # resolved, sized; None for a user's own module
    model: nn.Module  # has HandMeshModel's predict_hand, loss_terms, hand and data_preprocessor
    frames: FrameBatch  # labelled hands: rendered, or the user's
    synthetic: bool  # whether the frames are rendered, so that their labels are exact
    checkpoint: Path | None = None
    seed: int = 0
    make_model: Callable[[], nn.Module] | None = None  # a newly initialised model; None: the config
    make_optimizer: Callable[[nn.Module], torch.optim.Optimizer] | None = None
    _memory: dict[Hashable, Any] = field(default_factory=dict, repr=False)

    def fresh_model(self) -> nn.Module:
        """The same model newly initialised from the same seed; the caller may do with it at will.

        Raises ValueError for a user's own module that did not say how it is made.
        """
        return copy.deepcopy(self.remember("fresh model", self._make))

    def batch(
        self, count: int, *, training: bool, seed: int = 0, start: int = 0
    ) -> tuple[CropView, HandTarget]:
        """`shown`, without the frames before the last where the recipe wants clips."""
        view, target = self.shown(count, training=training, seed=seed, start=start)
        return last_frames(view), target

    def shown(
        self, count: int, *, training: bool, seed: int = 0, start: int = 0
    ) -> tuple[CropView | ClipView, HandTarget]:
        """`count` hands as the model's preprocessing shows them; the caller owns the tensors.

        training: with augmentation, drawn from `seed`. start: the first hand; the frames repeat.
        returns: what the network sees (for a recipe of clips, each hand held still for a clip),
            and the labels without surface.
        """

        def make() -> tuple[CropView, HandTarget]:
            chosen = [self.frames.frames[(start + i) % len(self.frames)] for i in range(count)]
            return self.preprocess(self._still_clips(chosen), training, seed)

        view, target = self.remember(("batch", count, training, seed, start), make)
        return view.map(torch.clone), target.map(torch.clone)

    def remember(self, key: Hashable, make: Callable[[], T]) -> T:
        """What `make` returned when this was first asked for; probes share what is dear to make."""
        if key not in self._memory:
            self._memory[key] = make()
        return self._memory[key]

    def preprocess(
        self, frames: FrameBatch, training: bool, seed: int = 0
    ) -> tuple[CropView | ClipView, HandTarget]:
        """Any frames as the model's preprocessing shows them; nothing is remembered."""
        preprocess = self.model.data_preprocessor
        if "draws" in dict(preprocess.named_buffers()):
            preprocess.load_state_dict({"draws": torch.tensor(seed)}, strict=False)
        data = preprocess(frames, training)
        return data["inputs"], data["data_samples"]

    def optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        """The recipe's optimiser over a model's parameters, one group a component and rate.

        Every group has a `name`: the config path of its component, "model.head.camera".
        """
        if self.make_optimizer is not None:
            return self.make_optimizer(model)
        recipe = (at(self.config, "optim_wrapper") or {}) if self.config else {}
        settings = dict(recipe.get("optimizer", {"type": "AdamW", "lr": 1e-4}))
        kind = getattr(torch.optim, settings.pop("type"))
        rules = at(recipe, "paramwise_cfg.custom_keys") or {}
        groups: dict[tuple, dict[str, Any]] = {}
        for name, parameter in model.named_parameters():
            if not parameter.requires_grad:
                continue
            rule = _rule(name, rules)
            key = (component(name), *sorted(rule.items()))
            group = groups.setdefault(key, _group(key[0], rule, settings))
            group["params"].append(parameter)
        return kind(list(groups.values()), **settings)

    def with_frames(self, frames: FrameBatch, *, synthetic: bool | None = None) -> Subject:
        """The same model looking at other hands."""
        known = self.synthetic if synthetic is None else synthetic
        return dataclasses.replace(self, frames=frames, synthetic=known, _memory={})

    def _still_clips(self, frames: list[Frame]) -> FrameBatch:
        """The frames as they are, or each repeated to the clip the recipe wants."""
        length = at(self.config or {}, "data.clip.frames") or 1
        if length == 1:
            return FrameBatch(tuple(frames))
        rows = torch.arange(len(frames) * length).view(len(frames), length)
        times = torch.arange(1 - length, 1, dtype=torch.float64).expand(len(frames), -1)
        runs = torch.arange(len(frames)).repeat_interleave(length)
        repeated = tuple(frame for frame in frames for _ in range(length))
        return FrameBatch(repeated, times=times / FRAME_RATE, rows=rows, runs=runs)

    def _make(self) -> nn.Module:
        if self.make_model is not None:
            return self.make_model()
        if self.config is None:
            raise ValueError(
                f"{self.name}: a model of your own is built anew for this; pass `make_model`, a "
                "function that returns it newly initialised."
            )
        return build_model(self.config)


def load_subject(
    name_or_path: str | Path,
    *,
    size: str = "tiny",
    changes: Sequence[str] = (),
    plugins: Sequence[str | Path] = (),
    frames: FrameBatch | None = None,
    checkpoint: str | Path | None = None,
    seed: int = 0,
) -> Subject:
    """A config as a subject, built, with its weights where a checkpoint is given.

    frames: hands to look at; rendered ones with exact labels where there are none.
    """
    config = load(name_or_path, size=size, changes=changes, plugins=plugins)
    return subject_of(
        Path(name_or_path).stem, config, frames=frames, checkpoint=checkpoint, seed=seed
    )


def subject_of(
    name: str,
    config: Mapping[str, Any],
    *,
    frames: FrameBatch | None = None,
    checkpoint: str | Path | None = None,
    seed: int = 0,
) -> Subject:
    """The subject of a resolved config."""
    config = {**config, "randomness": {**config.get("randomness", {}), "seed": seed}}
    model = build_model(config)
    file = None
    if checkpoint is not None:
        file = Path(checkpoint)
        state = torch.load(file, map_location="cpu", weights_only=True)
        model.load_state_dict(state.get("state_dict", state), strict=False)
    return Subject(
        name=name,
        config=config,
        model=model.eval(),
        frames=frames or rendered_frames(FRAMES, seed=seed, depth=at(config, DEPTH)),
        synthetic=frames is None,
        checkpoint=file,
        seed=seed,
    )


@lru_cache(maxsize=4)
def rendered_frames(
    count: int, *, seed: int, image_size: int = 128, depth: str | None = None
) -> FrameBatch:
    """Rendered hands with exact labels, remembered within the process."""
    rendered = SLOTS["dataset"].get("rendered")
    return rendered(count=count, seed=seed, image_size=image_size, depth=depth)()


def last_frames(view: CropView | ClipView) -> CropView:
    """The crops that are answered: all of them, or the last one of every clip."""
    if isinstance(view, CropView):
        return view
    rows = view.rows
    if rows is None:
        rows = torch.arange(view.times.numel()).view(view.times.shape)
    return view.frames.map(lambda tensor: tensor[rows[:, -1]])


def component(parameter: str) -> str:
    """The config path of the component that owns a parameter of the model.

    "head.camera.decx.weight" belongs to "model.head.camera", "losses.prior.x" to
    "model.losses.prior".
    """
    keys = parameter.split(".")
    deeper = keys[0] == "losses" or keys[:2] == ["head", "camera"]
    return ".".join(["model", *keys[: 2 if deeper else 1]])


def _rule(name: str, rules: Mapping[str, Mapping[str, float]]) -> Mapping[str, float]:
    """The custom rule of a parameter as mmengine picks it: the longest key, then the first."""
    for key in sorted(sorted(rules), key=len, reverse=True):
        if key in name:
            return rules[key]
    return {}


def _group(name: str, rule: Mapping[str, float], settings: Mapping[str, Any]) -> dict[str, Any]:
    group: dict[str, Any] = {"params": [], "name": name}
    group["lr"] = settings["lr"] * rule.get("lr_mult", 1.0)
    if "weight_decay" in settings:
        group["weight_decay"] = settings["weight_decay"] * rule.get("decay_mult", 1.0)
    return group

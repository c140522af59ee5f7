"""A subject taken apart into the pieces of work that are timed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.bench.cost import without_weights
from benchmarks.subject import subject_of
from zoo.contracts import CropView, FrameBatch, HandTarget

Work = Callable[..., object]


@dataclass
class Bench:
    """A model on its device with the hands it is timed on; nothing is measured here."""

    name: str
    config: Mapping[str, Any]
    model: nn.Module
    optimizer: torch.optim.Optimizer
    device: str
    batch: int
    view: CropView = field(repr=False)
    target: HandTarget = field(repr=False)
    frames: FrameBatch = field(repr=False)

    def forward(self, batch: int, precision: str) -> Work:
        """Picture to mesh, without gradients; batch: hands at once."""
        view = self.view.map(lambda tensor: tensor[:batch])

        @torch.no_grad()
        def run() -> object:
            self._as(precision, training=False)
            return self.model.hand.place(self.model.predict_hand(view))

        return run

    def train_step(self, precision: str) -> Work:
        """What the device does a step: augmentation, forward, losses, backward, update."""
        clip = (self.config.get("optim_wrapper") or {}).get("clip_grad") or {}
        learners = [term for term in self.model.losses.values() if hasattr(term, "learn")]
        optimizers = [term.optimizer() for term in learners]

        def run() -> None:
            self._as(precision, training=True)
            data = self.model.data_preprocessor(self.frames, True)
            terms = self.model(**data, mode="loss")
            sum(terms.values()).backward()
            if clip:
                parameters = (p for group in self.optimizer.param_groups for p in group["params"])
                torch.nn.utils.clip_grad_norm_(parameters, **clip)
            self.optimizer.step()
            self.optimizer.zero_grad()
            for term, optimizer in zip(learners, optimizers, strict=True):
                term.learn(optimizer)

        return run

    def stages(self, precision: str) -> dict[str, Work]:
        """Each stage alone on the whole batch, forward only, fed with what the one before gave."""
        model, view = self.model, self.view
        self._as(precision, training=False)
        with torch.no_grad(), model.autocast(view.images.device):
            tokens = model.backbone(view.images)
        with torch.no_grad():
            seen = tokens if model.neck is None else _run(model, model.neck, tokens, view)
            prediction = model.predict_hand(view)
            mesh = model.hand.place(prediction)
            target = model.hand.place_target(self.target)
        terms = model.losses.values()

        def backbone() -> None:
            with model.autocast(view.images.device):
                model.backbone(view.images)

        def head() -> None:
            query = _run(model, model.head.query, seen, view, owner=model.head)
            with torch.autocast(view.images.device.type, enabled=False):
                model.head.read(query.map(Tensor.float), view)

        work: dict[str, Work] = {
            "augmentation": lambda: model.data_preprocessor(self.frames, True),
            "backbone": backbone,
            "head": head,
            "mano": lambda: model.hand.place(prediction),
            "losses": lambda: [term(prediction, mesh, target) for term in terms],
        }
        if model.neck is not None:
            work["neck"] = lambda: _run(model, model.neck, tokens, view)
        return {name: self._quietly(run, precision) for name, run in work.items()}

    def _quietly(self, run: Work, precision: str) -> Work:
        @torch.no_grad()
        def quiet() -> None:
            self._as(precision, training=False)
            run()

        return quiet

    def _as(self, precision: str, *, training: bool) -> None:
        self.model.precision = precision
        if self.model.training != training:
            self.model.train(training)


def _run(model: nn.Module, part: Work, tokens: Tensor, view: CropView, owner: Any = None):
    """A neck or a head's query, in the precision the model would run it in."""
    if getattr(owner or part, "bf16_safe", False):
        with model.autocast(view.images.device):
            return part(tokens, view)
    with torch.autocast(view.images.device.type, enabled=False):
        return part(tokens.float(), view)


def take_apart(
    name: str, config: Mapping[str, Any], frames: FrameBatch, *, batch: int, device: str
) -> Bench:
    """A resolved config as something to time; weights are random, for no weight changes a cost."""
    config = without_weights(config)
    subject = subject_of(name, config, frames=frames)
    chosen = FrameBatch(tuple(frames.frames[i % len(frames)] for i in range(batch)))
    model = subject.model.to(device)
    data = model.data_preprocessor(chosen, False)
    return Bench(
        name=name,
        config=config,
        model=model,
        optimizer=subject.optimizer(model),
        device=device,
        batch=batch,
        view=data["inputs"],
        target=data["data_samples"],
        frames=chosen,
    )

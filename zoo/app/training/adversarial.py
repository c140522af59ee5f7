"""Trains discriminators beside the model: an optimiser of their own, resumed like everything."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook
from mmengine.logging import MessageHub


class AdversarialSteps(Hook):
    """One discriminator step after every step of the model, for each loss term that has one.

    A term has one when it has the methods `optimizer` and `learn` of
    `zoo.losses.adversarial.AdversarialPrior`. Without such terms nothing happens.
    """

    def __init__(self) -> None:
        self.optimizers: dict[str, Any] = {}
        self._loaded: dict[str, Any] = {}

    def before_train(self, runner) -> None:
        self.optimizers = {name: term.optimizer() for name, term in _learners(runner).items()}
        for name, state in self._loaded.items():
            if name in self.optimizers:
                self.optimizers[name].load_state_dict(state)

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        for name, term in _learners(runner).items():
            value = term.learn(self.optimizers[name])
            if value is not None:
                hub = MessageHub.get_current_instance()
                hub.update_scalar(f"train/{name}_discriminator", value)

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        states = {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()}
        if states:
            checkpoint["discriminator_optimizers"] = states

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        self._loaded = checkpoint.get("discriminator_optimizers", {})


def _learners(runner) -> dict[str, Any]:
    model = getattr(runner.model, "module", runner.model)
    return {name: term for name, term in model.losses.items() if hasattr(term, "learn")}

"""Optimiser steps that survive a bad batch, in any precision the model computes in."""

from __future__ import annotations

import torch
from mmengine.logging import MessageHub
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS
from torch import Tensor


@OPTIM_WRAPPERS.register_module()
class CheckedOptimWrapper(OptimWrapper):
    """mmengine's wrapper that skips the update of a step whose gradient is not finite.

    Precision itself belongs to the model; with `scale=True` (fp16) the loss is scaled so that
    small gradients do not vanish, and gradients are clipped as they are without scaling. Norm and
    clipping see the optimised parameters alone: what is frozen has no say in the step.
    """

    def __init__(self, *, scale: bool = False, **kwargs) -> None:
        super().__init__(**kwargs)
        (first, *_) = self.optimizer.param_groups[0]["params"]
        self.scaler = torch.amp.GradScaler(first.device.type, enabled=scale)
        self.skipped_steps = 0

    def backward(self, loss: Tensor, **kwargs) -> None:
        self.scaler.scale(loss).backward(**kwargs)
        self._inner_count += 1

    def step(self, **kwargs) -> None:
        self.scaler.unscale_(self.optimizer)
        norm = torch.nn.utils.get_total_norm(
            [
                p.grad
                for group in self.optimizer.param_groups
                for p in group["params"]
                if p.grad is not None
            ]
        )
        MessageHub.get_current_instance().update_scalar("train/grad_norm", float(norm))
        if torch.isfinite(norm):
            if self.clip_grad_kwargs:
                self._clip_grad()
            self.scaler.step(self.optimizer, **kwargs)
        else:
            self.skipped_steps += 1
        self.scaler.update()

    def state_dict(self) -> dict:
        state = super().state_dict()
        state["skipped_steps"] = self.skipped_steps
        if self.scaler.is_enabled():
            state["loss_scaler"] = self.scaler.state_dict()
        return state

    def load_state_dict(self, state_dict: dict) -> None:
        self.skipped_steps = state_dict.pop("skipped_steps", 0)
        if "loss_scaler" in state_dict:
            self.scaler.load_state_dict(state_dict.pop("loss_scaler"))
        super().load_state_dict(state_dict)

"""Faults of gradients: terms that train nothing, parts nothing trains, terms that drown others."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

from benchmarks.faults import Fault, override, with_config, with_model, with_settings


def fk_without_gradient(model: nn.Module) -> None:
    def place(self: Any, original: Any, prediction: Any) -> Any:
        with torch.no_grad():
            return original(prediction)

    override(model.hand, place=place)


def joints_detached(model: nn.Module) -> None:
    def forward(self: Any, original: Any, prediction: Any, mesh: Any, target: Any) -> Any:
        return original(prediction.detach(), mesh.detach(), target)

    override(model.losses["joints"], forward=forward)


def features_detached(model: nn.Module) -> None:
    def forward(self: Any, original: Any, images: Any) -> Any:
        return original(images).detach()

    override(model.backbone, forward=forward)


def half_the_gradient(model: nn.Module) -> None:
    def forward(self: Any, original: Any, prediction: Any, mesh: Any, target: Any) -> Any:
        value = original(prediction, mesh, target)
        return 0.5 * value + 0.5 * value.detach()

    override(model.losses["orientation"], forward=forward)


def tokens_half_detached(model: nn.Module) -> None:
    def forward(self: Any, original: Any, images: torch.Tensor) -> torch.Tensor:
        tokens = original(images)
        return 0.5 * tokens + 0.5 * tokens.detach()

    override(model.backbone, forward=forward)


def other_dropout_in_the_backward_pass(model: nn.Module) -> None:
    def forward(self: Any, original: Any, images: torch.Tensor) -> torch.Tensor:
        tokens = original(images)
        if not self.training:
            return tokens
        settings = {"use_reentrant": False, "preserve_rng_state": False}
        return checkpoint(lambda x: F.dropout(x, 0.3), tokens, **settings)

    override(model.backbone, forward=forward)


def camera_detached(model: nn.Module) -> None:
    def forward(self: Any, original: Any, token: Any, estimate: Any, view: Any) -> Any:
        return original(token, estimate, view).detach()

    override(model.head.camera, forward=forward)


def frozen_in_name_only(config: dict) -> None:
    config["model"]["backbone"]["frozen"] = True


def still_asking(model: nn.Module) -> None:
    model.backbone.requires_grad_(True)


def shape_out_of_optimizer(subject: Any) -> Any:
    def make(model: nn.Module) -> torch.optim.Optimizer:
        kept = [p for n, p in model.named_parameters() if "decshape" not in n and p.requires_grad]
        return torch.optim.AdamW(kept, lr=6e-4)

    return dataclasses.replace(subject, make_optimizer=make, _memory={})


def twice_in_optimizer(subject: Any) -> Any:
    def make(model: nn.Module) -> torch.optim.Optimizer:
        optimizer = torch.optim.AdamW(model.parameters(), lr=6e-4)
        again = [{"params": list(model.neck.parameters()), "lr": 6e-4}]
        optimizer.param_groups += [{**optimizer.param_groups[0], **again[0]}]
        return optimizer

    return dataclasses.replace(subject, make_optimizer=make, _memory={})


FAULTS = [
    Fault(
        "forward-kinematics-under-no-grad",
        with_model(fk_without_gradient),
        ("gradient.derivative", "model.hand"),
        "Joint and reprojection losses fall only through the pose loss (P-10).",
    ),
    Fault(
        "joint-loss-on-detached-joints",
        with_model(joints_detached),
        ("gradient.reach", "model.losses.joints"),
        "The term is logged and trains nothing (P-10, P-21).",
    ),
    Fault(
        "features-detached-before-the-neck",
        with_model(features_detached),
        ("gradient.reach", "model.backbone"),
        "The backbone stays as it was drawn (P-44).",
    ),
    Fault(
        "camera-read-out-detached",
        with_model(camera_detached),
        ("gradient.reach", "model.head.camera"),
        "The translation is untrained although losses depend on it.",
    ),
    Fault(
        "half-the-gradient",
        with_model(half_the_gradient),
        ("gradient.derivative", "model.losses.orientation"),
        "A detach in one of two equal summands: the term trains half as fast as it shows.",
    ),
    Fault(
        "nothing-pulls-on-the-translation",
        with_settings("model.losses.wrist=none", "model.losses.reprojection=none"),
        ("gradient.reach", "model.head.camera"),
        "supervise_global=false left the translation without a loss (csvit2_old, P-29).",
    ),
    Fault(
        "nothing-pulls-on-the-shape",
        with_settings("model.losses.betas=none"),
        ("gradient.reach", "model.head"),
        "Losses on the mesh do not train the shape here, so that without its own it is untrained.",
    ),
    Fault(
        "weight-of-zero",
        with_settings("model.losses.joints.weight=0"),
        ("gradient.reach", "model.losses.joints"),
        "A term switched off by its weight is still computed and logged.",
    ),
    Fault(
        "millimetres-with-metre-weights",
        with_settings("model.losses.joints.unit=mm"),
        ("gradient.share", "model.losses.orientation"),
        "HaMeR's weights with a 3D loss in mm: it drowns the others (UTNet, V6).",
        base="hamer",
    ),
    Fault(
        "prior-too-weak-to-act",
        with_settings("model.losses.betas.weight=1e-6"),
        ("gradient.share", "model.losses.betas"),
        "An auxiliary term that prints 0.0000 and does nothing (UTNet, problem 15).",
    ),
    Fault(
        "squared-pixels",
        with_settings("model.losses.reprojection.weight=400"),
        ("gradient.share", "model.losses.joints"),
        "A weight meant for crop units used on pixels.",
    ),
    Fault(
        "clip-far-below-the-gradient",
        with_settings("optim_wrapper.clip_grad.max_norm=0.0001"),
        ("gradient.clip", "optim_wrapper.clip_grad"),
        "Every step is clipped to almost nothing; only the largest term's direction is left.",
    ),
    Fault(
        "residual-without-gradient",
        with_model(tokens_half_detached),
        ("gradient.parts", "model.backbone"),
        "A detach on one of two ways: all is trained, by a rest of its gradient.",
    ),
    Fault(
        "recomputed-with-other-dropout",
        with_model(other_dropout_in_the_backward_pass),
        ("gradient.parts", "model.backbone"),
        "Checkpointing does not keep the random state: the gradient is another network's.",
    ),
    Fault(
        "frozen-in-name-only",
        lambda subject: with_model(still_asking)(with_config(frozen_in_name_only)(subject)),
        ("gradient.optimised", "model.backbone"),
        "The backbone is declared frozen and is differentiated all the same (P-20).",
    ),
    Fault(
        "rate-of-zero-instead-of-frozen",
        with_settings("optim_wrapper.paramwise_cfg.custom_keys.backbone.lr_mult=0.0"),
        ("gradient.optimised", "model.backbone"),
        "Memory is spent and clipping is done with gradients nobody uses (P-20).",
    ),
    Fault(
        "shape-left-out-of-the-optimiser",
        shape_out_of_optimizer,
        ("gradient.optimised", "model.head"),
        "A parameter group is built by name and misses a read-out.",
    ),
    Fault(
        "neck-held-twice",
        twice_in_optimizer,
        ("gradient.optimised", "model.neck"),
        "Two groups hold one part; it moves twice a step.",
    ),
]

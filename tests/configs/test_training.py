"""Every shipped config learns: 20 tiny steps in bf16 reach every weight and lower the loss."""

from __future__ import annotations

import itertools
import math
from types import SimpleNamespace

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmengine.registry import HOOKS, PARAM_SCHEDULERS

from registry.budget import fit_budget
from registry.config import SHIPPED, available, load
from zoo.app.training import hooks as _registers  # noqa: F401
from zoo.app.training import precision as _registers_too  # noqa: F401
from zoo.app.training.assemble import build_model, train_loader
from zoo.app.training.schedule import schedulers
from zoo.contracts import ClipView, CropView
from zoo.data.shards import resolve_shards

STEPS, HANDS = 20, 2
NAMES = [name for name, file in available().items() if SHIPPED.resolve() in file.parents]


class Steps:
    """The config's own model, optimiser, schedule and dropout, stepped over one batch of hands."""

    def __init__(self, name: str, shards: list[str]) -> None:
        changes = (f"data.train.batch_size={HANDS}", "data.num_workers=0", "model.precision=bf16")
        config = fit_budget(load(name, changes, size="tiny"), STEPS)
        self.model = build_model(config).train()
        settings = {"type": "CheckedOptimWrapper", **config["optim_wrapper"]}
        self.wrapper = build_optim_wrapper(self.model, settings)
        self.rates = [
            PARAM_SCHEDULERS.build({**settings, "optimizer": self.wrapper})
            for settings in schedulers(config["param_scheduler"], STEPS)
        ]
        self.dropout = HOOKS.build(config["custom_hooks"]["dropout"])
        batch = next(iter(train_loader(config, shards, steps=1)))
        self.data = self.model.data_preprocessor(batch, True)

    def run(self) -> tuple[list[float], set[str]]:
        """The loss of every step, and the weights that never had a gradient."""
        unreached = {n for n, p in self.model.named_parameters() if p.requires_grad}
        losses = []
        for step in range(STEPS):
            runner = SimpleNamespace(model=self.model, iter=step, max_iters=STEPS)
            self.dropout.before_train_iter(runner, step)
            loss = sum(self.model(**self.data, mode="loss").values())
            losses.append(loss.item())
            self.wrapper.backward(loss)
            unreached -= {n for n, p in self.model.named_parameters() if _has_gradient(p)}
            self.wrapper.step()
            self.wrapper.zero_grad()
            for rate in self.rates:
                rate.step()
        return losses, unreached - self.out_of_reach()

    def out_of_reach(self) -> set[str]:
        """What cannot have a gradient: what multiplies a constant zero (HaMeR's query, the betas of
        a mean hand), a camera no loss looks
        at (csvit2_old, whose history that is), a bias that a batch norm takes away again, and what
        scales the stem of crops of one colour (utnet_as_released, whose crops miss the hand).
        """
        norms = torch.nn.BatchNorm1d, torch.nn.BatchNorm2d
        unreached = {
            f"{name}.{number}.bias"
            for name, module in self.model.named_modules()
            if isinstance(module, torch.nn.Sequential)
            for number, (layer, norm) in enumerate(itertools.pairwise(module))
            if isinstance(norm, norms) and hasattr(layer, "bias")
        }
        if not _shows_anything(self.data["inputs"]):
            unreached |= {
                f"{name}.weight"
                for name, module in self.model.named_modules()
                if name.startswith("backbone.patch_embed") and isinstance(module, norms)
            }
        if getattr(self.model.head, "constant_query", False):
            unreached.add("head.transformer.to_token_embedding.weight")
        betas = getattr(self.model.backbone, "init_betas", None)
        if betas is not None and not betas.any():
            unreached.add("backbone.shape_emb.weight")
        weighted = [term for term in self.model.losses.values() if term.weight]
        if not any(getattr(term, "places_hand", False) for term in weighted):
            names = dict(self.model.named_parameters())
            unreached |= {name for name in names if name.startswith("head.camera.")}
        return unreached


def _shows_anything(view: CropView | ClipView) -> bool:
    images = getattr(view, "frames", view).images.flatten(2)
    return bool((images.amax(-1) > images.amin(-1)).any())


def _has_gradient(parameter: torch.nn.Parameter) -> bool:
    return parameter.grad is not None and bool(parameter.grad.any())


@pytest.mark.parametrize("name", NAMES)
def test_a_config_trains(name, hands, deep_hands, films):
    data = load(name, size="tiny")["data"]
    folder = deep_hands if data["synthetic"].get("depth") else hands
    folder = folder if data.get("clip") is None else films
    losses, unreached = Steps(name, resolve_shards(folder / "train")).run()
    assert all(math.isfinite(loss) for loss in losses), losses
    assert unreached == set()
    first, last = sum(losses[:3]) / 3, sum(losses[-3:]) / 3
    assert last < 0.9 * first, losses


def test_two_learning_rates_or_one_as_the_config_says():
    rates = {}
    for said in ("0.1", "1.0"):
        key = "optim_wrapper.paramwise_cfg.custom_keys.backbone.lr_mult"
        config = load("csvit2", [f"{key}={said}"], size="tiny")
        model = build_model(config)
        wrapper = build_optim_wrapper(
            model, {"type": "CheckedOptimWrapper", **config["optim_wrapper"]}
        )
        names = {id(p): n for n, p in model.named_parameters()}
        rates[said] = {
            names[id(p)].split(".")[0]: group["lr"]
            for group in wrapper.optimizer.param_groups
            for p in group["params"]
        }
        optimised = {id(p) for g in wrapper.optimizer.param_groups for p in g["params"]}
        assert {i for i, n in names.items() if model.get_parameter(n).requires_grad} <= optimised
    assert rates["0.1"]["backbone"] == pytest.approx(0.1 * rates["0.1"]["head"])
    assert rates["0.1"]["neck"] == rates["0.1"]["head"]
    assert rates["1.0"]["backbone"] == rates["1.0"]["head"]

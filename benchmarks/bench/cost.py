"""What a model costs before it runs: parameters and arithmetic, without allocating a weight."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from registry.build import build_hand
from registry.difference import ABSENT, Change, apply
from registry.layout import parts
from registry.signature import constructor
from registry.whole import build_model
from zoo.contracts import NUM_BETAS, NUM_JOINTS, NUM_ROTATIONS, NUM_VERTICES, CropView
from zoo.mano.layer import ManoLayer

STAGES = ("backbone", "neck", "temporal", "head")


@dataclass(frozen=True)
class Cost:
    """Parameters and floating-point operations of one hand's forward pass."""

    parameters: dict[str, int]  # a part of the model, "losses" (discriminators) included
    trainable: int
    flops: dict[str, int]  # one multiply-add is two; a stage of the forward pass at batch 1

    @property
    def parameters_m(self) -> float:
        """Millions, of everything that runs at inference."""
        return sum(n for part, n in self.parameters.items() if part != "losses") / 1e6

    @property
    def gflops(self) -> float:
        return sum(self.flops.values()) / 1e9


def cost_of(config: Mapping[str, Any]) -> Cost:
    """The cost of a resolved config; ViT-H takes a second and no memory.

    Parameters live on the meta device. The pass itself runs on fake tensors, which have shapes
    and no content; only the hand model, which reads its own kinematic tree, runs for real.
    """
    bare = without_weights(config)
    with torch.device("meta"):
        model = build_model(bare).eval()
    parameters = {name: _count(getattr(model, name, None)) for name in (*STAGES, "hand", "losses")}
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return Cost(parameters, trainable, _flops(model, bare))


def without_weights(config: Mapping[str, Any]) -> dict[str, Any]:
    """The config with every part's pretrained weights left out and its shape kept."""
    result = dict(config)
    for place in parts(config):
        pretrained = place.spec.get("pretrained")
        if pretrained is None:
            continue
        changes = [Change(f"{place.path}.pretrained", pretrained, None)]
        built = constructor(place.slot, place.spec["type"])
        if built and "config" in built.arguments and place.spec.get("config") is None:
            before = place.spec.get("config", ABSENT)
            changes.append(Change(f"{place.path}.config", before, pretrained))
        result = apply(result, changes)
    return result


def random_view(batch: int, size: tuple[int, int], device: str = "cpu") -> CropView:
    """Crops of noise with a plausible camera and box: the cost of a pass is the same for any.

    batch: hands. size: (H, W) px.
    """
    rng = torch.Generator().manual_seed(0)
    height, width = size
    intrinsics = torch.tensor(
        [[2.0 * width, 0.0, width / 2], [0.0, 2.0 * width, height / 2], [0.0, 0.0, 1.0]]
    )
    box = torch.tensor([width / 4, height / 4, 3 * width / 4, 3 * height / 4])
    view = CropView(
        images=torch.rand(batch, 3, height, width, generator=rng),
        intrinsics=intrinsics.repeat(batch, 1, 1),
        hand_box=box.repeat(batch, 1),
        frame_from_crop=torch.eye(3).repeat(batch, 1, 1),
        is_left=torch.zeros(batch, dtype=torch.bool),
    )
    return view.to(device)


def _flops(model: nn.Module, config: Mapping[str, Any]) -> dict[str, int]:
    view = random_view(1, tuple(model.backbone.image_size))
    with FakeTensorMode() as fake, torch.no_grad():
        model._apply(lambda tensor: torch.empty(tensor.shape, dtype=tensor.dtype, device="cpu"))
        model.precision = "fp32"  # what is computed does not depend on it
        _still_hands(model)
        seen = view.map(fake.from_tensor)
        with FlopCounterMode(display=False) as counter:
            spent = _watch(model, counter)
            model.predict_hand(seen)
    rest = counter.get_total_flops() - sum(spent.values())
    return {**spent, "head": rest, "mano": _mano_flops(config)}


def _still_hands(model: nn.Module) -> None:
    """Hands inside a head answer with shapes; what a hand computes is counted by itself."""
    for module in model.modules():
        if isinstance(module, ManoLayer):
            module.forward = _shapes_of_a_hand


def _shapes_of_a_hand(rotmats: Tensor, betas: Tensor) -> tuple[Tensor, Tensor]:
    count = rotmats.shape[0]
    return rotmats.new_zeros(count, NUM_VERTICES, 3), rotmats.new_zeros(count, NUM_JOINTS, 3)


def _watch(model: nn.Module, counter: FlopCounterMode) -> dict[str, int]:
    """Fills what each part that is called as a module computes; a head's methods are the rest."""
    spent: dict[str, int] = {}
    for stage in STAGES[:-1]:
        part = getattr(model, stage, None)
        if part is None:
            continue

        def enter(*_: Any, stage: str = stage) -> None:
            spent[stage] = spent.get(stage, 0) - counter.get_total_flops()

        def leave(*_: Any, stage: str = stage) -> None:
            spent[stage] += counter.get_total_flops()

        part.register_forward_pre_hook(enter)
        part.register_forward_hook(leave)
    return spent


def _mano_flops(config: Mapping[str, Any]) -> int:
    hand = build_hand(config)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        hand(torch.eye(3).repeat(1, NUM_ROTATIONS, 1, 1), torch.zeros(1, NUM_BETAS))
    return counter.get_total_flops()


def _count(part: nn.Module | None) -> int:
    return 0 if part is None else sum(p.numel() for p in part.parameters())

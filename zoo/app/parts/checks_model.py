"""Contract checks of the parts a model is made of, inside the smallest model they fit into."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from registry.build import IncompatibleParts
from registry.whole import build_model
from zoo.app.combinations import cells
from zoo.app.combinations.trial import check_shapes, hands_for, try_out
from zoo.app.parts.checks import Broken, NotApplicable, Rules
from zoo.contracts import ClipView, CropView, HandTarget, Prediction
from zoo.model import HandMeshModel

_HANDS = 3
_PATHS = {"camera": "head.camera", "loss": "losses.tried"}
_ALONE = 1e-4  # how far a hand's numbers may move when others join the batch; rounding is 1e-6


def rules(slot: str, kind: type, arguments: dict[str, Any]) -> Rules:
    """The rules of a part of the model, by name; raises where no model can be built with it."""
    config = fitting_config(slot, kind, arguments)
    model = build_model(config)
    model.precision = "fp32"
    trial = _Trial(slot, config, model)
    return {
        "shapes": trial.shapes,
        "determinism": trial.determinism,
        "batch invariance": trial.batch_invariance,
        "looks at its input": trial.conditioning,
        "gradients": trial.gradients,
        "bf16": trial.bf16,
        "export": trial.export,
    }


def fitting_config(slot: str, kind: type, arguments: dict[str, Any]) -> dict[str, Any]:
    """The smallest config around a part, with the first camera and head that fit it."""
    offered = cells.factors()
    row = {name: next(iter(values)) for name, values in offered.items()}
    refusals: list[IncompatibleParts] = []
    for camera in sorted(offered["camera"], key=lambda name: name != "metric"):
        for head in offered["head"]:
            config = cells.cell_config(offered, {**row, "camera": camera, "head": head})
            config["model"]["losses"] = dict(cells.ground_for(offered["camera"][camera].spec))
            config["model"]["detach_betas"] = False
            _put(config, slot, {**cells.small(slot, {"type": kind}), **arguments})
            try:
                build_model(config)
            except IncompatibleParts as refusal:
                refusals.append(refusal)
                continue
            return config
    raise refusals[-1]


def _put(config: dict[str, Any], slot: str, spec: dict[str, Any]) -> None:
    model = config["model"]
    if slot == "loss":
        model["losses"] = {**model["losses"], "tried": spec}
    elif slot == "camera":
        model["head"] = {**model["head"], "camera": spec}
        companion = getattr(spec["type"], "companion_loss", None)
        model["losses"] = {**cells.GROUND, **({"of_camera": companion} if companion else {})}
    elif slot == "head":
        model["head"] = {**spec, "camera": model["head"]["camera"]}
    else:
        model[slot] = spec
    if slot == "backbone" and (size := spec.get("image_size")) is not None:
        side = (size, size) if isinstance(size, int) else tuple(size)
        config["augmentation"]["crop"]["size"] = side


@dataclasses.dataclass
class _Trial:
    """A model around the part, and what is asked of both."""

    slot: str
    config: dict[str, Any]
    model: HandMeshModel

    def part(self, model: HandMeshModel | None = None) -> nn.Module:
        return (model or self.model).get_submodule(_PATHS.get(self.slot, self.slot))

    def seen(self, count: int = _HANDS) -> tuple[CropView | ClipView, HandTarget]:
        """Hands as the model's preprocessing shows them, not augmented."""
        batch = hands_for("clayhand", 2 if self.slot == "temporal" else None, count)
        data = self.model.data_preprocessor(batch, training=False)
        return data["inputs"], data["data_samples"]

    def answer(self, view: CropView | ClipView, target: HandTarget) -> dict[str, Tensor]:
        """What the part decides in the end: the numbers of the hand, or the loss."""
        prediction = self.model.predict_hand(view)
        if self.slot == "loss":
            placed = self.model.hand.place_target(target)
            return {"loss": self.part()(prediction, self.model.hand.place(prediction), placed)}
        return _numbers(prediction)

    def shapes(self) -> str:
        view, target = self.seen()
        model = self.model.eval()
        prediction = model.predict_hand(view)
        mesh = model.hand.place(prediction)
        check_shapes(prediction, mesh, _HANDS)
        frames = view.frames if isinstance(view, ClipView) else view
        said = dict(_stages(model, frames, self.slot))
        for name, (found, wanted) in said.items():
            if found != wanted:
                raise Broken(f"{name} is {found}, not {wanted}")
        missing = model.head.provides - prediction.aux.keys()
        if missing:
            raise Broken(f"aux lacks {', '.join(sorted(missing))}, which `provides` promises")
        if self.slot == "loss":
            value = self.part()(prediction, mesh, model.hand.place_target(target))
            if value.shape != () or value.dtype != torch.float32 or not value.requires_grad:
                raise Broken(f"it returns {tuple(value.shape)} {value.dtype}, not one fp32 number")
        return ", ".join(f"{name} {found}" for name, (found, _) in said.items()) or "as promised"

    @torch.no_grad()
    def determinism(self) -> str:
        self.model.eval()
        first, second = (self.answer(*self.seen()) for _ in range(2))
        for name, value in first.items():
            if not torch.equal(value, second[name]):
                raise Broken(f"{name} differs between two calls on the same hands in evaluation")
        return "twice the same"

    @torch.no_grad()
    def batch_invariance(self) -> str:
        if self.slot == "loss":
            raise NotApplicable("a loss is of the whole batch")
        if self.slot == "temporal":
            raise NotApplicable("asked of single frames only")
        self.model.eval()
        view, target = self.seen()
        together = self.answer(view, target)
        worst = 0.0
        for i in range(_HANDS):
            alone = self.answer(view.map(lambda t, i=i: t[i : i + 1]), target)
            pairs = ((together[name][i : i + 1], value) for name, value in alone.items())
            worst = max(worst, *(float((a - b).abs().max()) for a, b in pairs))
        if worst > _ALONE:
            raise Broken(f"a hand's numbers move by {worst:.1e} when other hands join it")
        return f"alone and in company within {worst:.0e}"

    @torch.no_grad()
    def conditioning(self) -> str:
        if self.slot not in ("backbone", "head", "camera"):
            raise NotApplicable("it may start as the identity")
        self.model.eval()
        view, target = self.seen()
        before = self.answer(view, target)
        other = dataclasses.replace(view, images=view.images.flip(-1))
        after = self.answer(other, target)
        moved = max(float((before[name] - after[name]).abs().max()) for name in before)
        if moved == 0:
            raise Broken("another picture gives exactly the same hand")
        return f"another picture moves the hand's numbers by up to {moved:.1e}"

    def gradients(self) -> str:
        outcome = try_out(copy.deepcopy({**self.config, "model": self._with("fp32")}))
        count = sum(p.requires_grad for p in self.part().parameters())
        return f"all {count} parameters reached; loss {outcome.losses[0]:.3g}"

    def bf16(self) -> str:
        single, half = (
            try_out(copy.deepcopy({**self.config, "model": self._with(precision)})).losses[0]
            for precision in ("fp32", "bf16")
        )
        if abs(half / single - 1) > 0.05:
            raise Broken(f"the first loss is {half:.4g} in bf16 and {single:.4g} in fp32")
        return f"first loss within {abs(half / single - 1):.1%} of fp32"

    def export(self) -> str:
        if self.slot in ("loss", "temporal"):
            raise NotApplicable("not part of what is exported")
        view, _ = self.seen()
        self.model.eval()
        tensors = {f.name: getattr(view, f.name) for f in dataclasses.fields(view)}
        exported = torch.export.export(_Plain(self.model), tuple(tensors.values())).module()
        with torch.no_grad():
            wanted = _numbers(self.model.predict_hand(view)).values()
            got = exported(*tensors.values())
        worst = max(float((a - b).abs().max()) for a, b in zip(got, wanted, strict=True))
        if worst > _ALONE:
            raise Broken(f"the exported program is off by {worst:.1e}")
        return f"torch.export agrees within {worst:.0e}"

    def _with(self, precision: str) -> dict[str, Any]:
        return {**self.config["model"], "precision": precision}


class _Plain(nn.Module):
    """The model as tensors in, tensors out."""

    def __init__(self, model: HandMeshModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        return tuple(_numbers(self.model.predict_hand(CropView(*tensors))).values())


def _numbers(prediction: Prediction) -> dict[str, Tensor]:
    return {
        "rotmats": prediction.rotmats,
        "betas": prediction.betas,
        "position": prediction.camera.position,
    }


def _stages(model: HandMeshModel, view: CropView, slot: str) -> Iterator[tuple[str, Any]]:
    """Shapes between the parts: name -> (found, promised)."""
    backbone = model.backbone
    rows, columns = backbone.token_grid
    count = backbone.num_prefix_tokens + rows * columns
    count *= getattr(backbone, "num_levels", 1)
    tokens = backbone(view.images)
    hands = len(view)
    yield "tokens", (tuple(tokens.shape), (hands, count, backbone.token_dim))
    if model.neck is not None:
        tokens = model.neck(tokens, view)
        yield "tokens after the neck", (tokens.shape[::2], (hands, backbone.token_dim))
    query = model.head.query(tokens, view)
    yield "query", (tuple(query.token.shape), (hands, model.head.query_dim))
    if slot == "camera":
        camera = model.head.camera
        estimate = camera.initial.expand(hands, -1)
        reading = camera(query.token, estimate, view)
        yield "values", (tuple(reading.values.shape), (hands, camera.num_values))
        yield "anchor", (reading.pose.anchor in ("wrist", "mano_origin"), True)

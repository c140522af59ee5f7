"""Does a head look at the picture it is given, and at the part that shows the hand?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from benchmarks.probe import ProbeResult, Unrunnable
from benchmarks.probes.shape import awake, in_fp32
from benchmarks.probes.truth import single_frames
from benchmarks.subject import Subject
from zoo.contracts import CropView, Finding

HANDS = 4
LOOKS = 0.01  # of all influence on the answer that patch tokens have; healthy heads have 0.28 up
MIDDLE = 0.1  # of the patches' influence; the middle is a quarter of them and shows the hand
COUNTS = 1e-3  # of the most influential token: from here on a token is read


class Reading:
    """Which patch tokens the answer hangs on at the start, by the gradient at the head's input.

    Causes: vertices projected in millimetres times camera scale, so that nearly all lie off the map
    and read zeros (UTNet V3); normalised coordinates taken for cells, so that all read one corner
    (WiLoR as released reads 4 of 192 tokens). The head then sees the picture through its class and
    hand tokens alone, and maps and graph are computed for nothing.
    """

    id: ClassVar[str] = "shape.reading"
    family: ClassVar[str] = "shape"
    law: ClassVar[str] = (
        "Patch tokens have a share in the answer, those in the middle of the crop, where the hand "
        "is, too."
    )
    see: ClassVar[str] = "docs/probes.md#shape-reading"

    def __call__(self, subject: Subject) -> ProbeResult:
        """Heads that read no patch, or only patches that show no hand."""
        if not all(hasattr(subject.model, name) for name in ("backbone", "head")):
            raise Unrunnable("the model has no backbone and head of the zoo's kind")
        view, _ = single_frames(subject, HANDS)
        with awake(subject) as model, in_fp32(model):
            grid, prefix = tuple(model.backbone.token_grid), model.backbone.num_prefix_tokens
            influence = _influence(model, view, grid[0] * grid[1] + prefix)
        patches = influence[prefix:].view(grid)
        evidence = _told(influence, patches)
        return ProbeResult(tuple(self._judge(evidence)), evidence)

    def _judge(self, told: dict[str, Any]) -> Iterator[Finding]:
        count = f"{told['read']} of {told['patches']} patch tokens are read"
        if told["share"] < LOOKS:
            yield Finding(
                id=f"{self.id}/blind",
                severity="error" if told["share"] else "warning",
                path="model.head",
                message=f"Patch tokens have {told['share']:.2g} of all influence on the answer, "
                f"the tokens before them the rest ({count}): the head samples its map where "
                "nothing is, or reads only what summarises the picture.",
                evidence={"share": told["share"], "read": told["read"], "patches": told["patches"]},
            )
        elif told["middle"] < MIDDLE:
            yield Finding(
                id=f"{self.id}/aside",
                severity="error",
                path="model.head",
                message=f"The middle of the crop, where the hand is, has {told['middle']:.2g} of "
                f"the influence that patch tokens have on the answer ({count}): the head samples "
                "its map in other units than pixels of it.",
                evidence={
                    "middle": told["middle"],
                    "read": told["read"],
                    "patches": told["patches"],
                },
            )


def _influence(model: nn.Module, view: CropView, promised: int) -> Tensor:
    """(N,) mean size of the answer's gradient at each token the head is given."""
    with torch.no_grad():
        tokens = model.backbone(view.images).float()
        if getattr(model, "neck", None) is not None:
            tokens = model.neck(tokens, view).float()
    if tokens.shape[1] % promised:
        raise Unrunnable(f"the head is given {tokens.shape[1]} tokens, which are no grid's")
    tokens.requires_grad_()
    query = model.head.query(tokens, view)
    said = model.head.read(query, view)
    rng = torch.Generator().manual_seed(0)
    answers = (query.token, said.rotmats, said.betas, said.camera.position)
    total = sum((a * torch.randn(a.shape, generator=rng)).sum() for a in answers)
    (gradient,) = torch.autograd.grad(total, tokens)
    levels = gradient.norm(dim=-1).unflatten(1, (-1, promised))
    return levels.sum(1).mean(0)


def _told(influence: Tensor, patches: Tensor) -> dict[str, Any]:
    rows, columns = patches.shape
    middle = patches[rows // 4 : rows - rows // 4, columns // 4 : columns - columns // 4]
    whole = patches.sum().clamp(min=1e-30)
    return {
        "share": float(patches.sum() / influence.sum().clamp(min=1e-30)),
        "middle": float(middle.sum() / whole),
        "read": int((patches > COUNTS * influence.amax()).sum()),
        "patches": patches.numel(),
        "influence": patches / patches.amax().clamp(min=1e-30),
    }

"""Whether an exported file says what the model says: both see the same rendered crops."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from zoo.app.export.graph import as_tensors
from zoo.contracts import CropView
from zoo.data.synthetic.frames import RenderedFrames
from zoo.model import HandMeshModel

Run = Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]]
BATCHES = (1, 3)  # hands; the graph is traced with another number, 2
TOLERANCE_MM = 0.05  # at 1 m or nearer; in proportion beyond, for fp32 resolves no better
TOLERANCE_PX = 0.05
TOLERANCE_NUMBERS = 1e-3  # rotmats, betas
_LENGTHS, _PIXELS = ("position", "vertices", "joints"), ("keypoints",)
_NUMBERS = ("rotmats", "betas")


class ExportDiffers(RuntimeError):
    """An exported file whose answers are not the model's; it was not kept."""


@dataclass(frozen=True)
class Deviation:
    """The largest deviations over all crops."""

    mm: float  # of position, vertices, joints
    px: float  # of keypoints
    numbers: float  # of rotmats and betas
    allowed_mm: float  # TOLERANCE_MM, for hands as far away as these

    @property
    def small(self) -> bool:
        """Whether all are within tolerance; a deviation that is no number is not."""
        return (
            self.mm <= self.allowed_mm
            and self.px <= TOLERANCE_PX
            and self.numbers <= TOLERANCE_NUMBERS
        )


def rendered_view(model: HandMeshModel, seed: int = 0) -> CropView:
    """Crops of rendered hands, left and right, as many as the largest of BATCHES."""
    batch = RenderedFrames(count=max(BATCHES), seed=seed)()
    return model.data_preprocessor(batch, training=False)["inputs"]


@torch.no_grad()
def deviation(wanted: Run, found: Run, view: CropView) -> Deviation:
    """How far two ways to compute a hand are apart on the same crops, at every batch size.

    wanted, found: named tensors in, named tensors out, as `graph.HandGraph` has them.
    """
    lengths, pixels, numbers, far = [], [], [], 0.0
    for count in BATCHES:
        crops = as_tensors(view.map(lambda tensor, n=count: tensor[:n].clone()))
        right, said = wanted(crops), found(crops)
        lengths += [_apart(right[name], said[name]) for name in _LENGTHS]
        pixels += [_apart(right[name], said[name]) for name in _PIXELS]
        numbers += [_apart(right[name], said[name]) for name in _NUMBERS]
        far = max(far, float(right["position"].norm(dim=-1).max()))
    mm, px, plain = (float(torch.stack(values).max()) for values in (lengths, pixels, numbers))
    return Deviation(1000 * mm, px, plain, TOLERANCE_MM * max(1.0, far))


def _apart(right: Tensor, said: Tensor) -> Tensor:
    if right.shape != said.shape:
        raise ExportDiffers(f"The export gives {tuple(said.shape)}, not {tuple(right.shape)}.")
    return (right - said).abs().max()

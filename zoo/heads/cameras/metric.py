"""Places the wrist by three plain numbers, as the first CS-ViT2 did."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from zoo.contracts import CameraPose, CameraReading, CropView


class MetricCamera(nn.Module):
    """The wrist in the true camera, read out linearly: position = mean + std * values.

    mean, std: (3,) m, camera; the statistics of the wrist in the data. Defaults are those of
        InterHand2.6M, DexYCB and HO3D as CS-ViT2 measured them.
    readout_gain: Xavier gain of the read-out; a small one starts at the average hand.
    """

    provides: ClassVar[frozenset[str]] = frozenset()
    num_values: ClassVar[int] = 3

    def __init__(
        self,
        *,
        dim: int,
        mean: Sequence[float] = (-0.0244, 0.0023, 0.9101),
        std: Sequence[float] = (0.1188, 0.1028, 0.2191),
        readout_gain: float | None = None,
    ) -> None:
        super().__init__()
        self.linear = nn.Linear(dim, 3)
        if readout_gain is not None:
            nn.init.xavier_uniform_(self.linear.weight, gain=readout_gain)
        self.register_buffer("mean", torch.tensor(mean), persistent=False)
        self.register_buffer("std", torch.tensor(std), persistent=False)
        self.register_buffer("initial", torch.zeros(3), persistent=False)

    def forward(self, token: Tensor, estimate: Tensor | None, view: CropView) -> CameraReading:
        """The place of the wrist; call it in fp32.

        token: (B, dim).
        estimate: (B, 3) values of the previous step, which the answer is added to.
        returns: values (B, 3) standard deviations; position (B, 3) m, camera.
        """
        values = self.linear(token)
        if estimate is not None:
            values = values + estimate
        pose = CameraPose(
            position=self.mean + self.std * values, anchor="wrist", intrinsics=view.intrinsics
        )
        return CameraReading(values=values, pose=pose)

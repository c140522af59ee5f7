"""Places the wrist by three plain numbers, as the first CS-ViT2 did."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from zoo.contracts import CameraPose, CameraReading, CropView

Statistics = tuple[tuple[float, float, float], tuple[float, float, float]]

METRES: Statistics = ((-0.0244, 0.0023, 0.9101), (0.1188, 0.1028, 0.2191))
HAND_LENGTHS: Statistics = ((-0.2745, 0.0308, 10.4328), (1.4501, 1.2678, 2.2520))


class MetricCamera(nn.Module):
    """The wrist in the true camera, read out linearly: position = mean + std * values.

    norm_by_hand: mean, std and position count hand lengths (the middle finger's three bones)
        instead of metres; the head multiplies with the length of the hand it predicts.
    mean, std: (3,) m, or hand lengths, camera; the statistics of the wrist in the data. None takes
        those of InterHand2.6M, DexYCB and HO3D as CS-ViT2 measured them.
    readout_gain: Xavier gain of the read-out; a small one starts at the average hand.
    """

    provides: frozenset[str] = frozenset()
    provides_by_option: ClassVar[dict[str, frozenset[str]]] = {
        "norm_by_hand=true": frozenset({"wrist_in_hands"})
    }
    num_values: ClassVar[int] = 3

    def __init__(
        self,
        *,
        dim: int,
        norm_by_hand: bool = False,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        readout_gain: float | None = None,
    ) -> None:
        super().__init__()
        self.norm_by_hand = norm_by_hand
        if norm_by_hand:
            self.provides = frozenset({"wrist_in_hands"})
        published = HAND_LENGTHS if norm_by_hand else METRES
        mean, std = mean or published[0], std or published[1]
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
        returns: values (B, 3) standard deviations; position (B, 3) m, or hand lengths, camera.
        """
        values = self.linear(token)
        if estimate is not None:
            values = values + estimate
        pose = CameraPose(
            position=self.mean + self.std * values, anchor="wrist", intrinsics=view.intrinsics
        )
        aux = {"wrist_in_hands": pose.position} if self.norm_by_hand else {}
        return CameraReading(values=values, pose=pose, aux=aux)

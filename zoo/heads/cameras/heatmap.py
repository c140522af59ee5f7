"""Places the wrist by three one-dimensional heat maps, CS-ViT2's soft-argmax camera."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from zoo.contracts import CameraPose, CameraReading, CropView

Range = tuple[float, float]

# Mean +- 5 standard deviations over InterHand2.6M, DexYCB and HO3D, as CS-ViT2 recorded them.
METRES: dict[str, Range] = {
    "x": (-0.6182, 0.5693),
    "y": (-0.5119, 0.5165),
    "z": (-0.1856, 2.0057),
}
HAND_LENGTHS: dict[str, Range] = {
    "x": (-7.525, 6.976),
    "y": (-6.308, 6.370),
    "z": (-0.827, 21.693),
}


class HeatmapCamera(nn.Module):
    """The wrist in the true camera: the expectation of one heat map an axis (CS-ViT2).

    Default bins and ranges are the published ones, mean +- 5 standard deviations of InterHand2.6M,
    DexYCB and HO3D; the expectation can never leave its range, so hands farther than 2.0 m need
    another `z_range`. The estimate of an earlier step reaches the heat maps through the query
    alone.

    norm_by_hand: the bins count hand lengths (the middle finger's three bones) instead of metres,
        for no picture tells a large far hand from a small near one; `position` is then in hand
        lengths, and the head multiplies it with the length of the hand it predicts (CS-ViT2 of
        February 2026, there with the label's length).
    x_range, y_range, z_range: m, or hand lengths, camera; the first and the last bin stand on the
        ends. None takes the published range of that unit.
    """

    provides: frozenset[str] = frozenset(
        f"{name}_{axis}" for name in ("log_heatmap", "heatmap_centers") for axis in "xyz"
    )
    provides_by_option: ClassVar[dict[str, frozenset[str]]] = {
        "norm_by_hand=true": frozenset(
            f"{name}_{axis}" for name in ("log_heatmap", "heatmap_lengths") for axis in "xyz"
        )
        | {"wrist_in_hands"}
    }
    num_values: ClassVar[int] = 3

    def __init__(
        self,
        *,
        dim: int,
        bins: tuple[int, int, int] = (512, 512, 1024),
        norm_by_hand: bool = False,
        x_range: Range | None = None,
        y_range: Range | None = None,
        z_range: Range | None = None,
    ) -> None:
        super().__init__()
        self.norm_by_hand = norm_by_hand
        self.centers_name = "heatmap_lengths" if norm_by_hand else "heatmap_centers"
        names = ("log_heatmap", self.centers_name)
        self.provides = frozenset(f"{name}_{axis}" for name in names for axis in "xyz")
        if norm_by_hand:
            self.provides |= {"wrist_in_hands"}
        self.decx, self.decy, self.decz = (nn.Linear(dim, n, bias=False) for n in bins)
        published = HAND_LENGTHS if norm_by_hand else METRES
        given = {"x": x_range, "y": y_range, "z": z_range}
        ranges = {axis: given[axis] or published[axis] for axis in "xyz"}
        for (axis, ends), count in zip(ranges.items(), bins, strict=True):
            centers = bin_centers("HeatmapCamera", axis, ends, count)
            self.register_buffer(f"{axis}_centers", centers)
        middle = [(low + high) / 2 for low, high in ranges.values()]
        # The ranges span ten standard deviations, so a tenth of them is one.
        spread = [(high - low) / 10 for low, high in ranges.values()]
        self.register_buffer("middle", torch.tensor(middle), persistent=False)
        self.register_buffer("spread", torch.tensor(spread), persistent=False)
        self.register_buffer("initial", torch.zeros(3), persistent=False)

    def forward(self, token: Tensor, estimate: Tensor | None, view: CropView) -> CameraReading:
        """The place of the wrist and the heat maps behind it; call it in fp32.

        token: (B, dim).
        estimate: not used, see the class.
        returns: values (B, 3) standard deviations from the middle of the ranges; position (B, 3)
            m, or hand lengths, camera; aux log_heatmap_x (B, bins) natural log, heatmap_centers_x
            (B, bins) m (heatmap_lengths_x where bins count hand lengths), ...
        """
        aux, position = {}, []
        layers = {"x": self.decx, "y": self.decy, "z": self.decz}
        for axis, layer in layers.items():
            log_heatmap = layer(token).log_softmax(dim=-1)
            centers = getattr(self, f"{axis}_centers").expand_as(log_heatmap)
            position.append((log_heatmap.exp() * centers).sum(dim=-1))
            aux[f"log_heatmap_{axis}"] = log_heatmap
            aux[f"{self.centers_name}_{axis}"] = centers
        position = torch.stack(position, dim=-1)
        if self.norm_by_hand:
            aux["wrist_in_hands"] = position
        pose = CameraPose(position=position, anchor="wrist", intrinsics=view.intrinsics)
        return CameraReading(values=(position - self.middle) / self.spread, pose=pose, aux=aux)


def bin_centers(part: str, axis: str, ends: Range, count: int) -> Tensor:
    """`count` evenly spaced centres from the first end to the last, (count,).

    Raises ValueError for fewer than two bins and for a range that does not grow.
    """
    low, high = ends
    if low >= high or count < 2:
        raise ValueError(
            f"{part}'s {axis} axis has {count} bins from {low} to {high}; it needs two or more "
            "bins and a range that grows."
        )
    return torch.linspace(low, high, count)

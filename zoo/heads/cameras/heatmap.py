"""Places the wrist by three one-dimensional heat maps, CS-ViT2's soft-argmax camera."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from zoo.contracts import CameraPose, CameraReading, CropView

Range = tuple[float, float]


class HeatmapCamera(nn.Module):
    """The wrist in the true camera: the expectation of one heat map an axis (CS-ViT2, 3.5).

    Default bins and ranges are the published ones, mean +- 5 standard deviations of InterHand2.6M,
    DexYCB and HO3D; the expectation can never leave its range, so hands farther than 2.0 m need
    another `z_range`. The estimate of an earlier step reaches the heat maps through the query
    alone.

    x_range, y_range, z_range: m, camera; the first and the last bin stand on the ends.
    """

    provides: ClassVar[frozenset[str]] = frozenset(
        f"{name}_{axis}" for name in ("log_heatmap", "heatmap_centers") for axis in "xyz"
    )
    num_values: ClassVar[int] = 3

    def __init__(
        self,
        *,
        dim: int,
        bins: tuple[int, int, int] = (512, 512, 1024),
        x_range: Range = (-0.6182, 0.5693),
        y_range: Range = (-0.5119, 0.5165),
        z_range: Range = (-0.1856, 2.0057),
    ) -> None:
        super().__init__()
        self.decx, self.decy, self.decz = (nn.Linear(dim, n, bias=False) for n in bins)
        ranges = {"x": x_range, "y": y_range, "z": z_range}
        for (axis, (low, high)), count in zip(ranges.items(), bins, strict=True):
            if low >= high or count < 2:
                raise ValueError(
                    f"HeatmapCamera's {axis} axis has {count} bins from {low} to {high} m; it "
                    "needs two or more bins and a range that grows."
                )
            self.register_buffer(f"{axis}_centers", torch.linspace(low, high, count))
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
            m, camera; aux log_heatmap_x (B, bins) natural log, heatmap_centers_x (B, bins) m, ...
        """
        aux, position = {}, []
        layers = {"x": self.decx, "y": self.decy, "z": self.decz}
        for axis, layer in layers.items():
            log_heatmap = layer(token).log_softmax(dim=-1)
            centers = getattr(self, f"{axis}_centers").expand_as(log_heatmap)
            position.append((log_heatmap.exp() * centers).sum(dim=-1))
            aux[f"log_heatmap_{axis}"] = log_heatmap
            aux[f"heatmap_centers_{axis}"] = centers
        position = torch.stack(position, dim=-1)
        pose = CameraPose(position=position, anchor="wrist", intrinsics=view.intrinsics)
        return CameraReading(values=(position - self.middle) / self.spread, pose=pose, aux=aux)

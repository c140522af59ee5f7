"""Places the wrist sideways by heat maps and in depth by bins around the box's own guess."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from zoo.contracts import CameraPose, CameraReading, CropView
from zoo.heads.cameras.distance_bins import DistanceBins, box_geometry
from zoo.heads.cameras.heatmap import METRES, Range, bin_centers

_AUX = ("logits", "residuals", "log_prior", "bin_centers", "box_edge")


class DepthBinsCamera(nn.Module):
    """The wrist in the true camera: x and y from heat maps, depth from prior-centred bins.

    The prior depth follows from the size of the hand's box and the focal length, so a hand twice
    as far that looks half as large is the same to the network (CS-ViT2 of 2026-03-30). It
    trusts the box: training and evaluation have to draw boxes alike, or depth is off by their
    ratio.

    bins: of the x and of the y heat map.
    x_range, y_range: m, camera; the first and the last bin stand on the ends.
    log_range: of ln(depth / prior depth); the published one holds 98 % of the training hands.
    hand_extent: m; the prior is hand_extent * focal / box.
    """

    provides: ClassVar[frozenset[str]] = frozenset(
        f"{name}_{axis}" for name in ("log_heatmap", "heatmap_centers") for axis in "xy"
    ) | {f"depth_{name}" for name in _AUX}
    num_values: ClassVar[int] = 3
    trained_through: ClassVar[frozenset[str]] = frozenset({"depth_logits"})  # an arg-max
    companion_loss: ClassVar[dict[str, Any]] = {
        "type": "distance_bins",
        "quantity": "depth",
        "weight": 1.0,
    }
    tiny: ClassVar[dict[str, Any]] = {"hidden_dim": 32, "bins": (128, 128)}

    def __init__(
        self,
        *,
        dim: int,
        bins: tuple[int, int] = (512, 512),
        x_range: Range = METRES["x"],
        y_range: Range = METRES["y"],
        num_bins: int = 8,
        log_range: Range = (-0.73, 0.74),
        hand_extent: float = 0.121,
        hidden_dim: int = 256,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.hand_extent = hand_extent
        self.decx, self.decy = (nn.Linear(dim, n, bias=False) for n in bins)
        for axis, ends, count in zip("xy", (x_range, y_range), bins, strict=True):
            self.register_buffer(
                f"{axis}_centers", bin_centers("DepthBinsCamera", axis, ends, count)
            )
        self.decz = DistanceBins(
            dim=dim, num_bins=num_bins, log_range=log_range, hidden_dim=hidden_dim, dropout=dropout
        )
        spread = [(high - low) / 10 for low, high in (x_range, y_range)]
        middle = [(low + high) / 2 for low, high in (x_range, y_range)]
        self.register_buffer("middle", torch.tensor(middle), persistent=False)
        self.register_buffer("spread", torch.tensor(spread), persistent=False)
        self.register_buffer("initial", torch.zeros(3), persistent=False)

    def forward(self, token: Tensor, estimate: Tensor | None, view: CropView) -> CameraReading:
        """The place of the wrist, the heat maps and the bins behind it; call it in fp32.

        token: (B, dim).
        estimate: not used; the query already held it.
        returns: values (B, 3) standard deviations of x and y, then ln(depth / prior); position
            (B, 3) m, camera; aux log_heatmap_x, heatmap_centers_x (B, bins), ..., depth_logits,
            depth_residuals, depth_bin_centers (B, K), depth_log_prior (B,) ln of m,
            depth_box_edge (B,) px.
        """
        aux, sideways = {}, []
        for axis, layer in (("x", self.decx), ("y", self.decy)):
            log_heatmap = layer(token).log_softmax(dim=-1)
            centers = getattr(self, f"{axis}_centers").expand_as(log_heatmap)
            sideways.append((log_heatmap.exp() * centers).sum(dim=-1))
            aux[f"log_heatmap_{axis}"] = log_heatmap
            aux[f"heatmap_centers_{axis}"] = centers
        box = box_geometry(view, self.hand_extent)
        depth, read = self.decz(token, box.depth, box.shape)
        aux |= {f"depth_{name}": value for name, value in read.items()}
        aux["depth_box_edge"] = box.edge
        place = torch.stack(sideways, dim=-1)
        position = torch.cat((place, depth[:, None]), dim=-1)
        log_ratio = (depth / box.depth).log()[:, None]
        values = torch.cat(((place - self.middle) / self.spread, log_ratio), dim=-1)
        pose = CameraPose(position=position, anchor="wrist", intrinsics=view.intrinsics)
        return CameraReading(values=values, pose=pose, aux=aux)

"""Places the hand by scale and shift in the crop, seen by a far virtual camera, as HaMeR does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from zoo.contracts import CameraPose, CameraReading, CropView
from zoo.geometry.camera import seen_alike


class WeakPerspectiveCamera(nn.Module):
    """MANO's origin in a virtual camera of fixed focal length centred on the crop (HaMeR, 4).

    The three numbers are scale s and shift tx, ty; the origin stands at
    (tx, ty, 2 focal / (S s)) with S the longer side of the crop. The camera is not the true one:
    depth is right only up to the choice of `focal`, and where the crop lies in the picture does
    not enter.

    focal: px of the crop.
    intrinsics: "virtual" leaves the hand before that camera (HaMeR); "true" puts it where the
        crop's own camera sees it at the same place and in the same size, so that positions can be
        compared in metres with those of other read-outs.
    initial: (3,) s, tx, ty of an average hand that fills the crop.
    readout_gain: Xavier gain of the read-out (HaMeR's option is 0.01); a small one starts at
        `initial`.
    """

    provides: ClassVar[frozenset[str]] = frozenset()
    num_values: ClassVar[int] = 3

    def __init__(
        self,
        *,
        dim: int,
        focal: float = 5000.0,
        initial: Sequence[float] = (4.0, 0.0, 0.0),
        readout_gain: float | None = None,
        intrinsics: Literal["virtual", "true"] = "virtual",
    ) -> None:
        super().__init__()
        if intrinsics not in ("virtual", "true"):
            raise ValueError(
                f"WeakPerspectiveCamera.intrinsics is 'virtual' or 'true', not {intrinsics!r}"
            )
        self.focal, self.virtual = focal, intrinsics == "virtual"
        self.linear = nn.Linear(dim, 3)
        if readout_gain is not None:
            nn.init.xavier_uniform_(self.linear.weight, gain=readout_gain)
        self.register_buffer("initial", torch.tensor(initial), persistent=False)

    def forward(self, token: Tensor, estimate: Tensor | None, view: CropView) -> CameraReading:
        """The place of MANO's origin in the virtual camera, or the true one; call it in fp32.

        token: (B, dim).
        estimate: (B, 3) values of the previous step, which the answer is added to.
        returns: values (B, 3) s in 1/m, tx and ty in m; position (B, 3) m.
        """
        values = self.linear(token)
        if estimate is not None:
            values = values + estimate
        height, width = view.crop_size
        scale, shift = values[:, :1], values[:, 1:]
        depth = 2 * self.focal / (max(height, width) * scale + 1e-9)
        intrinsics = values.new_tensor(
            ((self.focal, 0.0, width / 2), (0.0, self.focal, height / 2), (0.0, 0.0, 1.0))
        )
        intrinsics = intrinsics.expand(values.shape[0], -1, -1)
        position = torch.cat((shift, depth), dim=-1)
        if not self.virtual:
            position = seen_alike(position, intrinsics, view.intrinsics)
            intrinsics = view.intrinsics
        pose = CameraPose(position=position, anchor="mano_origin", intrinsics=intrinsics)
        return CameraReading(values=values, pose=pose)


def whole_picture_position(
    values: Tensor, *, box_center: Tensor, box_side: Tensor, picture_size: Tensor, focal: float
) -> Tensor:
    """Where HaMeR puts MANO's origin in a camera centred on the whole picture (HaMeR, CVPR 2024).

    An approximation: that the crop is seen aslant is left out, and depth grows with `focal`.
    values: (B, 3) s, tx, ty; the sign of tx turned first for a mirrored left hand.
    box_center: (B, 2) px. box_side: (B,) px of the square crop. picture_size: (B, 2) px, W and H.
    focal: px; HaMeR takes 5000 / 256 longer sides of the picture.
    returns: (B, 3) m.
    """
    size = box_side[:, None] * values[:, :1] + 1e-9
    shift = values[:, 1:] + 2 * (box_center - picture_size / 2) / size
    return torch.cat((shift, 2 * focal / size), dim=-1)

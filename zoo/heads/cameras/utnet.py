"""UTNet's camera: weak perspective, with the two mistakes of its release to switch one by one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor

from zoo.contracts import CameraPose, CameraReading, CropView
from zoo.heads.cameras.weak_perspective import WeakPerspectiveCamera

_CHOICES = ("as_released", "corrected")


class UTNetCamera(WeakPerspectiveCamera):
    """Scale and shift of the coarse hand, seen by a far virtual camera.

    focal, initial: as in WeakPerspectiveCamera.
    projection: "as_released" normalises what it sees twice, first with the focal length and then
        with the size of the picture: keypoints stay within a pixel of the crop's centre.
    width: "as_released" divides x by the width of the columns the network sees, three quarters of
        the crop, where labels are divided by the whole.
    side_cut: fraction of the crop's width that the backbone leaves out on either side.
    refine: False keeps the estimate the head gives, for UTNet corrects pose and shape alone; True
        adds a read-out of the head's token.
    readout_gain: Xavier gain of that read-out.
    """

    num_values: ClassVar[int] = 3

    def __init__(
        self,
        *,
        dim: int,
        focal: float = 5000.0,
        initial: Sequence[float] = (4.0, 0.0, 0.0),
        projection: Literal["as_released", "corrected"] = "corrected",
        width: Literal["as_released", "corrected"] = "corrected",
        side_cut: float = 0.125,
        refine: bool = False,
        readout_gain: float | None = None,
    ) -> None:
        super().__init__(dim=dim, focal=focal, initial=initial, readout_gain=readout_gain)
        for name, found in (("projection", projection), ("width", width)):
            if found not in _CHOICES:
                raise ValueError(
                    f"UTNetCamera's {name} is {found!r}; it can be {' or '.join(_CHOICES)}."
                )
        self.twice, self.narrow = projection == "as_released", width == "as_released"
        self.seen = 1 - 2 * side_cut
        if not refine:
            self.linear = None

    def forward(self, token: Tensor, estimate: Tensor | None, view: CropView) -> CameraReading:
        """The place of MANO's origin in the virtual camera; call it in fp32.

        token: (B, dim).
        estimate: (B, 3) s in 1/m, tx and ty in m; the average hand's where there is none.
        returns: values (B, 3) likewise; position (B, 3) m.
        """
        start = self.initial.expand(token.shape[0], -1) if estimate is None else estimate
        values = start if self.linear is None else start + self.linear(token)
        pose = self.pose(values, view.crop_size)
        return CameraReading(values=values, pose=pose)

    def pose(self, values: Tensor, crop_size: tuple[int, int]) -> CameraPose:
        """Where the hand stands, and the camera that sees it so.

        values: (B, 3) s, tx, ty. crop_size: (H, W) px.
        """
        position, side = self._position(values, crop_size)
        height, width = crop_size
        focal = self.focal / (side if self.twice else 1.0)
        across = focal / self.seen if self.narrow else focal
        intrinsics = values.new_tensor(
            ((across, 0.0, width / 2), (0.0, focal, height / 2), (0.0, 0.0, 1.0))
        )
        intrinsics = intrinsics.expand(values.shape[0], -1, -1)
        return CameraPose(position=position, anchor="mano_origin", intrinsics=intrinsics)

    def _position(self, values: Tensor, crop_size: tuple[int, int]) -> tuple[Tensor, int]:
        side = max(crop_size)
        depth = 2 * self.focal / (side * values[:, :1] + 1e-9)
        return torch.cat((values[:, 1:], depth), dim=-1), side

"""Labels written in the axes of another camera, turned into the zoo's."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Generator, Tensor

from zoo.contracts import ViewChange

_OPENCV_FROM_OPENGL = (1.0, -1.0, -1.0)


class LabelAxes:
    """Turns joints and orientation by half a turn about x; picture and keypoints stay.

    For shards whose labels were written in OpenGL's axes (y up, z backwards), as HO-3D releases
    them: then they become OpenCV's. On labels that are OpenCV's, as everything is that the zoo's
    converters write, it does the opposite: hands stand behind the camera. That is what UTNet trains
    on, for it reads HO-3D's labels as if they were OpenCV's. Evaluation reads labels likewise.

    written: "opengl", the axes the labels are written in.
    """

    in_evaluation: ClassVar[bool] = True
    moves: ClassVar[str] = "labels"

    def __init__(self, *, written: Literal["opengl"] = "opengl") -> None:
        if written != "opengl":
            raise ValueError(
                f"label_axes.written is 'opengl', not {written!r}; labels in OpenCV's axes need no "
                "turn: leave this augmentation out."
            )

    def __call__(
        self, intrinsics: Tensor, hand_box: Tensor, rng: Generator | None = None
    ) -> ViewChange:
        """The half turn for every hand.

        intrinsics: (B, 3, 3) px. hand_box: (B, 4) px.
        """
        flip = torch.diag(intrinsics.new_tensor(_OPENCV_FROM_OPENGL))
        return ViewChange(flip.expand_as(intrinsics), intrinsics)

"""InterHand2.6M's NeuralAnnot fits: MANO in the world's frame, brought into a camera and judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from zoo.contracts import HandAsset
from zoo.data.converters.mano_labels import ManoLabels


@dataclass(frozen=True)
class FittedHand:
    """One hand's fit as stored: residual pose, world frame."""

    side: str
    rotvec: np.ndarray  # (48,) rad; the fingers relative to the mean hand pose
    betas: np.ndarray  # (10,)
    transl: np.ndarray  # (3,) m, world

    @classmethod
    def read(cls, entry: Mapping[str, Any], side: str) -> FittedHand:
        """From {"pose": 48, "shape": 10, "trans": 3} numbers."""
        rotvec = np.asarray(entry["pose"], np.float64).reshape(48)
        betas, transl = np.asarray(entry["shape"], float), np.asarray(entry["trans"], float)
        return cls(side, rotvec, betas.reshape(10), transl.reshape(3))


class ManoFits:
    """Writes fits in the schema's convention, absolute and in the camera, where they fit.

    With the known error of the public left file mended, as these fits were made, the mirrored
    right model is the left one. Should it not be, the fit error says so and the fit is left out.

    max_fit_mm: mean distance between posed and annotated joints beyond which a fit is not taken.
    """

    def __init__(self, *, hand: HandAsset, max_fit_mm: float) -> None:
        self.labels = ManoLabels(hand=hand, max_fit_mm=max_fit_mm, tips=True)

    def write(
        self,
        arrays: Mapping[str, np.ndarray],
        index: int,
        fit: FittedHand,
        rotation: np.ndarray,
        position: np.ndarray,
    ) -> None:
        """MANO arrays of one hand, and `fit_error` (mm) whether the fit is taken or not.

        rotation: (3, 3) world -> camera. position: (3,) m, the camera in the world.
        """
        root = (Rotation.from_matrix(rotation) * Rotation.from_rotvec(fit.rotvec[:3])).as_rotvec()
        self.labels.write(
            arrays,
            side=fit.side,
            rotvec=np.r_[root, self.labels.absolute(fit.rotvec[3:], fit.side)],
            betas=fit.betas,
            wrist=lambda wrist: rotation @ (wrist + fit.transl - position),
            hand=index,
        )

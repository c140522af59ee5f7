"""InterHand2.6M's NeuralAnnot fits: MANO in the world's frame, brought into a camera and judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from zoo.contracts import HandAsset
from zoo.mano.layer import ManoLayer

_MIRROR_POINT = np.array([-1.0, 1.0, 1.0])
_MIRROR_ROTVEC = np.array([1.0, -1.0, -1.0])
_MM_PER_M = 1000.0


@dataclass(frozen=True)
class FittedHand:
    """One hand's fit as stored: residual pose, world frame."""

    side: str
    rotvec: np.ndarray  # (16, 3) rad; the fingers relative to the mean hand pose
    betas: np.ndarray  # (10,)
    transl: np.ndarray  # (3,) m, world

    @classmethod
    def read(cls, entry: Mapping[str, Any], side: str) -> FittedHand:
        """From {"pose": 48, "shape": 10, "trans": 3} numbers."""
        rotvec = np.asarray(entry["pose"], np.float64).reshape(16, 3)
        betas, transl = np.asarray(entry["shape"], float), np.asarray(entry["trans"], float)
        return cls(side, rotvec, betas.reshape(10), transl.reshape(3))


class ManoFits:
    """Writes fits in the schema's convention, absolute and in the camera, where they fit.

    The left hand is the mirror image of the right model, mean pose included: with the known error
    of the public left file mended, as these fits were made, the two agree. Should they not, the
    fit error says so and the fit is left out.

    max_fit_mm: mean distance between posed and annotated joints beyond which a fit is not taken.
    """

    def __init__(self, *, hand: HandAsset, max_fit_mm: float) -> None:
        self.layer = ManoLayer(asset=hand)
        self.mean = np.asarray(hand.hands_mean, np.float64).reshape(15, 3)
        self.max_fit_mm = max_fit_mm

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
        turn = _MIRROR_ROTVEC if fit.side == "left" else np.ones(3)
        point = _MIRROR_POINT if fit.side == "left" else np.ones(3)
        rotvec = fit.rotvec.copy()
        rotvec[1:] += self.mean * turn
        rotvec[0] = (Rotation.from_matrix(rotation) * Rotation.from_rotvec(rotvec[0])).as_rotvec()
        joints = self._posed(rotvec * turn, fit.betas) * point
        # MANO turns about its wrist, which is not its origin, so the translation turns with it.
        wrist = joints[0]
        transl = rotation @ (wrist + fit.transl - position) - wrist
        at = (index, 0)
        valid = arrays["kp3d_conf"][at] > 0
        distance = np.linalg.norm(joints + transl - arrays["kp3d"][at], axis=1)[valid]
        arrays["fit_error"][at] = error = _MM_PER_M * distance.mean()
        if error > self.max_fit_mm:
            return
        arrays["mano_global"][at], arrays["mano_pose"][at] = rotvec[0], rotvec[1:].ravel()
        arrays["mano_betas"][at], arrays["mano_transl"][at] = fit.betas, transl
        for name in ("has_mano_pose", "has_mano_betas", "has_mano_transl"):
            arrays[name][at] = 1

    def _posed(self, rotvec: np.ndarray, betas: np.ndarray) -> np.ndarray:
        """(21, 3) m, joints of the right model in its own frame."""
        rotmats = Rotation.from_rotvec(rotvec).as_matrix()
        with torch.no_grad():
            _, joints = self.layer(
                torch.from_numpy(rotmats).float()[None], torch.from_numpy(betas).float()[None]
            )
        return joints[0].double().numpy()

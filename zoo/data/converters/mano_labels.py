"""Released MANO parameters in the schema's convention, kept only where they pose the joints."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from zoo.contracts import HandAsset
from zoo.mano.layer import ManoLayer
from zoo.mano.topology import MANO_FROM_OPENPOSE

_MIRROR_POINT = np.array([-1.0, 1.0, 1.0])
_MIRROR_ROTVEC = np.array([1.0, -1.0, -1.0])
_MM_PER_M = 1000.0


class ManoLabels:
    """Writes poses, absolute and in the camera, where the posed hand meets the labelled joints.

    The left hand is the mirror image of the right model, mean pose and components included.

    max_fit_mm: mean distance between posed and labelled joints beyond which a fit is not taken.
    tips: compare finger tips too. Sets call other vertices the tips, millimetres apart.
    """

    def __init__(self, *, hand: HandAsset, max_fit_mm: float, tips: bool = False) -> None:
        self.name, self.layer = hand.name, ManoLayer(asset=hand)
        self.mean = np.asarray(hand.hands_mean, np.float64)
        self.components = np.asarray(hand.hands_components, np.float64)
        self.max_fit_mm = max_fit_mm
        self.compared = np.arange(21) if tips else np.array(MANO_FROM_OPENPOSE)

    def absolute(self, residual: np.ndarray, side: str) -> np.ndarray:
        """(45,) rad, final rotations, from those relative to the mean hand."""
        return np.asarray(residual, np.float64).ravel() + self._sided(self.mean, side)

    def from_components(self, coefficients: np.ndarray, side: str) -> np.ndarray:
        """(45,) rad, final rotations, from n <= 45 coefficients of the pose space."""
        coefficients = np.asarray(coefficients, np.float64).ravel()
        residual = coefficients @ self.components[: len(coefficients)]
        return self.absolute(self._sided(residual, side), side)

    def posed(self, rotvec: np.ndarray, betas: np.ndarray, side: str) -> np.ndarray:
        """(21, 3) m, joints in MANO's own frame of that side."""
        turned = np.asarray(rotvec, np.float64).reshape(16, 3)
        if side == "left":
            turned = turned * _MIRROR_ROTVEC
        rotmats = torch.from_numpy(Rotation.from_rotvec(turned).as_matrix()).float()
        with torch.no_grad():
            _, joints = self.layer(rotmats[None], torch.as_tensor(betas).float()[None])
        joints = joints[0].double().numpy()
        return joints * _MIRROR_POINT if side == "left" else joints

    def write(
        self,
        arrays: Mapping[str, np.ndarray],
        *,
        side: str,
        rotvec: np.ndarray,
        betas: np.ndarray,
        wrist: Callable[[np.ndarray], np.ndarray],
        hand: int = 0,
    ) -> None:
        """MANO arrays of one hand, and `fit_error` (mm) whether the fit is taken or not.

        rotvec: (48,) rad, absolute, the root in the camera. betas: (10,).
        wrist: where MANO's own wrist (3,) m lies in the camera. MANO turns about its wrist, which
            is not its origin, so a translation alone does not say that.
        """
        rotvec, betas = np.asarray(rotvec, float).ravel(), np.asarray(betas, float).ravel()
        if not np.isfinite(rotvec).all() or not np.isfinite(betas).all():
            return
        joints = self.posed(rotvec, betas, side)
        transl = wrist(joints[0]) - joints[0]
        at = (hand, 0)
        chosen = self.compared[arrays["kp3d_conf"][at][self.compared] > 0]
        if not len(chosen):
            return
        distance = np.linalg.norm((joints + transl - arrays["kp3d"][at])[chosen], axis=1)
        arrays["fit_error"][at] = error = _MM_PER_M * distance.mean()
        if not error <= self.max_fit_mm:
            return
        arrays["mano_global"][at], arrays["mano_pose"][at] = rotvec[:3], rotvec[3:]
        arrays["mano_betas"][at], arrays["mano_transl"][at] = betas, transl
        for name in ("has_mano_pose", "has_mano_betas", "has_mano_transl"):
            arrays[name][at] = 1

    def _sided(self, rotvecs: np.ndarray, side: str) -> np.ndarray:
        if side == "right":
            return rotvecs.ravel()
        return (rotvecs.reshape(15, 3) * _MIRROR_ROTVEC).ravel()


def mano_meta(
    labels: ManoLabels | None, *, fit: str, left: str = "na", betas: str = "per_frame"
) -> dict[str, object]:
    """The `mano` entry of meta.json.

    fit: who made the fits. left: "fixed", "unfixed" or "na", of the left model's shape space.
    """
    if labels is None:
        return {"left_shapedirs": "na", "betas": betas, "transl": "none", "fit": None}
    return {
        "left_shapedirs": left,
        "betas": betas,
        "transl": "smplx",
        "fit": fit,
        "model": labels.name,
        "tolerance_mm": labels.max_fit_mm,
    }

"""A sample's camera against its own labels: nothing later could tell a wrong one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from zoo.data.schema import ClipSample

_FAR = 0.5  # longer sides of the hand; `zoo data check` holds converted labels to half a pixel
_SLACK = 2.0  # px


def check_camera(sample: ClipSample, hand: int, frame: int) -> None:
    """Raises BadSample where K is no camera, or sees the joints elsewhere than their keypoints.

    Measured keypoints lie beside projected joints by some pixels; half a hand is no such thing.
    """
    arrays, at = sample.arrays, (hand, frame)
    if not arrays["has_K"][frame]:
        return
    intrinsics = arrays["K"][frame].astype(np.float64)
    if not (intrinsics[[0, 1], [0, 1]] > 0).all() or intrinsics[[1, 2, 2], [0, 0, 1]].any():
        raise sample.bad("K", "is no camera: focal lengths are above 0 px, K[1, 0] and K[2, :2] 0")
    if intrinsics[2, 2] != 1:
        raise sample.bad("K", f"is no camera: K[2, 2] is 1, not {intrinsics[2, 2]:g}")
    joints = arrays["kp3d"][at].astype(np.float64)
    if (joints[arrays["kp3d_conf"][at] > 0, 2] <= 0).any():
        raise sample.bad("kp3d", "a labelled joint is not in front of the camera (OpenCV: z > 0)")
    both = (arrays["kp3d_conf"][at] > 0) & (arrays["kp2d_conf"][at] > 0)
    if not both.any():
        return
    image, keypoints = joints[both] @ intrinsics.T, arrays["kp2d"][at][both]
    off = float(np.median(np.linalg.norm(image[:, :2] / image[:, 2:] - keypoints, axis=1)))
    size = float(np.ptp(keypoints, axis=0).max())
    if arrays["has_bbox"][at]:
        box = arrays["bbox_xyxy"][at]
        size = max(size, float((box[2:] - box[:2]).max()))
    if not off <= _FAR * size + _SLACK:
        raise sample.bad("K", f"sees the joints {off:.4g} px away from their keypoints")

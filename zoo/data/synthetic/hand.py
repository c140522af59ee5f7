"""Poses clayhand in numpy, so that a worker that renders need not start torch's machinery."""

from __future__ import annotations

import numpy as np

from zoo.contracts import HandAsset
from zoo.mano.topology import OPENPOSE_FROM_MANO, TIP_VERTICES

_ORDER, _TIPS = np.array(OPENPOSE_FROM_MANO), np.array(TIP_VERTICES)


class PosableHand:
    """Linear blend skinning of one asset, float64, one hand at a time."""

    def __init__(self, asset: HandAsset) -> None:
        """asset: any hand in MANO's layout."""
        self._vertices = asset.v_template.astype(np.float64)
        self._shapes = asset.shapedirs.reshape(-1, 10).astype(np.float64)
        # Correctives are millimetres: single precision keeps them to a nanometre.
        self._poses = asset.posedirs.reshape(-1, 135).astype(np.float32)
        self._weights = asset.weights.astype(np.float64)
        self._joints = np.asarray(asset.joint_regressor, np.float64)
        self._parents = asset.parents

    def pose(self, rotmats: np.ndarray, betas: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Vertices and joints in MANO's own frame.

        rotmats: (16, 3, 3) absolute.
        betas: (10,).
        returns: vertices (778, 3) m, joints (21, 3) m in OpenPose order.
        """
        shaped = self._vertices + (self._shapes @ betas).reshape(-1, 3)
        rest = self._joints @ shaped
        bend = (rotmats[1:] - np.eye(3)).ravel().astype(np.float32)
        bent = shaped + (self._poses @ bend).reshape(-1, 3)
        turns, places = [rotmats[0]], [rest[0]]
        for k, parent in enumerate(self._parents[1:], 1):
            turns.append(turns[parent] @ rotmats[k])
            places.append(places[parent] + turns[parent] @ (rest[k] - rest[parent]))
        turn, place = np.stack(turns), np.stack(places)
        offset = place - np.einsum("kij,kj->ki", turn, rest)
        move = self._weights @ np.concatenate([turn.reshape(16, 9), offset], 1)
        vertices = np.einsum("vij,vj->vi", move[:, :9].reshape(-1, 3, 3), bent) + move[:, 9:]
        return vertices, np.concatenate([place, vertices[_TIPS]])[_ORDER]

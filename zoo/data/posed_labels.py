"""Poses MANO labels again and tells how far the labelled joints are from where they then lie."""

from __future__ import annotations

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from zoo.contracts import HandAsset
from zoo.data.laws import LabelledHand
from zoo.mano.layer import ManoLayer

_BATCH = 256
_FLAGS = ("has_mano_pose", "has_mano_betas", "has_mano_transl")
_MM_PER_M = 1000.0


class PosedLabels:
    """Compares many hands at once; those that are not labelled completely pass by.

    asset: the hand the labels were fitted with; left hands are its mirror image.
    """

    def __init__(self, asset: HandAsset) -> None:
        self.layer = ManoLayer(asset=asset)
        self.waiting: list[LabelledHand] = []

    def add(self, hand: LabelledHand) -> list[tuple[LabelledHand, float]]:
        """Takes a hand in; gives back the hands of a full batch and their errors, else nothing."""
        if all(hand[name] for name in _FLAGS) and (hand["kp3d_conf"] > 0).all():
            self.waiting.append(hand)
        return self.compare() if len(self.waiting) >= _BATCH else []

    def compare(self) -> list[tuple[LabelledHand, float]]:
        """The hands taken in since the last time, and their mean distance of 21 joints, mm."""
        hands, self.waiting = self.waiting, []
        if not hands:
            return []
        left = np.array([hand.side == "left" for hand in hands])[:, None, None]
        rotvec = np.stack([np.r_[hand["mano_global"], hand["mano_pose"]] for hand in hands])
        rotvec = rotvec.reshape(-1, 16, 3) * np.where(left, (1, -1, -1), (1, 1, 1))
        joints = self._posed(rotvec, np.stack([hand["mano_betas"] for hand in hands]))
        joints = joints * np.where(left, (-1, 1, 1), (1, 1, 1))
        joints += np.stack([hand["mano_transl"] for hand in hands])[:, None]
        labelled = np.stack([hand["kp3d"] for hand in hands])
        distances = _MM_PER_M * np.linalg.norm(joints - labelled, axis=-1).mean(1)
        return list(zip(hands, distances.tolist(), strict=True))

    def _posed(self, rotvec: np.ndarray, betas: np.ndarray) -> np.ndarray:
        """(B, 21, 3) m, joints in MANO's own frame."""
        rotmats = Rotation.from_rotvec(rotvec.reshape(-1, 3)).as_matrix()
        rotmats = torch.from_numpy(rotmats.reshape(*rotvec.shape[:2], 3, 3))
        with torch.no_grad():
            _, joints = self.layer(rotmats, torch.from_numpy(betas))
        return joints.double().numpy()

"""Changes of view that an augmentation may choose: CS-ViT2's, and the turn of HaMeR.

An augmentation only chooses; `zoo.geometry.view` applies. Four optional attributes tell the
preprocessing more: `in_evaluation` (it is no augmentation but part of the method, so evaluation
does it too), `breaks_mano` (where it stretches, the MANO label no longer fits), `keeps_shape`
(it only moves the hand, whatever it does to the space around it) and `moves` ("picture" or
"labels", where the one goes without the other: see `zoo.geometry.labels`).
"""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from zoo.augment.draws import chosen, normal, require_fraction, require_range, uniform
from zoo.contracts import ViewChange
from zoo.geometry.camera import rays
from zoo.geometry.rotation import rotation_about_z, rotvec_to_rotmat
from zoo.geometry.view import unchanged


class Roll:
    """Turns the camera about its optical axis.

    Args:
        max_degrees: largest angle to either side.
        distribution: "uniform", or "normal": max_degrees / 2 times a standard normal number cut
            off at +-2 (HaMeR: max_degrees 60).
        probability: share of hands that are turned at all (HaMeR: 0.6).
        labels: "as_released" turns picture and keypoints and leaves joints and orientation as they
            were, as the loaders of UTNet do: no network can then be better than 13 mm a coordinate
            where a quarter of the hands is turned by up to 180 degrees.
    """

    def __init__(
        self,
        *,
        max_degrees: float = 180.0,
        distribution: Literal["uniform", "normal"] = "uniform",
        probability: float = 1.0,
        labels: Literal["as_released", "corrected"] = "corrected",
    ) -> None:
        if distribution not in ("uniform", "normal"):
            raise ValueError(f"roll.distribution is 'uniform' or 'normal', not {distribution!r}")
        if labels not in ("as_released", "corrected"):
            raise ValueError(f"roll.labels is 'as_released' or 'corrected', not {labels!r}")
        self.moves = "picture" if labels == "as_released" else "all"
        self.max_angle = math.radians(max_degrees)
        self.distribution = distribution
        self.probability = require_fraction("roll.probability", probability)

    def __call__(self, intrinsics: Tensor, hand_box: Tensor, rng: Generator) -> ViewChange:
        if self.distribution == "uniform":
            unit = uniform(rng, len(intrinsics), -1, 1, intrinsics)
        else:
            unit = normal(rng, len(intrinsics), intrinsics, clip=2.0) / 2
        turned = torch.zeros(len(intrinsics))
        turned[chosen(rng, len(intrinsics), self.probability)] = 1
        angle = unit * self.max_angle * turned.to(unit)
        return ViewChange(rotation_about_z(angle), intrinsics)


class ZScale:
    """Stretches space along the optical axis, as CS-ViT2 does to vary depth.

    The picture of a stretched space is the picture zoomed about the principal point; but no MANO
    parameters describe a stretched hand.

    Args:
        scale: (low, high) of the factor.
        mano: "rigid" moves the hand to the stretched wrist and keeps its shape, so that joints and
            MANO agree; its joints are then seen up to a few px beside the keypoints of the picture,
            most where a hand deep along z is far off the axis. "drop" takes the MANO label of a
            stretched hand away. "keep" stretches the joints and keeps a MANO label that disagrees
            with them by up to the factor along z (CS-ViT2 as released).
    """

    def __init__(
        self,
        *,
        scale: tuple[float, float] = (0.9, 1.1),
        mano: Literal["rigid", "drop", "keep"] = "drop",
    ) -> None:
        if mano not in ("rigid", "drop", "keep"):
            raise ValueError(f"z_scale.mano is 'rigid', 'drop' or 'keep', not {mano!r}")
        self.scale = require_range("z_scale.scale", scale, least=0)
        self.breaks_mano, self.keeps_shape = mano == "drop", mano == "rigid"

    def __call__(self, intrinsics: Tensor, hand_box: Tensor, rng: Generator) -> ViewChange:
        factor = uniform(rng, len(intrinsics), *self.scale, intrinsics)
        one = torch.ones_like(factor)
        linear = torch.diag_embed(torch.stack((one, one, factor), dim=-1))
        return ViewChange(linear, intrinsics)


class FocalScale:
    """Zooms: both focal lengths times one factor, about the principal point.

    Args:
        scale: (low, high) of the factor.
    """

    def __init__(self, *, scale: tuple[float, float] = (0.9, 1.1)) -> None:
        self.scale = require_range("focal_scale.scale", scale, least=0)

    def __call__(self, intrinsics: Tensor, hand_box: Tensor, rng: Generator) -> ViewChange:
        factor = uniform(rng, len(intrinsics), *self.scale, intrinsics)[:, None]
        changed = intrinsics.clone()
        changed[:, :2, :2] = intrinsics[:, :2, :2] * factor[:, None]
        return ViewChange(unchanged(intrinsics).linear, changed)


class PrincipalPointNoise:
    """Shifts the picture behind the camera; a crop that follows the hand looks the same after.

    Args:
        fraction: standard deviation per axis, in distances of the principal point from the
            top-left pixel (CS-ViT2: 0.1111).
    """

    def __init__(self, *, fraction: float = 0.1111) -> None:
        self.fraction = require_fraction("principal_point_noise.fraction", fraction)

    def __call__(self, intrinsics: Tensor, hand_box: Tensor, rng: Generator) -> ViewChange:
        distance = torch.linalg.vector_norm(intrinsics[:, :2, 2], dim=-1, keepdim=True)
        noise = normal(rng, len(intrinsics), intrinsics, dims=(2,))
        changed = intrinsics.clone()
        changed[:, :2, 2] = intrinsics[:, :2, 2] + self.fraction * distance * noise
        return ViewChange(unchanged(intrinsics).linear, changed)


class PerspectiveRotation:
    """Tilts the camera about a random axis in the picture plane.

    Args:
        max_degrees: largest angle, below 60 so that the picture stays in front of the camera.
    """

    def __init__(self, *, max_degrees: float = 15.0) -> None:
        if not 0 <= max_degrees < 60:
            raise ValueError(
                f"perspective_rotation.max_degrees lies in [0, 60), not {max_degrees}; "
                "larger tilts turn the hand out of view"
            )
        self.max_angle = math.radians(max_degrees)

    def __call__(self, intrinsics: Tensor, hand_box: Tensor, rng: Generator) -> ViewChange:
        angle = uniform(rng, len(intrinsics), 0, self.max_angle, intrinsics)
        direction = uniform(rng, len(intrinsics), 0, 2 * math.pi, intrinsics)
        axis = torch.stack((direction.cos(), direction.sin(), torch.zeros_like(angle)), dim=-1)
        return ViewChange(rotvec_to_rotmat(axis * angle[:, None]), intrinsics)


class PerspectiveNormalization:
    """Turns the camera towards the middle of the hand box, in evaluation too (CS-ViT2)."""

    in_evaluation = True

    def __call__(self, intrinsics: Tensor, hand_box: Tensor, rng: Generator | None) -> ViewChange:
        center = (hand_box[:, None, :2] + hand_box[:, None, 2:]) / 2
        x, y, z = rays(center, intrinsics)[:, 0].unbind(-1)
        off_axis = torch.hypot(x, y)
        # the shortest turn to (0, 0, 1) is about the axis across the ray
        across = F.normalize(torch.stack((y, -x, torch.zeros_like(x)), dim=-1), dim=-1)
        turn = across * torch.atan2(off_axis, z)[:, None]
        return ViewChange(rotvec_to_rotmat(turn), intrinsics)

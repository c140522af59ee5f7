"""The one place that moves pixels, points, orientation and camera, so that they move together.

A change of view is a pair (L, K'): points move by L, the picture by the homography K' L K^-1. Any
number of changes composes to one pair, so a crop is sampled from its picture exactly once.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.contracts import CropView, HandTarget, ViewChange
from zoo.geometry.camera import inverse_intrinsics
from zoo.geometry.depth import warp_depth
from zoo.geometry.rotation import nearest_rotation


def unchanged(intrinsics: Tensor) -> ViewChange:
    """The change that changes nothing.

    intrinsics: (B, 3, 3) px.
    """
    identity = torch.eye(3, dtype=intrinsics.dtype, device=intrinsics.device)
    return ViewChange(linear=identity.expand_as(intrinsics), intrinsics=intrinsics)


def compose(first: ViewChange, then: ViewChange) -> ViewChange:
    """One change that does `first` and `then`, where `then` was chosen for first's camera."""
    return ViewChange(linear=then.linear @ first.linear, intrinsics=then.intrinsics)


def mirrored(intrinsics: Tensor, width: Tensor, where: Tensor) -> ViewChange:
    """The view in a mirror that maps pixel column x to W - 1 - x; unchanged where not asked for.

    intrinsics: (B, 3, 3) px.
    width: (B,) px of the picture.
    where: (B,) bool, the hands to mirror.
    """
    sign = torch.where(where, -1.0, 1.0).to(intrinsics.dtype)
    linear = torch.diag_embed(torch.stack((sign, sign.abs(), sign.abs()), dim=-1))
    flip = linear.clone()
    flip[:, 0, 2] = torch.where(where, width - 1, 0).to(flip.dtype)
    return ViewChange(linear=linear, intrinsics=flip @ intrinsics @ linear)


def pixel_homography(change: ViewChange, intrinsics: Tensor) -> Tensor:
    """K' L K^-1: where the pixels of the old camera go in the new one.

    intrinsics: (B, 3, 3) px, the camera before the change.
    returns: (B, 3, 3), new ~ homography @ old.
    """
    return change.intrinsics @ change.linear @ inverse_intrinsics(intrinsics)


def inverse_homography(change: ViewChange, intrinsics: Tensor) -> Tensor:
    """K L^-1 K'^-1: where the pixels of the new camera came from, scaled to a last entry of 1.

    intrinsics: (B, 3, 3) px, the camera before the change.
    returns: (B, 3, 3), old ~ homography @ new.
    """
    inverse = torch.linalg.inv_ex(change.linear).inverse  # no device synchronisation
    homography = intrinsics @ inverse @ inverse_intrinsics(change.intrinsics)
    return homography / homography[..., 2:, 2:]


def move_points(points: Tensor, homography: Tensor) -> Tensor:
    """Pixels carried along by a homography.

    points: (..., N, 2) px.
    homography: (..., 3, 3).
    returns: (..., N, 2) px.
    """
    moved = F.pad(points, (0, 1), value=1.0) @ homography.mT
    return moved[..., :2] / moved[..., 2:]


def move_box(box: Tensor, homography: Tensor) -> Tensor:
    """A box of the same shape where its centre goes, larger or smaller as the picture there is.

    A box is not turned with its picture: the box around a turned box would grow with every turn.

    box: (B, 4) px, x0 y0 x1 y1.
    homography: (B, 3, 3).
    returns: (B, 4) px.
    """
    center, half = (box[:, :2] + box[:, 2:]) / 2, (box[:, 2:] - box[:, :2]) / 2
    depth = (F.pad(center, (0, 1), value=1.0) * homography[:, 2]).sum(-1)
    # the determinant of the homography's derivative at the centre is det H / depth^3
    area = (torch.linalg.det(homography) / depth**3).abs()
    half = half * area.sqrt()[:, None]
    center = move_points(center[:, None], homography)[:, 0]
    return torch.cat((center - half, center + half), dim=-1)


def turn(rotmats: Tensor, linear: Tensor) -> Tensor:
    """A hand's rotations after its points moved by L.

    The orientation follows the rotation part of L (its polar factor). Where L mirrors, the hand
    becomes one of the other side: every rotation is conjugated by diag(-1, 1, 1) first.

    rotmats: (B, K, 3, 3), rotmats[:, 0] turns the hand into the camera frame.
    linear: (B, 3, 3).
    returns: (B, K, 3, 3).
    """
    sign = torch.where(torch.linalg.det(linear) < 0, -1.0, 1.0).to(linear.dtype)
    mirror = torch.stack((sign, sign.abs(), sign.abs()), dim=-1)
    turned = rotmats * (mirror[:, :, None] * mirror[:, None, :])[:, None]
    rotation = nearest_rotation(linear * mirror[:, None, :])
    return torch.cat((rotation[:, None] @ turned[:, :1], turned[:, 1:]), dim=1)


def move_target(target: HandTarget, intrinsics: Tensor, change: ViewChange) -> HandTarget:
    """Labels as they are seen after the change; invalid ones become zeros.

    intrinsics: (B, 3, 3) px, the camera the labels are in.
    """

    def points(xyz: Tensor, valid: Tensor) -> Tensor:
        return _where_valid(xyz @ change.linear.mT, valid)

    keypoints = move_points(target.keypoints, pixel_homography(change, intrinsics))
    moved = dataclasses.replace(
        target,
        rotmats=_where_valid(turn(target.rotmats, change.linear), target.has_mano),
        betas=_where_valid(target.betas, target.has_mano),
        joints=points(target.joints, target.joints_valid),
        keypoints=_where_valid(keypoints, target.keypoints_valid),
    )
    if target.vertices is None:
        return moved
    return dataclasses.replace(moved, vertices=points(target.vertices, target.vertices_valid))


def unstretched(target: HandTarget, linear: Tensor) -> HandTarget:
    """The hand as large and as shaped as it was, at the wrist that a stretch moved.

    Joints then agree with MANO's parameters again; keypoints stay where the picture shows them.

    target: labels after the change.
    linear: (B, 3, 3) of the change.
    """
    shape = without_stretch(linear)
    wrist, has_wrist = target.joints[:, :1], target.joints_valid[:, :1] > 0

    def about_wrist(points: Tensor, valid: Tensor) -> Tensor:
        moved = wrist + (points - wrist) @ shape.mT
        return torch.where((has_wrist & (valid > 0))[..., None], moved, points)

    moved = dataclasses.replace(target, joints=about_wrist(target.joints, target.joints_valid))
    if target.vertices is None or target.vertices_valid is None:
        return moved
    vertices = about_wrist(target.vertices, target.vertices_valid[:, None])
    return dataclasses.replace(moved, vertices=vertices)


def without_stretch(linear: Tensor) -> Tensor:
    """What takes the stretch out of points that were moved by L: its polar factor times L^-1.

    linear: (B, 3, 3).
    returns: (B, 3, 3).
    """
    mirror = torch.ones_like(linear[:, 0])
    mirror[:, 0] = torch.linalg.det(linear).sign()
    turned = nearest_rotation(linear * mirror[:, None]) * mirror[:, None]  # the polar factor
    return turned @ torch.linalg.inv_ex(linear).inverse


def apply(
    images: Sequence[Tensor],
    target: HandTarget,
    *,
    intrinsics: Tensor,
    hand_box: Tensor,
    is_left: Tensor,
    change: ViewChange,
    size: tuple[int, int],
    blur: float | None = None,
    depths: Sequence[Tensor | None] = (),
) -> tuple[CropView, HandTarget]:
    """Crops and labels after one change of view: one warp, everything moved by the same matrices.

    images: B pictures (3, h, w) uint8 RGB of differing sizes.
    target: labels in the pictures' pixels and camera.
    intrinsics: (B, 3, 3) px, of the pictures.
    hand_box: (B, 4) px, already in the crop.
    is_left: (B,) bool, passed on.
    change: from the pictures' cameras to the crops'.
    size: (H, W) px of the crops; blur: see `warp_to_crop`.
    depths: B depth maps of the pictures, None where there is none, or nothing at all.
    """
    crop_from_frame = pixel_homography(change, intrinsics)
    view = CropView(
        images=warp_to_crop(images, crop_from_frame, size, blur=blur),
        intrinsics=change.intrinsics,
        hand_box=hand_box,
        frame_from_crop=inverse_homography(change, intrinsics),
        is_left=is_left,
        depth=warp_depth(depths, crop_from_frame, size),
    )
    return view, move_target(target, intrinsics, change)


def warp_to_crop(
    images: Sequence[Tensor],
    crop_from_frame: Tensor,
    size: tuple[int, int],
    *,
    blur: float | None = None,
) -> Tensor:
    """Crops sampled bilinearly, black outside the picture, on the device of `crop_from_frame`.

    On a CPU OpenCV warps them one by one and rounds to whole grey levels; elsewhere one batched
    grid sample does not round. The two agree to half a level.

    images: B pictures (3, h, w) uint8; a permuted (h, w, 3) array is read without a copy.
    crop_from_frame: (B, 3, 3).
    size: (H, W) px.
    blur: None, or the fraction q of the shrink factor f from which on a picture is smoothed before
        it is shrunk: sigma = (q f - 1) / 2 px where q f > 1.1. HaMeR's demo has q = 0.5.
    returns: (B, 3, H, W) float32 in [0, 1].
    """
    sigmas = _blur_sigmas(images, crop_from_frame, size, blur)
    if crop_from_frame.device.type == "cpu":
        return _warp_each(images, crop_from_frame, size, sigmas)
    return _warp_batched(images, crop_from_frame, size, sigmas)


def _warp_each(
    images: Sequence[Tensor], crop_from_frame: Tensor, size: tuple[int, int], sigmas: list[float]
) -> Tensor:
    crops = np.empty((len(images), 3, *size), dtype=np.uint8)
    matrices = crop_from_frame.detach().double().numpy()
    for image, matrix, sigma, crop in zip(images, matrices, sigmas, crops, strict=True):
        picture = np.ascontiguousarray(image.permute(1, 2, 0).numpy())
        if sigma:
            width = 2 * int(4 * sigma + 0.5) + 1
            replicate = cv2.BORDER_REPLICATE
            picture = cv2.GaussianBlur(picture, (width, width), sigma, borderType=replicate)
        warped = cv2.warpPerspective(picture, matrix, size[::-1], flags=cv2.INTER_LINEAR)
        cv2.split(warped, list(crop))
    return torch.from_numpy(crops).float().div_(255)


def _warp_batched(
    images: Sequence[Tensor], crop_from_frame: Tensor, size: tuple[int, int], sigmas: list[float]
) -> Tensor:
    """One grid sample over the pictures padded with black to a common size."""
    device = crop_from_frame.device
    height = max(image.shape[1] for image in images)
    width = max(image.shape[2] for image in images)
    pictures = torch.zeros(len(images), 3, height, width, device=device)
    for picture, image, sigma in zip(pictures, images, sigmas, strict=True):
        pixels = image.to(device, non_blocking=True).float()
        picture[:, : image.shape[1], : image.shape[2]] = _smooth(pixels, sigma)
    frame_from_crop = torch.linalg.inv_ex(crop_from_frame.double()).inverse
    ys, xs = torch.meshgrid(*(torch.arange(n, device=device) for n in size), indexing="ij")
    pixels = torch.stack((xs, ys), dim=-1).flatten(0, 1).double()
    sources = move_points(pixels.expand(len(images), -1, -1), frame_from_crop)
    span = sources.new_tensor((max(width - 1, 1), max(height - 1, 1)))
    grid = (sources / span * 2 - 1).float().unflatten(1, size)
    return F.grid_sample(pictures, grid, padding_mode="zeros", align_corners=True) / 255


def _smooth(pixels: Tensor, sigma: float) -> Tensor:
    if not sigma:
        return pixels
    from kornia.filters import gaussian_blur2d  # loaded only by those who blur

    width = 2 * int(4 * sigma + 0.5) + 1
    pad = width // 2
    padded = F.pad(pixels[None], (pad, pad, pad, pad), mode="replicate")
    blurred = gaussian_blur2d(padded, (width, width), (sigma, sigma), border_type="constant")
    return blurred[0, :, pad:-pad, pad:-pad]


def _blur_sigmas(
    images: Sequence[Tensor], crop_from_frame: Tensor, size: tuple[int, int], blur: float | None
) -> list[float]:
    """Per picture, the width in px of the Gaussian it needs; 0 for none."""
    if blur is None:
        return [0.0] * len(images)
    center = crop_from_frame.new_tensor((size[1] / 2, size[0] / 2)).expand(len(images), 2)
    box = torch.cat((center - 0.5, center + 0.5), dim=-1)
    frame_box = move_box(box, torch.linalg.inv(crop_from_frame))
    shrinks = (frame_box[:, 2] - frame_box[:, 0]).tolist()
    return [(blur * f - 1) / 2 if math.isfinite(f) and blur * f > 1.1 else 0.0 for f in shrinks]


def _where_valid(values: Tensor, valid: Tensor) -> Tensor:
    known = (valid > 0).view(*valid.shape, *[1] * (values.ndim - valid.ndim))
    return torch.where(known, values, torch.zeros_like(values))

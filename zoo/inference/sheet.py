"""A page of crops with label and prediction side by side: what a training leaves to look at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from zoo.contracts import CropView, HandMesh, HandTarget
from zoo.geometry.alignment import align
from zoo.inference.files import write_png
from zoo.inference.overlay import PAPER, SIDE_COLOURS, draw_skeleton, write_text
from zoo.inference.shading import Surface, draw_surfaces

_GAP = 4  # px between the two pictures of a hand
_MARGIN = 10  # px around a hand


def overlay_sheet(
    view: CropView,
    target: HandTarget,
    mesh: HandMesh,
    faces: Tensor,
    *,
    intrinsics: Tensor | None = None,
    names: Sequence[str] = (),
    columns: int = 3,
    tile: int = 224,
) -> np.ndarray:
    """A grid of hands: crop with the labelled skeleton, crop with the predicted mesh and skeleton.

    Under each stands its error in mm: wrist on wrist, and after Procrustes; in px of the crop
    where joints are not labelled in 3D. Hands stay as the network saw them, right ones all.

    mesh: the prediction, in the camera of the crops.
    faces: (F, 3) of the mesh.
    intrinsics: (B, 3, 3) crop px, the camera the mesh was placed in; None takes the crops' own.
    names: one a hand, or none.
    tile: px, the height of a crop on the page.
    returns: (h, w, 3) uint8 RGB.
    """
    view, target, mesh = (
        record.detach().to("cpu", torch.float64) for record in (view, target, mesh)
    )
    cameras = view.intrinsics if intrinsics is None else intrinsics.detach().cpu().double()
    texts = error_texts(target, mesh)
    cells = []
    for i in range(len(view)):
        pair = _pair(view, target, mesh, cameras[i], faces, i, tile)
        name = f"{names[i]}  " if names else ""
        cells.append(_captioned(pair, name, texts[i]))
    return _grid(cells, columns)


def write_sheet(path: Path | str, sheet: np.ndarray, *, overwrite: bool = False) -> Path:
    """The path of the sheet as a PNG; raises ValueError where it stands and may not be replaced."""
    return write_png(path, sheet, overwrite=overwrite)


def error_texts(target: HandTarget, mesh: HandMesh) -> list[str]:
    """One line a hand: "wrist 12.3 mm, aligned 6.1 mm", or "4.2 px", or "no label"."""
    joints, valid = target.joints, target.joints_valid > 0
    relative = mesh.joints - mesh.joints[:, :1] + joints[:, :1]
    aligned = align(mesh.joints, joints, valid, scale=True, rotate=True)
    rows = zip(
        _mean_distance(relative, joints, valid & valid[:, :1]),
        _mean_distance(aligned, joints, valid),
        _mean_distance(mesh.keypoints, target.keypoints, target.keypoints_valid > 0),
        strict=True,
    )
    return [_text(*(value.item() for value in row)) for row in rows]


def _mean_distance(points: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """(B,) mean over the valid points, NaN where there is none."""
    distance = torch.where(valid, (points - target).norm(dim=-1), 0)
    return distance.sum(-1) / torch.where(valid.any(-1), valid.sum(-1), torch.nan)


def _text(wrist: float, aligned: float, pixels: float) -> str:
    if np.isfinite(wrist):
        return f"wrist {1000 * wrist:.1f} mm, aligned {1000 * aligned:.1f} mm"
    if np.isfinite(aligned):
        return f"aligned {1000 * aligned:.1f} mm"
    return f"{pixels:.1f} px" if np.isfinite(pixels) else "no label"


def _pair(
    view: CropView,
    target: HandTarget,
    mesh: HandMesh,
    camera: Tensor,
    faces: Tensor,
    i: int,
    tile: int,
) -> np.ndarray:
    """Label and prediction of hand i, next to each other."""
    scale = tile / view.crop_size[0]
    crop = (255 * view.images[i].permute(1, 2, 0).numpy()).round().clip(0, 255).astype(np.uint8)
    crop = cv2.resize(crop, (round(scale * view.crop_size[1]), tile), interpolation=cv2.INTER_CUBIC)
    shift = np.array([[scale, 0, (scale - 1) / 2], [0, scale, (scale - 1) / 2], [0, 0, 1]])
    width = tile / 110

    def on_page(keypoints: Tensor) -> np.ndarray:
        return keypoints.numpy() * scale + (scale - 1) / 2

    labelled = draw_skeleton(
        crop,
        on_page(target.keypoints[i]),
        valid=target.keypoints_valid[i].numpy(),
        width=width,
    )
    surface = Surface(
        mesh.vertices[i].numpy(),
        faces.detach().cpu().numpy(),
        shift @ camera.numpy(),
        SIDE_COLOURS["right"],
    )
    predicted = draw_surfaces(crop, [surface], opacity=0.8)
    predicted = draw_skeleton(predicted, on_page(mesh.keypoints[i]), width=width)
    gap = np.full((tile, _GAP, 3), PAPER, np.uint8)
    return np.concatenate((labelled, gap, predicted), 1)


def _captioned(pair: np.ndarray, name: str, text: str) -> np.ndarray:
    size = max(11, pair.shape[0] // 18)
    strip = np.full((round(1.7 * size), pair.shape[1], 3), PAPER, np.uint8)
    room = max(0, int(pair.shape[1] / (0.56 * size)) - len(text) - 2)
    name = name if len(name) <= room else f"…{name[len(name) - room :]}" if room > 4 else ""
    strip = write_text(strip, (1, 1), name + text, size=size)
    framed = np.concatenate((pair, strip), 0)
    return np.pad(framed, ((_MARGIN, 0), (_MARGIN, 0), (0, 0)), constant_values=PAPER[0])


def _grid(cells: Sequence[np.ndarray], columns: int) -> np.ndarray:
    if not cells:
        raise ValueError("an overlay sheet needs at least one hand; none was given")
    rows = []
    blank = np.full_like(cells[0], PAPER[0])
    for start in range(0, len(cells), columns):
        row = list(cells[start : start + columns])
        missing = columns - len(row) if len(cells) > columns else 0
        rows.append(np.concatenate(row + [blank] * missing, 1))
    page = np.concatenate(rows, 0)
    return np.pad(page, ((0, _MARGIN), (0, _MARGIN), (0, 0)), constant_values=PAPER[0])

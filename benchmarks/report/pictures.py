"""The parts of a diagnosis to look at: crops as the networks see them, and the hands in 3D."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from markupsafe import Markup
from torch import Tensor

from benchmarks.exhibits import Seen, surfaces
from benchmarks.report import blocks, viewer
from benchmarks.report.page import Section, environment
from zoo.mano.topology import BONES

QUALITY = 82  # of the JPEGs
HANDS = 4


@dataclass(frozen=True)
class Looks:
    """One subject's crops: as evaluated, and as augmented for training, several draws."""

    name: str
    plain: Seen
    augmented: Sequence[Seen]


def crops(looks: Sequence[Looks]) -> Section:
    """What each network sees, with the labels it is held to and what it says at the moment."""
    panels = [
        blocks.Panel(one.name, _of_subject(one, index), blocks.colour(index))
        for index, one in enumerate(looks)
    ]
    lead = (
        "The crops after preprocessing: first as in evaluation, then under training augmentation. "
        "White is the label, dashed the model's answer; a label beside the hand is a broken label."
    )
    body = blocks.tabs("Whose crops", panels, id="crops")
    return Section("seen", "What the network sees", body, lead)


def hands_in_3d(looks: Sequence[Looks], faces: Tensor) -> Section:
    """Label and answers as surfaces to turn; a still drawing where the library is missing."""
    count = min(HANDS, len(looks[0].plain.view))
    names = [one.name for one in looks]
    hands = [
        [
            viewer.Shape(s.name, s.subject, s.vertices.cpu().numpy(), s.joints.cpu().numpy())
            for s in surfaces([one.plain for one in looks], names, index)
        ]
        for index in range(count)
    ]
    hands = [shapes for shapes in hands if shapes]
    title, lead = "The hands in 3D", "Drag or use the arrow keys to turn; the label is see-through."
    if not hands:
        body = blocks.notice("No hand of the batch is labelled whole, so there is nothing to show.")
        return Section("hands", title, body)
    drawn = viewer.view(hands, faces.cpu().numpy())
    folded = blocks.details("The same as drawings", viewer.still(hands[0]))
    return Section("hands", title, Markup("{}{}").format(drawn, folded), lead)


def _of_subject(one: Looks, index: int) -> Markup:
    kinds = [("evaluation", one.plain)]
    kinds += [(f"training, draw {i + 1}", seen) for i, seen in enumerate(one.augmented)]
    rows = []
    for kind, seen in kinds:
        tiles = [_tile(seen, i, kind) for i in range(min(HANDS, len(seen.view)))]
        rows += [
            blocks.heading(kind, 4),
            environment().get_template("diagnosis.html.j2").module.crops(tiles),
        ]
    return Markup('<div class="{}">{}</div>').format(blocks.colour(index), blocks.stack(rows))


def _tile(seen: Seen, index: int, kind: str) -> dict[str, Any]:
    height, width = seen.view.crop_size
    valid = seen.target.keypoints_valid[index] > 0
    label, said = seen.target.keypoints[index], seen.mesh.keypoints[index]
    gap = (said - label).norm(dim=-1)[valid]
    caption = f"{gap.mean():.0f} px off" if len(gap) else "no keypoints"
    return {
        "picture": data_uri(seen.view.images[index]),
        "width": width,
        "height": height,
        "label": _bones(label, valid, max(width, height)),
        "said": _bones(said, torch.ones_like(valid), max(width, height)),
        "caption": caption,
        "alt": f"{kind}, hand {index + 1}, {width} by {height} px, {caption}",
    }


def data_uri(image: Tensor) -> str:
    """A picture as a JPEG data URI.

    image: (3, H, W) RGB in [0, 1]; values outside are clipped for show.
    """
    pixels = (255 * image.detach().float().cpu().clamp(0, 1)).round().byte()
    bgr = np.ascontiguousarray(pixels.permute(1, 2, 0).numpy()[..., ::-1])
    done, jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    if not done:
        raise ValueError(f"A crop of {tuple(image.shape)} could not be written as JPEG.")
    return "data:image/jpeg;base64," + base64.b64encode(jpeg.tobytes()).decode()


def _bones(points: Tensor, valid: Tensor, size: int) -> list[tuple[float, ...]]:
    """Lines in px; what is far outside the crop, or not a number, is left out."""
    near = valid & points.isfinite().all(-1) & (points.abs() < 4 * size).all(-1)
    return [
        tuple(round(float(x), 1) for x in (*points[parent], *points[child]))
        for parent, child in BONES
        if near[parent] and near[child]
    ]

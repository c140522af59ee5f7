"""Hands in 3D inside a page, drawn by the three.js that trimesh ships (both MIT)."""

from __future__ import annotations

import base64
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from markupsafe import Markup

from benchmarks.report import figures
from benchmarks.report.blocks import colour
from benchmarks.report.page import environment
from zoo.mano.topology import BONES

# Where three.js ends and trimesh's own viewer begins.
_END_OF_THREE = 'Object.defineProperty(t,"__esModule",{value:!0})}));'


class ViewerMissing(RuntimeError):
    """The installed trimesh does not hold the library the 3D view is drawn with."""


@dataclass(frozen=True)
class Shape:
    """A hand to look at, metres in a camera frame all shapes of one hand share."""

    name: str
    subject: int | None  # whose colour it wears; None for the label
    vertices: np.ndarray  # (V, 3)
    joints: np.ndarray  # (J, 3)


def view(hands: Sequence[Sequence[Shape]], faces: np.ndarray) -> Markup:
    """A view of several hands, one at a time; every hand has the same shapes in the same order.

    faces: (F, 3) vertex indices.
    """
    names = [
        {"text": shape.name, "colour": "" if shape.subject is None else colour(shape.subject)}
        for shape in hands[0]
    ]
    data = {
        "faces": _packed(faces, "<u2"),
        "hands": [[_shape(shape) for shape in shapes] for shapes in hands],
    }
    script = Markup(json.dumps(data).replace("<", "\\u003c"))
    module = environment().get_template("diagnosis.html.j2").module
    return module.viewer(script, names, len(hands))


def scripts() -> list[str]:
    """What `page.render` needs for a page with a view; raises ViewerMissing."""
    source, _, _ = environment().loader.get_source(environment(), "viewer.js")
    return [_three(), source]


def still(shapes: Sequence[Shape]) -> Markup:
    """The same hands as skeletons from the front and from the side, for paper and old browsers."""
    figure, (front, side) = figures.canvas(7.5, 3.4, columns=2, share_y=True)
    for shape in shapes:
        points = 1000 * (shape.joints - shape.joints[0])
        hue = figures.TARGET if shape.subject is None else figures.subject_colour(shape.subject)
        for axes, across in ((front, 0), (side, 2)):
            for number, (parent, child) in enumerate(BONES):
                pair = points[[parent, child]]
                label = shape.name if number == 0 and axes is front else None
                axes.plot(pair[:, across], pair[:, 1], color=hue, linewidth=1.6, label=label)
    front.invert_yaxis()
    front.set(title="from the camera", xlabel="x (mm)", ylabel="y (mm)")
    side.set(title="from the side", xlabel="z (mm)")
    for axes in (front, side):
        axes.set_aspect("equal")
    figures.legend(front)
    return figures.svg(figure, title="Skeletons of the hands, wrist on wrist", id="still-hands")


@cache
def _three() -> str:
    archive = files("trimesh.resources").joinpath("templates/viewer.zip")
    if archive.is_file():
        with archive.open("rb") as file, zipfile.ZipFile(file) as opened:
            text = opened.read("viewer.html.template").decode()
        begin, end = text.find("<script>"), text.find(_END_OF_THREE)
        if -1 < begin < end:
            return text[begin + len("<script>") : end + len(_END_OF_THREE)]
    raise ViewerMissing(
        "trimesh's viewer template does not hold three.js where version 5.2 keeps it, so the "
        "report is without its 3D view; install trimesh 5.2."
    )


def _shape(shape: Shape) -> dict[str, Any]:
    return {
        "name": shape.name,
        "subject": shape.subject,
        "wrist": [float(x) for x in shape.joints[0]],
        "vertices": _packed(shape.vertices - shape.joints[0], "<f4"),
    }


def _packed(values: np.ndarray, kind: str) -> str:
    return base64.b64encode(np.ascontiguousarray(values, dtype=kind).tobytes()).decode()

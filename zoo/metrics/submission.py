"""The files FreiHAND's and HO-3D's evaluation servers take, in their order, axes and units."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from zoo.metrics.protocols import HO3D_FROM_OPENPOSE, Answers, find

OPENGL_FROM_OPENCV = np.array([1.0, -1.0, -1.0])
_HO3D_KEY = re.compile(r"^ho3d/[^/]+/(?P<sequence>[^/]+)/0_(?P<first>\d+)(?:#\d+\.(?P<at>\d+))?$")
_FREIHAND_KEY = re.compile(r"^freihand/evaluation/\d+/0_(?P<picture>\d+)$")


def write_submission(
    name: str, answers: Answers, path: Path, *, order: Sequence[str] | None = None
) -> int:
    """Writes pred.json, a list of N lists of joints and N lists of vertices (m), and returns N.

    name: "freihand" (OpenCV axes, OpenPose order) or "ho3d" (OpenGL axes, MANO's order).
    order: lines of HO-3D's evaluation.txt; FreiHAND's pictures are numbered.

    Raises:
        ValueError: for another protocol, keys of another data set, or a picture that is missing:
            the servers tell pictures apart by their place alone.
    """
    if name not in ("freihand", "ho3d"):
        raise ValueError(f"{name} takes no submission file of ours; freihand and ho3d do.")
    joints = find(name).predicted_joints(answers).double().numpy()
    vertices = answers.vertices.double().numpy()
    rows = _freihand_rows(answers.keys) if name == "freihand" else _ho3d_rows(answers.keys, order)
    if name == "ho3d":
        joints = joints[:, HO3D_FROM_OPENPOSE] * OPENGL_FROM_OPENCV
        vertices = vertices * OPENGL_FROM_OPENCV
    content = [np.round(part[rows], 7).tolist() for part in (joints, vertices)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return len(rows)


def _freihand_rows(keys: Sequence[str]) -> list[int]:
    found = {}
    for row, key in enumerate(keys):
        match = _FREIHAND_KEY.match(key)
        if match is None:
            raise ValueError(f"{key} is no picture of FreiHAND's evaluation split.")
        found[int(match["picture"])] = row
    return _in_order(found, list(range(max(found, default=-1) + 1)))


def _ho3d_rows(keys: Sequence[str], order: Sequence[str] | None) -> list[int]:
    if order is None:
        raise ValueError("HO-3D's server wants the order of evaluation.txt; name it with --order.")
    found = {}
    for row, key in enumerate(keys):
        match = _HO3D_KEY.match(key)
        if match is None:
            raise ValueError(f"{key} is no picture of HO-3D.")
        # a sample has no gaps, so the frame's number follows from its place
        frame = int(match["first"]) + int(match["at"] or 0)
        found[match["sequence"], frame] = row
    split = (line.partition("/") for line in order)
    return _in_order(found, [(sequence, int(frame)) for sequence, _, frame in split])


def _in_order(found: dict, wanted: list) -> list[int]:
    missing = [name for name in wanted if name not in found]
    if missing:
        raise ValueError(
            f"{len(missing)} of {len(wanted)} pictures have no answer, {missing[0]} among them; a "
            "submission needs all. Convert the whole evaluation split."
        )
    return [found[name] for name in wanted]

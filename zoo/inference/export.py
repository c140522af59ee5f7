"""A predicted hand as files other programs read: .obj and .glb meshes, and JSON with every number.

Meshes are in metres and y-up, as glTF and most viewers want: OpenCV's camera frame turned half
about its x axis. JSON keeps OpenCV's camera frame (x right, y down, z forward).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from trimesh.exchange.gltf import export_glb
from trimesh.exchange.obj import export_obj
from trimesh.visual.material import PBRMaterial

from zoo.inference.files import software_version, write_bytes
from zoo.inference.predictor import HandResult

Y_UP = np.array([1.0, -1.0, -1.0])  # a half turn about x: winding and handedness survive
SKIN = (0.86, 0.72, 0.64, 1.0)

_CAMERA_NOTES = {
    "measured": "the intrinsics were given with the picture",
    "assumed": "no intrinsics were given: the focal length is taken to be the picture's diagonal "
    "and the axis its middle; distances scale with that guess",
    "virtual": "the model reasons in a camera of its own; the intrinsics are that camera seen in "
    "the whole picture, and distances hold in it alone",
}


def to_trimesh(result: HandResult) -> trimesh.Trimesh:
    """The mesh in metres, y-up, vertices in MANO's order, with smooth vertex normals."""
    mesh = trimesh.Trimesh(result.vertices * Y_UP, result.faces, process=False, validate=False)
    # The wrist is open, so the inside can be seen; both sides are drawn.
    skin = PBRMaterial(
        name="skin",
        baseColorFactor=SKIN,
        metallicFactor=0.0,
        roughnessFactor=0.65,
        doubleSided=True,
    )
    mesh.visual = trimesh.visual.TextureVisuals(material=skin)
    return mesh


def glb_bytes(result: HandResult) -> bytes:
    """A binary glTF file holding the hand."""
    mesh = to_trimesh(result)
    scene = trimesh.Scene()
    scene.add_geometry(mesh, node_name=f"{result.side}_hand", geom_name=f"{result.side}_hand")
    return export_glb(scene, include_normals=True)


def obj_bytes(result: HandResult) -> bytes:
    """A Wavefront .obj file holding the hand."""
    header = (
        f"{result.side} hand of {result.name}; metres, y up; hand-mesh-zoo {software_version()}"
    )
    mesh = to_trimesh(result)
    mesh.visual = trimesh.visual.ColorVisuals(mesh)  # one file, without a material beside it
    text = export_obj(mesh, include_normals=True, include_color=False, header=header, digits=7)
    return text.encode()


def record(
    result: HandResult,
    *,
    extra: Mapping[str, Any] | None = None,
    raw: HandResult | None = None,
) -> dict[str, Any]:
    """Everything known of a hand as plain numbers and strings, ready for JSON.

    extra: what the caller wants kept beside it (picture, config, checkpoint), under "source".
    raw: of a film, what Stage 1 alone says of the same frame, under "raw".
    """
    content = {
        "schema": 1,
        "software": {"name": "hand-mesh-zoo", "version": software_version()},
        "name": result.name,
        "source": dict(extra or {}),
        "conventions": "metres, radians, pixels; OpenCV camera (x right, y down, z forward); "
        "(0, 0) is the centre of the top-left pixel; joints in OpenPose's order of 21",
        "side": result.side,
        "box": _numbers(result.box, 2),
        **_hand(result),
    }
    if raw is not None:
        content["raw"] = {"of": "Stage 1 alone, from this frame only", **_hand(raw)}
    return content


def _hand(result: HandResult) -> dict[str, Any]:
    return {
        "keypoints": _numbers(result.keypoints, 3),
        "joints": _numbers(result.joints, 6),
        "mano": {
            "model": "right",
            "rotvec": _numbers(result.rotvec, 6),
            "betas": _numbers(result.betas, 5),
            "transl": _numbers(result.transl, 6),
            "rotations": "absolute: the mean hand pose is already in them (flat_hand_mean=True)",
            "mirrored": result.side == "left",
        },
        "position": {"anchor": result.anchor, "xyz": _numbers(result.position, 6)},
        "camera": {
            "intrinsics": _numbers(result.intrinsics, 4),
            "kind": result.camera,
            "note": _CAMERA_NOTES[result.camera],
        },
    }


def write_hand(
    result: HandResult,
    folder: Path | str,
    *,
    stem: str | None = None,
    extra: Mapping[str, Any] | None = None,
    raw: HandResult | None = None,
    overwrite: bool = False,
) -> dict[str, Path]:
    """Paths of the .obj, .glb and .json written for one hand, by kind; each is whole or absent.

    stem: name of the files without ending; None takes the result's name.

    Raises:
        ValueError: when one of the files exists and may not be overwritten; nothing is written.
    """
    stem = stem or result.name
    content = {
        "obj": obj_bytes(result),
        "glb": glb_bytes(result),
        "json": json_bytes(record(result, extra=extra, raw=raw)),
    }
    paths = {kind: Path(folder) / f"{stem}.{kind}" for kind in content}
    standing = [str(path) for path in paths.values() if path.exists()]
    if standing and not overwrite:
        raise ValueError(
            f"{', '.join(standing)}: there already; name another folder (--out), or replace them "
            f"(--overwrite)."
        )
    for kind, path in paths.items():
        write_bytes(path, content[kind], overwrite=overwrite)
    return paths


def json_bytes(content: Mapping[str, Any]) -> bytes:
    """JSON with one line a key, so that 21 joints do not take 105 lines."""
    rows = (f"{json.dumps(k)}: {json.dumps(v, allow_nan=False)}" for k, v in content.items())
    return ("{\n " + ",\n ".join(rows) + "\n}\n").encode()


def _numbers(array: np.ndarray, digits: int) -> list:
    return np.round(np.asarray(array, dtype=np.float64), digits).tolist()

"""Makes the arrays that `zoo.mano.procedural.load` reads: geometry, shapes, poses and colours."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from zoo.mano.procedural import NAME
from zoo.mano.procedural.anatomy import ORIGIN
from zoo.mano.procedural.appearance import (
    encode_colour,
    extrude_forearm,
    forearm_faces,
    texel_barycentrics,
)
from zoo.mano.procedural.collision import vertex_normals
from zoo.mano.procedural.hand import Hand
from zoo.mano.procedural.pool import fill
from zoo.mano.procedural.pose_prior import PosePrior
from zoo.mano.procedural.rig import joint_regressor
from zoo.mano.procedural.shape_space import shape_space
from zoo.mano.procedural.skin_colour import skin_colour
from zoo.mano.procedural.triangles import boundary
from zoo.mano.topology import PARENTS

NUM_POSES = 2000
SEED = 0
METRES = 1e-3


def model_arrays(hand: Hand) -> dict[str, np.ndarray]:
    """What MANO's file has, but for the pose space: float64, metres."""
    points, weights = hand.mesh.points, hand.weights
    shape = shape_space(points, weights, hand.joints)
    rows = joint_regressor(points, weights, hand.joints, shape.shapedirs, shape.joint_dirs)
    return {
        "v_template": (points - ORIGIN) * METRES,
        "faces": hand.mesh.faces.astype(np.uint16),
        "weights": weights,
        "posedirs": hand.posedirs * METRES,
        "shapedirs": shape.shapedirs * METRES,
        "joint_regressor": rows,
        "parents": np.array(PARENTS, np.int8),
        "beta_names": np.array(shape.names),
        "beta_loading": shape.loading,
    }


def pose_arrays(prior: PosePrior) -> dict[str, np.ndarray]:
    """The prior, and the mean and principal axes of its pool."""
    rotvec = prior.rotvec(prior.pool)
    mean, components = pose_space(rotvec)
    return {
        "hands_mean": mean,
        "hands_components": components,
        "angle_names": np.array(prior.names),
        "angle_low": prior.low.astype(np.float32),
        "angle_high": prior.high.astype(np.float32),
        "angle_axes": prior.axes,
        "axis_angle": prior.axis_angle.astype(np.int8),
        "pool_centidegrees": np.round(prior.pool * 100).astype(np.int16),
        "pool_neighbours": prior.neighbours.astype(np.uint16),
        "pose_names": np.array(list(prior.named_angles)),
        "pose_angles": np.stack(list(prior.named_angles.values())).astype(np.float32),
    }


def pose_space(rotvec: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean (45,) and orthonormal components (45, 45), largest first.

    Twenty-one angles cannot fill 45 dimensions; what they leave empty is completed axis by axis,
    as an arbitrary null space would differ from one machine to the next.
    """
    mean = rotvec.mean(0)
    _, size, rows = np.linalg.svd(rotvec - mean, full_matrices=False)
    components = list(rows[size > 1e-6 * size[0]])
    for axis in np.eye(45):
        for _ in range(2):
            axis = axis - sum((axis @ c) * c for c in components)
        if len(components) < 45 and np.linalg.norm(axis) > 1e-3:
            components.append(axis / np.linalg.norm(axis))
    components = np.array(components)
    largest = components[np.arange(45), np.abs(components).argmax(1)]
    return mean, components * np.sign(largest)[:, None]


def appearance_arrays(hand: Hand) -> dict[str, np.ndarray]:
    """Texels of hand and forearm, and the open edge the forearm grows from."""
    loop = boundary(hand.mesh.faces)
    arm, _ = forearm_faces(loop, len(hand.mesh.points))
    stump = extrude_forearm((hand.mesh.points[loop] - ORIGIN) * METRES) / METRES + ORIGIN
    points, faces = (
        np.concatenate((hand.mesh.points, stump)),
        np.concatenate((hand.mesh.faces, arm)),
    )
    normals = vertex_normals(points, faces)
    place = texel_barycentrics()
    texel_points = np.einsum("tk,fka->fta", place, points[faces]).reshape(-1, 3)
    texel_normals = np.einsum("tk,fka->fta", place, normals[faces]).reshape(-1, 3)
    texel_normals /= np.linalg.norm(texel_normals, axis=1, keepdims=True)
    texels = skin_colour(texel_points, texel_normals).reshape(len(faces), len(place), 4)
    albedo = skin_colour(hand.mesh.points, normals[: len(hand.mesh.points)])[:, :3]
    return {
        "wrist_loop": loop.astype(np.uint16),
        "texels": encode_colour(texels),
        "vertex_albedo": encode_colour(albedo),
    }


def build(num_poses: int = NUM_POSES, seed: int = SEED) -> dict[str, np.ndarray]:
    """Every array of the archive."""
    hand = Hand.build()
    prior = fill(hand, num_poses, np.random.default_rng(seed))
    arrays = {**model_arrays(hand), **pose_arrays(prior), **appearance_arrays(hand)}
    single = {key: a.astype(np.float32) for key, a in arrays.items() if a.dtype == np.float64}
    return {"name": np.array(NAME), **arrays, **single}


def main(arguments: Sequence[str] | None = None) -> None:
    """Writes the archive; under a minute, most of it testing poses for overlaps."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the .npz to write")
    parser.add_argument("--poses", type=int, default=NUM_POSES, help="size of the pose pool")
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args(arguments)
    start = time.perf_counter()
    np.savez_compressed(options.out, **build(options.poses, options.seed))
    size = options.out.stat().st_size
    print(f"{options.out}: {size / 1e6:.2f} MB in {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()

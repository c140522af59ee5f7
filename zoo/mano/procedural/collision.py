"""Where a posed hand runs into itself, counted on triangles and measured in millimetres."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from zoo.mano.topology import PARENTS, ROTATION_NAMES

REACH = 12.0  # mm, deepest penetration that is looked for
OPPOSED = 0.3  # cosine of the outward normals above which two skins merely run side by side


class Intersections(NamedTuple):
    """Exact triangle pairs; pairs that share a vertex are not looked at."""

    folds: int  # pairs within a digit, or between a long finger and the palm
    contacts: int  # pairs between two digits, or between the thumb and the palm
    faces_hit: int


def face_parts(weights: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(F,) 0 palm, 1 to 5 the digit a face belongs to."""
    part_of_joint = np.array([_part(name) for name in ROTATION_NAMES])
    return part_of_joint[weights.argmax(1)][faces].max(1)


def _part(joint_name: str) -> int:
    order = ("wrist", "index", "middle", "ring", "pinky", "thumb")
    return order.index(joint_name.rstrip("123"))


def count_intersections(
    vertices: np.ndarray, faces: np.ndarray, parts: np.ndarray
) -> Intersections:
    """Intersecting triangle pairs of one posed mesh, vertices (778, 3) in any unit."""
    return Intersections(*_count(np.ascontiguousarray(vertices, np.float64), faces, parts))


def may_touch() -> np.ndarray:
    """(16, 16) bones whose meeting is a collision.

    Not neighbours on the skeleton, and not two bones that grow out of the palm side by side.
    """
    chains = []
    for k in range(16):
        chain = [k]
        while PARENTS[chain[-1]] >= 0:
            chain.append(PARENTS[chain[-1]])
        chains.append(chain)
    steps = np.array([[len(set(a) ^ set(b)) for b in chains] for a in chains])
    grown = np.array(PARENTS) == 0
    return (steps >= 2) & ~(grown[:, None] & grown)


def penetration(
    vertices: np.ndarray, faces: np.ndarray, bones: np.ndarray, allowed: np.ndarray
) -> np.ndarray:
    """How deep every vertex sits in the skin of a bone it should not enter.

    vertices: (V, 3) mm; bones: (V,) the bone each vertex follows most; allowed: `may_touch()`.
    returns: (V,) mm, 0 where outside.
    """
    vertices = np.ascontiguousarray(vertices, np.float64)
    normals = vertex_normals(vertices, faces)
    owner = bones[faces].max(1)
    order = np.argsort(owner, kind="stable")
    starts = np.searchsorted(owner[order], np.arange(17))
    seam = _seam(faces, owner, len(vertices))
    return _depths(vertices, normals, faces[order], starts, bones, allowed, seam)


def _seam(faces: np.ndarray, owner: np.ndarray, num_vertices: int) -> np.ndarray:
    """(V,) vertices where the skin of one bone ends and another's begins."""
    low, high = np.full(num_vertices, 99), np.full(num_vertices, -1)
    for k in range(3):
        np.minimum.at(low, faces[:, k], owner)
        np.maximum.at(high, faces[:, k], owner)
    return low != high


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(V, 3) unit, area-weighted."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    face_normals = np.cross(b - a, c - a)
    normals = np.zeros_like(vertices)
    for k in range(3):
        np.add.at(normals, faces[:, k], face_normals)
    return normals / (np.linalg.norm(normals, axis=1, keepdims=True) + 1e-12)


@njit(cache=True)
def _crosses(p, q, a, b, c):
    """Whether the segment pq meets the triangle abc (Moeller and Trumbore)."""
    d, e1, e2 = q - p, b - a, c - a
    h = np.cross(d, e2)
    det = e1 @ h
    if abs(det) < 1e-14:
        return False
    s = p - a
    u = (s @ h) / det
    if u < 0 or u > 1:
        return False
    k = np.cross(s, e1)
    v = (d @ k) / det
    if v < 0 or u + v > 1:
        return False
    t = (e2 @ k) / det
    return 0 <= t <= 1


@njit(cache=True)
def _meet(x, y):
    """Whether two triangles (3, 3) intersect: an edge of one crosses the other."""
    for k in range(3):
        n = (k + 1) % 3
        if _crosses(x[k], x[n], y[0], y[1], y[2]) or _crosses(y[k], y[n], x[0], x[1], x[2]):
            return True
    return False


@njit(cache=True)
def _count(vertices, faces, parts):
    n = len(faces)
    corners = np.empty((n, 3, 3))
    low, high = np.empty((n, 3)), np.empty((n, 3))
    for i in range(n):
        for k in range(3):
            corners[i, k] = vertices[faces[i, k]]
        for k in range(3):
            low[i, k], high[i, k] = corners[i, :, k].min(), corners[i, :, k].max()
    hit = np.zeros(n, np.uint8)
    folds = contacts = 0
    for i in range(n):
        for j in range(i + 1, n):
            if _apart(low[i], high[i], low[j], high[j]) or _share(faces[i], faces[j]):
                continue
            if not _meet(corners[i], corners[j]):
                continue
            hit[i] = hit[j] = 1
            p, q = parts[i], parts[j]
            if p == q or (p == 0 and q != 5) or (q == 0 and p != 5):
                folds += 1
            else:
                contacts += 1
    return folds, contacts, hit.sum()


@njit(cache=True)
def _apart(low_a, high_a, low_b, high_b):
    first = low_a[0] > high_b[0] or low_b[0] > high_a[0]
    second = low_a[1] > high_b[1] or low_b[1] > high_a[1]
    return first or second or low_a[2] > high_b[2] or low_b[2] > high_a[2]


@njit(cache=True)
def _share(a, b):
    for i in range(3):
        for j in range(3):
            if a[i] == b[j]:
                return True
    return False


@njit(cache=True)
def _nearest(p, a, b, c):
    """Barycentric coordinates of the point of triangle abc nearest to p (Ericson, 5.1.5)."""
    ab, ac, ap = b - a, c - a, p - a
    d1, d2 = ab @ ap, ac @ ap
    if d1 <= 0 and d2 <= 0:
        return 1.0, 0.0, 0.0
    bp = p - b
    d3, d4 = ab @ bp, ac @ bp
    if d3 >= 0 and d4 <= d3:
        return 0.0, 1.0, 0.0
    vc = d1 * d4 - d3 * d2
    if vc <= 0 and d1 >= 0 and d3 <= 0:
        t = d1 / (d1 - d3)
        return 1 - t, t, 0.0
    cp = p - c
    d5, d6 = ab @ cp, ac @ cp
    if d6 >= 0 and d5 <= d6:
        return 0.0, 0.0, 1.0
    vb = d5 * d2 - d1 * d6
    if vb <= 0 and d2 >= 0 and d6 <= 0:
        t = d2 / (d2 - d6)
        return 1 - t, 0.0, t
    va = d3 * d6 - d5 * d4
    if va <= 0 and d4 - d3 >= 0 and d5 - d6 >= 0:
        t = (d4 - d3) / ((d4 - d3) + (d5 - d6))
        return 0.0, 1 - t, t
    total = va + vb + vc
    return va / total, vb / total, vc / total


@njit(cache=True)
def _depths(vertices, normals, faces, starts, bones, allowed, seam):
    """Signed distance to the nearest skin of every bone a vertex may collide with; the deepest."""
    depth = np.zeros(len(vertices))
    for bone in range(16):
        first, last = starts[bone], starts[bone + 1]
        if first == last:
            continue
        low, high = np.full(3, np.inf), np.full(3, -np.inf)
        for f in range(first, last):
            for k in range(3):
                low = np.minimum(low, vertices[faces[f, k]])
                high = np.maximum(high, vertices[faces[f, k]])
        for v in range(len(vertices)):
            p = vertices[v]
            if not allowed[bones[v], bone] or _apart(p, p, low, high):
                continue
            best, inside = REACH, 0.0
            for f in range(first, last):
                x, y, z = faces[f]
                if x == v or y == v or z == v:
                    continue
                s, t, u = _nearest(p, vertices[x], vertices[y], vertices[z])
                off = p - s * vertices[x] - t * vertices[y] - u * vertices[z]
                away = np.sqrt(off @ off)
                if away < best:
                    best = away
                    outward = s * normals[x] + t * normals[y] + u * normals[z]
                    behind = off @ outward < 0 and outward @ normals[v] < OPPOSED
                    # Beyond the end of a bone's skin neither side is inside it.
                    on_seam = (s == 0 or seam[x]) and (t == 0 or seam[y]) and (u == 0 or seam[z])
                    inside = away if behind and not on_seam else 0.0
            depth[v] = max(depth[v], inside)
    return depth

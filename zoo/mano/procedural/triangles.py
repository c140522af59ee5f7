"""Triangulating between polylines, checking a mesh's laws, and flipping bad edges."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

Face = tuple[int, int, int]
_UNEVEN_COST = 12.0  # mm, price of running ahead on one polyline


def zip_loops(near: list[int], far: list[int], points: np.ndarray) -> list[Face]:
    """Faces between two closed loops of vertex ids, shorter diagonals first."""
    return zip_rows(near + near[:1], far + far[:1], points)


def zip_rows(near: list[int], far: list[int], points: np.ndarray) -> list[Face]:
    """Faces between two open rows of vertex ids, shorter diagonals first."""
    i = j = 0
    faces = []
    while i < len(near) - 1 or j < len(far) - 1:
        if _advance_near(i, j, near, far, points):
            faces.append((near[i], near[i + 1], far[j]))
            i += 1
        else:
            faces.append((near[i], far[j + 1], far[j]))
            j += 1
    return faces


def _advance_near(i: int, j: int, near: list[int], far: list[int], points: np.ndarray) -> bool:
    if i == len(near) - 1 or j == len(far) - 1:
        return i < len(near) - 1
    m, n = len(near) - 1, len(far) - 1
    ahead_near = np.linalg.norm(points[near[i + 1]] - points[far[j]])
    ahead_near += _UNEVEN_COST * abs((i + 1) / m - j / n)
    ahead_far = np.linalg.norm(points[near[i]] - points[far[j + 1]])
    ahead_far += _UNEVEN_COST * abs(i / m - (j + 1) / n)
    if abs(ahead_near - ahead_far) <= 1e-6:
        return (i + j) % 2 == 0
    return ahead_near < ahead_far


def half_edges(faces: np.ndarray) -> np.ndarray:
    """(3F, 2) directed edges, face by face within each of the three sides."""
    return np.concatenate((faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]))


def edges(faces: np.ndarray) -> np.ndarray:
    """(E, 2) undirected edges, sorted."""
    return np.unique(np.sort(half_edges(faces), 1), axis=0)


def boundary(faces: np.ndarray) -> np.ndarray:
    """Vertex ids of the open edge, in the order a face added outside it would walk.

    Errors: ValueError unless the open edge is one loop.
    """
    present = {tuple(edge) for edge in half_edges(faces).tolist()}
    following = {b: a for a, b in present if (b, a) not in present}
    if not following:
        raise ValueError("The mesh has no open edge.")
    loop = [min(following)]
    while following[loop[-1]] != loop[0] and len(loop) <= len(following):
        loop.append(following[loop[-1]])
    if len(loop) != len(following):
        raise ValueError(f"The mesh has several open edges ({len(following)} border vertices).")
    return np.array(loop)


def check_disc(faces: np.ndarray, num_vertices: int) -> None:
    """Raises AssertionError unless the mesh is one oriented disc (Euler characteristic 1)."""
    directed = half_edges(faces)
    assert len(np.unique(directed, axis=0)) == len(directed), "an edge is used twice one way"
    assert num_vertices - len(edges(faces)) + len(faces) == 1, "not a disc"
    boundary(faces)


def adjacency(faces: np.ndarray, num_vertices: int) -> sp.csr_matrix:
    """(V, V) ones between neighbours."""
    a, b = edges(faces).T
    half = sp.coo_matrix((np.ones(len(a)), (a, b)), (num_vertices, num_vertices))
    return (half + half.T).tocsr()


def flip_edges(
    points: np.ndarray, faces: np.ndarray, movable: np.ndarray, *, passes: int = 4
) -> np.ndarray:
    """Faces with every edge flipped whose opposite angles sum above 180 degrees.

    Only where the four vertices are `movable` and the two faces nearly coplanar.
    """
    faces = faces.copy()
    for _ in range(passes):
        owner = {(t[k], t[(k + 1) % 3]): i for i, t in enumerate(faces) for k in range(3)}
        touched: set[int] = set()
        for (a, b), i in list(owner.items()):
            j = owner.get((b, a))
            if j is None or a > b or i in touched or j in touched:
                continue
            c = next(v for v in faces[i] if v not in (a, b))
            d = next(v for v in faces[j] if v not in (a, b))
            free = movable[[a, b, c, d]].all() and (c, d) not in owner and (d, c) not in owner
            if free and _should_flip(points[a], points[b], points[c], points[d]):
                faces[i], faces[j] = (c, a, d), (d, b, c)
                touched |= {i, j}
        if not touched:
            break
    return faces


def _should_flip(a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray) -> bool:
    if _angle(a, c, b) + _angle(a, d, b) <= np.pi + 0.05:
        return False
    first, second = np.cross(b - a, c - a), np.cross(a - b, d - b)
    return first @ second >= 0.55 * np.linalg.norm(first) * np.linalg.norm(second)


def _angle(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> float:
    p, q = a - b, c - b
    cos = p @ q / (np.linalg.norm(p) * np.linalg.norm(q))
    return float(np.arccos(np.clip(cos, -1, 1)))

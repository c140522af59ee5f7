"""A z-buffer on the CPU, so that meshes can be drawn without a graphics card or system library."""

from __future__ import annotations

import numba
import numpy as np

EMPTY = -1  # face_id where no face was seen
NEAR = 1e-3  # m; a face with a vertex nearer than this is not drawn


def rasterize(
    points: np.ndarray, faces: np.ndarray, size: tuple[int, int], *, cull: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What a camera sees of a mesh, one sample at the centre of each pixel; the same every time.

    points: (V, 3) px x, px y, depth m, with (0, 0) at the centre of the top-left pixel.
    faces: (F, 3) int64; where `cull`, faces that turn their back to the camera are left out. A
        face shows its outside where its vertices go round counter-clockwise as one sees them.
    size: (H, W) px.
    returns: depth (H, W) float32 m, infinite where empty; face_id (H, W) int32, -1 where empty;
        barycentric (H, W, 2) float32, weights in space of a face's first two vertices.
    """
    height, width = size
    depth = np.empty((height, width), np.float32)
    face_id = np.empty((height, width), np.int32)
    barycentric = np.empty((height, width, 2), np.float32)
    rasterize_into(
        np.ascontiguousarray(points, np.float64),
        np.ascontiguousarray(faces, np.int64),
        cull,
        depth,
        face_id,
        barycentric,
    )
    return depth, face_id, barycentric


@numba.njit(cache=True)
def rasterize_into(points, faces, cull, depth, face_id, barycentric):  # pragma: no cover
    """`rasterize` into arrays of the caller; points float64, faces int64."""
    depth[:] = np.inf
    face_id[:] = EMPTY
    barycentric[:] = 0
    for f in range(faces.shape[0]):
        _draw(points, faces, f, cull, depth, face_id, barycentric)


@numba.njit(cache=True, inline="always")
def _draw(points, faces, f, cull, depth, face_id, barycentric):  # pragma: no cover
    height, width = depth.shape
    a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
    x0, y0, z0 = points[a, 0], points[a, 1], points[a, 2]
    x1, y1, z1 = points[b, 0], points[b, 1], points[b, 2]
    x2, y2, z2 = points[c, 0], points[c, 1], points[c, 2]
    area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
    if min(z0, z1, z2) < NEAR or area == 0 or (cull and area > 0):
        return
    left = max(0, int(np.ceil(min(x0, x1, x2))))
    right = min(width - 1, int(np.floor(max(x0, x1, x2))))
    top = max(0, int(np.ceil(min(y0, y1, y2))))
    bottom = min(height - 1, int(np.floor(max(y0, y1, y2))))
    scale = 1.0 / area
    step0, step1 = (y1 - y2) * scale, (y2 - y0) * scale
    near0, near1, near2 = 1.0 / z0, 1.0 / z1, 1.0 / z2
    for y in range(top, bottom + 1):
        first0 = ((x1 - left) * (y2 - y) - (x2 - left) * (y1 - y)) * scale
        first1 = ((x2 - left) * (y0 - y) - (x0 - left) * (y2 - y)) * scale
        for x in range(left, right + 1):
            w0 = first0 + step0 * (x - left)
            w1 = first1 + step1 * (x - left)
            w2 = 1.0 - w0 - w1
            if w0 < 0 or w1 < 0 or w2 < 0:
                continue
            # Depth is linear in the picture only as its inverse.
            z = 1.0 / (w0 * near0 + w1 * near1 + w2 * near2)
            if z < depth[y, x]:
                depth[y, x] = z
                face_id[y, x] = f
                barycentric[y, x, 0] = w0 * near0 * z
                barycentric[y, x, 1] = w1 * near1 * z

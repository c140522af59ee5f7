"""Chooses what is true of a clip: the hand, its pose, its motion and the camera that sees it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.spatial.transform import Rotation

from zoo.data.synthetic.hand import PosableHand
from zoo.mano.procedural import PosePrior

NEAREST, FARTHEST = 0.25, 1.5  # m, depth of the hand
FILL = (0.3, 0.6)  # longer side of the tight joint box as a share of the picture's
MARGIN = 0.03  # of the picture, kept free around the joints
FRAME_RATES = (5.0, 60.0)  # per second
# A forearm that points nearly at the lens would hide the hand: cosine of the cone left out.
ARM_CONE = np.cos(np.radians(40))
_FOREARM = np.array([1.0, 0, 0])  # in the wrist's own axes


@dataclass(frozen=True)
class Scene:
    """A clip of T frames as a right hand; `is_left` asks for its mirror image.

    Everything is float64 and in the camera frame before mirroring.
    """

    is_left: bool
    betas: np.ndarray  # (10,)
    rotvecs: np.ndarray  # (T, 16, 3) rad, absolute
    orient: np.ndarray  # (T, 3, 3) the first of them, wrist to camera
    transl: np.ndarray  # (T, 3) m
    vertices: np.ndarray  # (T, 778, 3) m
    joints: np.ndarray  # (T, 21, 3) m
    intrinsics: np.ndarray  # (3, 3) px
    timestamps: np.ndarray  # (T,) int64 ns
    frame_rate: float | None  # per second; None for a single picture

    @property
    def keypoints(self) -> np.ndarray:
        """(T, 21, 2) px."""
        return see(self.joints, self.intrinsics)


def see(points: np.ndarray, intrinsics: np.ndarray) -> np.ndarray:
    """Pixels of camera-frame points.

    points: (..., 3) m.
    returns: (..., 2) px.
    """
    focal, centre = np.diag(intrinsics)[:2], intrinsics[:2, 2]
    return points[..., :2] / points[..., 2:] * focal + centre


def draw_scene(
    rng: np.random.Generator, hand: PosableHand, prior: PosePrior, *, frames: int, image_size: int
) -> Scene:
    """A random scene of T = `frames` pictures of `image_size` squared.

    Every choice comes from `rng` and never from a rounded result of linear algebra, so one seed
    means one scene on every machine, to the last bits of its numbers.
    """
    is_left = bool(rng.random() < 0.5)
    betas = rng.standard_normal(10).clip(-2.5, 2.5)
    frame_rate = float(np.exp(rng.uniform(*np.log(FRAME_RATES)))) if frames > 1 else None
    times = np.arange(frames) / (frame_rate or 1.0)
    fingers = _finger_path(rng, prior, times)
    ray, depth = _where(rng)
    orient = _orientations(rng, times, ray)
    rotvecs = np.concatenate([orient.as_rotvec()[:, None], fingers.reshape(frames, 15, 3)], 1)
    rotmats = Rotation.from_rotvec(rotvecs.reshape(-1, 3)).as_matrix().reshape(-1, 16, 3, 3)
    posed = [hand.pose(turns, betas) for turns in rotmats]
    vertices, joints = (np.stack(part) for part in zip(*posed, strict=True))
    middle = (joints.max(1) + joints.min(1)) / 2
    transl = depth * ray - middle[:1] + _wander(rng, times, 0.03 * min(1.0, depth / 0.5))
    joints, vertices = joints + transl[:, None], vertices + transl[:, None]
    start = int(rng.integers(10**18, 2 * 10**18))
    return Scene(
        is_left=is_left,
        betas=betas,
        rotvecs=rotvecs,
        orient=rotmats[:, 0],
        transl=transl,
        vertices=vertices,
        joints=joints,
        intrinsics=_camera(rng, joints, image_size),
        timestamps=start + np.round(times * 1e9).astype(np.int64),
        frame_rate=frame_rate,
    )


def _finger_path(rng: np.random.Generator, prior: PosePrior, times: np.ndarray) -> np.ndarray:
    """(T, 45) rad: a smooth walk between neighbouring poses of the prior's pool."""
    if len(times) == 1:
        return prior.sample(1, rng)
    pace = rng.uniform(0.35, 1.2)  # s from one pose to the next
    stops = int(np.ceil(times[-1] / pace)) + 2
    pose = int(rng.integers(len(prior.pool)))
    keys = [prior.pool[pose]]
    for _ in range(stops - 1):
        pose = int(prior.neighbours[pose, rng.integers(prior.neighbours.shape[1])])
        keys.append(prior.pool[pose])
    path = PchipInterpolator(np.arange(stops) * pace, np.stack(keys))(times)
    return prior.rotvec(prior.clamp(path + 1.5 * rng.standard_normal(path.shape[1])))


def _where(rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """Ray (3,) with z = 1 on which the hand lies, and its depth in metres."""
    spread = 0.08 if rng.random() < 0.4 else 0.3  # a third of a radian: a crop of a larger picture
    ray = np.append(spread * rng.standard_normal(2).clip(-2, 2), 1.0)
    return ray, float(np.exp(rng.uniform(np.log(NEAREST), np.log(FARTHEST))))


def _orientations(rng: np.random.Generator, times: np.ndarray, ray: np.ndarray) -> Rotation:
    """T orientations around a uniform one, outside the cone in which the arm hides the hand."""
    to_camera = -ray / np.sqrt((ray**2).sum())
    while True:
        first = Rotation.from_quat(rng.standard_normal(4))
        if (first.apply(_FOREARM) * to_camera).sum() < ARM_CONE:
            break
    return Rotation.from_rotvec(_wander(rng, times, 0.25)) * first


def _wander(rng: np.random.Generator, times: np.ndarray, amount: float) -> np.ndarray:
    """(T, 3): a smooth path that starts at zero, of about `amount` in each axis."""
    rates = rng.uniform(0.15, 1.0, (2, 3)) * 2 * np.pi  # rad/s
    phases = rng.uniform(0, 2 * np.pi, (2, 3))
    sizes = amount * rng.standard_normal((2, 3)) * [[1.0], [0.5]]
    path = sizes * np.sin(rates * times[:, None, None] + phases)
    return (path - path[:1]).sum(1)


def _camera(rng: np.random.Generator, joints: np.ndarray, image_size: int) -> np.ndarray:
    """(3, 3) px: the focal length and principal point that put the joints where they were drawn.

    The tight box of the joints fills a drawn share of the picture, at a drawn place inside it; over
    a clip the box of all frames stays inside.
    """
    flat = joints[..., :2] / joints[..., 2:]
    sides = (flat.max(1) - flat.min(1)).max(1)
    low, high = flat.min((0, 1)), flat.max((0, 1))
    room = image_size * (1 - 2 * MARGIN)
    wanted = rng.uniform(*FILL) * image_size / sides.mean()
    focal = min(wanted, room / (high - low).max())
    free = (room - focal * (high - low)) / 2
    place = (image_size - 1) / 2 + 0.95 * free * rng.uniform(-1, 1, 2)
    centre = place - focal * (low + high) / 2
    return np.array([[focal, 0, centre[0]], [0, focal, centre[1]], [0, 0, 1.0]])

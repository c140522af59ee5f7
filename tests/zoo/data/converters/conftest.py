from __future__ import annotations

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from zoo.mano import procedural
from zoo.mano.layer import ManoLayer

WIDTH, HEIGHT = 334, 512
MIRROR = np.array([-1.0, 1.0, 1.0])


@pytest.fixture(scope="session")
def real_samples() -> Path:
    """The folder of real photographs with labels, which no repository may hold."""
    beside = Path(__file__).resolve().parents[4].parent / "shared/data/real_samples"
    folder = Path(os.environ.get("ZOO_REAL_SAMPLES", beside))
    if not folder.is_dir():
        pytest.skip(f"no real samples in {folder}; set ZOO_REAL_SAMPLES to their folder")
    return folder


@pytest.fixture(scope="session")
def asset():
    return procedural.load()


class Posed:
    """Poses a hand and says it in every convention a release may use."""

    def __init__(self, asset, seed=3):
        self.asset = asset
        self.rng = np.random.default_rng(seed)
        self.layer, self.mean = ManoLayer(asset=asset), np.asarray(asset.hands_mean, float)
        self.components = np.asarray(asset.hands_components, float)

    def hand(self, side="right", place=(0.02, -0.03, 0.6)):
        """A dict: residual (48,), absolute (48,), coefficients (45,), betas, transl, joints."""
        turn = np.array([1, -1, -1]) if side == "left" else np.ones(3)
        mirror = MIRROR if side == "left" else np.ones(3)
        coefficients = self.rng.normal(0, 0.4, 45)
        residual = (coefficients @ self.components).reshape(15, 3) * turn
        root = self.rng.normal(0, 0.4, 3)
        absolute = np.r_[root[None], residual + self.mean.reshape(15, 3) * turn]
        betas = self.rng.normal(0, 0.5, 10)
        rotmats = torch.from_numpy(Rotation.from_rotvec(absolute * turn).as_matrix()).float()
        _, posed = self.layer(rotmats[None], torch.from_numpy(betas).float()[None])
        posed = posed[0].double().numpy() * mirror
        transl = np.array(place) - posed[0]
        return {
            "residual": np.r_[root, residual.ravel()],
            "absolute": absolute.ravel(),
            "coefficients": coefficients,
            "betas": betas,
            "transl": transl,
            "own_wrist": posed[0],
            "joints": posed + transl,
        }


@pytest.fixture
def posed(asset):
    return Posed(asset)


class World:
    """Hands in a made-up capture, and the InterHand2.6M files that would describe them."""

    def __init__(self, asset, seed=0):
        self.rng = np.random.default_rng(seed)
        self.layer, self.mean = ManoLayer(asset=asset), np.asarray(asset.hands_mean)
        self.rotation = Rotation.from_rotvec([0.3, -0.5, 0.2]).as_matrix()  # world -> camera
        self.position = np.array([-0.4, 0.1, 0.06])  # m, world
        self.focal, self.center = (1262.0, 1259.0), (156.0, 259.0)

    def hand(self, side):
        """Residual pose, betas and translation (world), and (21, 3) m joints (camera)."""
        mirror = MIRROR if side == "left" else np.ones(3)
        turn = np.array([1, -1, -1]) if side == "left" else np.ones(3)
        residual = self.rng.normal(0, 0.2, (16, 3))
        absolute = residual.copy()
        absolute[1:] += self.mean.reshape(15, 3) * turn
        betas = self.rng.normal(0, 0.5, 10)
        rotmats = torch.from_numpy(Rotation.from_rotvec(absolute * turn).as_matrix()).float()
        _, posed = self.layer(rotmats[None], torch.from_numpy(betas).float()[None])
        posed = posed[0].double().numpy() * mirror
        in_camera = np.array([0.03 if side == "right" else -0.03, -0.02, 1.0])
        wrist = in_camera @ self.rotation + self.position
        transl = wrist - posed[0]
        camera_joints = (posed + transl - self.position) @ self.rotation.T
        fit = {"pose": residual.ravel().tolist(), "shape": betas.tolist(), "trans": transl.tolist()}
        return fit, camera_joints

    def listed(self, joints):
        """(21, 3) mm, world: one hand as InterHand2.6M lists it, tip to base, wrist last."""
        world = 1000 * (joints @ self.rotation + self.position)
        fingers = [world[1 + 4 * f : 5 + 4 * f][::-1] for f in range(5)]
        return np.concatenate([*fingers, world[:1]])

    def cameras(self):
        return {
            "campos": {"400026": (1000 * self.position).tolist()},
            "camrot": {"400026": self.rotation.tolist()},
            "focal": {"400026": list(self.focal)},
            "princpt": {"400026": list(self.center)},
        }


@pytest.fixture
def interhand(asset, tmp_path):
    """A made-up release in the official layout: (folder, hands by frame, {side: joints m})."""
    world = World(asset)
    rows = {
        36: ("right", "left"),
        54: ("right",),
        72: ("left",),
    }
    truth, joint_3d, mano, images, annotations = {}, {}, {}, [], []
    pictures = tmp_path / "images" / "train" / "Capture3" / "seq_a" / "cam400026"
    pictures.mkdir(parents=True)
    for number, (frame, sides) in enumerate(rows.items()):
        coord, valid = np.ones((42, 3)), np.zeros((42, 1))
        truth[frame], fits = {}, {"right": None, "left": None}
        for side in sides:
            fits[side], joints = world.hand(side)
            first = 0 if side == "right" else 21
            coord[first : first + 21] = world.listed(joints)
            valid[first : first + 21] = 1
            truth[frame][side] = joints
        joint_3d[str(frame)] = {
            "world_coord": coord.tolist(),
            "joint_valid": valid.tolist(),
            "hand_type": sides[0] if len(sides) == 1 else "interacting",
            "hand_type_valid": 1,
            "seq": "seq_a",
        }
        mano[str(frame)] = fits
        name = f"Capture3/seq_a/cam400026/image{frame}.jpg"
        image = world.rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        cv2.imwrite(str(tmp_path / "images/train" / name), image)
        images.append(
            {
                "id": 100 + number,
                "file_name": name,
                "width": WIDTH,
                "height": HEIGHT,
                "capture": 3,
                "subject": 1,
                "seq_name": "seq_a",
                "camera": "400026",
                "frame_idx": frame,
            }
        )
        annotations.append({"id": number, "image_id": 100 + number, "bbox": [0, 0, 9, 9]})
    folder = tmp_path / "annotations" / "train"
    folder.mkdir(parents=True)
    files = {
        "data": {"images": images, "annotations": annotations},
        "camera": {"3": world.cameras()},
        "joint_3d": {"3": joint_3d},
        "MANO_NeuralAnnot": {"3": mano},
    }
    for kind, content in files.items():
        (folder / f"InterHand2.6M_train_{kind}.json").write_text(json.dumps(content))
    return tmp_path, truth


@pytest.fixture
def freihand(tmp_path):
    """A made-up COCO file with two pictures of one pose and one of another."""
    rng = np.random.default_rng(1)
    images, annotations = [], []
    for ident in (5, 5 + 32560, 7):
        name = f"{ident:08d}.jpg"
        cv2.imwrite(str(tmp_path / name), rng.integers(0, 256, (224, 224, 3), dtype=np.uint8))
        points = rng.uniform(60, 160, (21, 2))
        triples = np.c_[points, np.ones(21)]
        images.append({"file_name": name, "height": 224, "width": 224, "id": ident})
        annotations.append(
            {
                "id": ident,
                "image_id": ident,
                "category_id": 1,
                "bbox": [50, 52, 120, 118],
                "keypoints": triples.ravel().tolist(),
            }
        )
    fingers = ("thumb", "forefinger", "middle_finger", "ring_finger", "pinky_finger")
    names = ["wrist", *(f"{finger}{k}" for finger in fingers for k in (1, 2, 3, 4))]
    content = {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 1, "name": "hand", "keypoints": names}],
    }
    (tmp_path / "test_freihand.json").write_text(json.dumps(content))
    return tmp_path, content

"""HaMeR's data files, from disk to crop coordinates, against its own loaders, recorded."""

from __future__ import annotations

import io
import pickle
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from zoo.augment.crop import HandCrop
from zoo.contracts import FrameBatch
from zoo.data.hamer_npz import HamerNpz
from zoo.data.hamer_tars import HamerTars
from zoo.data.streams import EvalStream, StreamLoader
from zoo.geometry.rotation import geodesic_angle, rotvec_to_rotmat
from zoo.preprocess import Preprocess

RECORDED = np.load(Path(__file__).parents[1] / "oracles" / "hamer_items.npz")
CROP, SHAPE = 256, (192, 256)
OFF = {
    "min_confidence": None,
    "max_beta": None,
    "pose_needs_betas": False,
    "max_reprojection_loss": None,
}
# Recorded case -> the filters, and whether boxes are widened as outside training.
CASES = {"config_only": (OFF, None), "filtered": ({}, None), "filtered_bbox": ({}, SHAPE)}


def blank(height: int, width: int) -> bytes:
    return cv2.imencode(".png", np.zeros((height, width, 3), np.uint8))[1].tobytes()


@pytest.fixture(scope="module")
def tar(tmp_path_factory):
    """The recorded labels in a tar of HaMeR's kind, beside black pictures of the same sizes."""
    arrays = {k.removeprefix("tar/in/"): RECORDED[k] for k in RECORDED.files if "tar/in/" in k}
    picture_of, losses = arrays.pop("picture"), arrays.pop("reprojection_loss")
    path = tmp_path_factory.mktemp("tar") / "000000.tar"
    with tarfile.open(path, "w") as file:
        for number, size in enumerate(RECORDED["tar/picture_hw"]):
            hands = []
            for row in np.flatnonzero(picture_of == number):
                fit = np.array({"reprojection_loss": float(losses[row])}, dtype=object)
                extra = {} if np.isnan(losses[row]) else {"fitting_loss": fit}
                hands.append({k: v[row] for k, v in arrays.items()} | {"extra_info": extra})
            for name, data in (("png", blank(*size)), ("data.pyd", pickle.dumps(hands))):
                entry = tarfile.TarInfo(f"recorded-train/{number:08d}.{name}")
                entry.size = len(data)
                file.addfile(entry, io.BytesIO(data))
    return path


def seen(source, *, widened: tuple[int, int] | None):
    """What a network and a loss would be given of every hand of a source."""
    (batch,) = StreamLoader(EvalStream({"recorded": source}, batch_size=16))
    assert not batch.skipped
    crop = HandCrop(size=(CROP, CROP), expand=2.0, box="stored", eval_aspect=widened)
    preprocess = Preprocess(crop=crop, view_augmentations={}, pixel_augmentations={}, seed=0)
    out = preprocess(FrameBatch(batch.frames), False)
    return batch.frames, out["inputs"], out["data_samples"]


def assert_items(prefix: str, view, target) -> None:
    recorded = {
        k.removeprefix(f"{prefix}/"): torch.from_numpy(RECORDED[k])
        for k in RECORDED.files
        if k.startswith(f"{prefix}/")
    }
    keypoints, joints = recorded["keypoints_2d"], recorded["keypoints_3d"]
    close = torch.testing.assert_close
    close(target.keypoints_valid, keypoints[..., 2])
    close(target.joints_valid, joints[..., 3])
    known = keypoints[..., 2:] > 0
    close(target.keypoints * known, (keypoints[..., :2] + 0.5) * CROP * known, rtol=0, atol=1e-3)
    close(target.joints * (joints[..., 3:] > 0), joints[..., :3], rtol=0, atol=1e-6)
    side = view.frame_from_crop[:, 0, 0].abs() * CROP
    close(side, recorded["box_size"], rtol=1e-5, atol=0)
    has_pose = recorded["has"][:, 1] > 0
    assert torch.equal(target.has_mano > 0, has_pose)
    rotvecs = torch.cat([recorded[f"mano_params.{p}"] for p in ("global_orient", "hand_pose")], 1)
    rotmats = rotvec_to_rotmat(rotvecs.double().view(-1, 16, 3))
    turned = geodesic_angle(target.rotmats.double(), rotmats)[has_pose]
    assert (turned < 1e-5).all()
    labelled = has_pose & (recorded["has"][:, 2] > 0)
    close(target.betas[labelled], recorded["mano_params.betas"][labelled])


@pytest.mark.parametrize("case", CASES)
def test_a_tar_gives_the_hands_and_labels_of_the_original_loader(tar, case):
    filters, widened = CASES[case]
    frames, view, target = seen(HamerTars(shards=tar, **filters), widened=widened)
    pictures = [int(frame.key.split("/")[1].partition("#")[0]) for frame in frames]
    assert pictures == RECORDED[f"tar/{case}/picture"].tolist()
    assert_items(f"tar/{case}", view, target)


@pytest.mark.parametrize("file", ["full", "minimal"])
@pytest.mark.parametrize("rescale", [-1, 2])
def test_an_evaluation_file_gives_the_items_of_the_original_loader(file, rescale, tmp_path):
    arrays = {k.removeprefix("npz/in/"): RECORDED[k] for k in RECORDED.files if "npz/in/" in k}
    for name, size in zip(arrays["imgname"], RECORDED["npz/picture_hw"], strict=True):
        place = tmp_path / name.decode()
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(blank(*size))
    if file == "minimal":
        arrays = {k: arrays[k] for k in ("imgname", "center")}
        arrays["scale"] = RECORDED["npz/minimal/scale"]
    np.savez(tmp_path / "set.npz", **arrays)
    source = HamerNpz(file=tmp_path / "set.npz", images=tmp_path, rescale=rescale)
    _, view, target = seen(source, widened=SHAPE)
    assert_items(f"npz/{file}/{rescale}", view, target)

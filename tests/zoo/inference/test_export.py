from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import trimesh

from zoo.geometry.rotation import rotvec_to_rotmat
from zoo.inference.export import Y_UP, write_hand
from zoo.inference.predictor import HandResult


@pytest.fixture(params=["right", "left"])
def result(request, hand, labelled_frame) -> HandResult:
    frame = labelled_frame(request.param)
    faces = hand.faces.numpy()
    return HandResult(
        name="holiday_3",
        side=request.param,
        box=frame.hand_box.double().numpy(),
        keypoints=frame.label.keypoints.double().numpy(),
        joints=frame.label.joints.double().numpy(),
        vertices=frame.label.vertices.double().numpy(),
        faces=faces[:, ::-1].copy() if request.param == "left" else faces,
        rotmats=frame.label.rotmats.double().numpy(),
        betas=frame.label.betas.double().numpy(),
        transl=np.array([0.1, 0.2, 0.6]),
        position=frame.label.joints[0].double().numpy(),
        anchor="wrist",
        intrinsics=frame.intrinsics.double().numpy(),
        camera="assumed",
    )


def faces_outward(mesh: trimesh.Trimesh) -> bool:
    return np.einsum("fi,fi->", mesh.triangles_center - mesh.centroid, mesh.face_normals) > 0


@pytest.mark.parametrize("kind", ["obj", "glb"])
def test_a_mesh_read_back_is_the_hand_upright_in_metres(result, tmp_path, kind):
    path = write_hand(result, tmp_path)[kind]
    mesh = trimesh.load(path, process=False, force="mesh", maintain_order=True)
    np.testing.assert_allclose(mesh.vertices, result.vertices * Y_UP, atol=2e-6)
    np.testing.assert_array_equal(mesh.faces, result.faces)
    assert faces_outward(mesh)


@pytest.mark.parametrize("kind", ["obj", "glb"])
def test_a_mesh_file_carries_smooth_normals_that_point_outward(result, tmp_path, kind):
    content = write_hand(result, tmp_path)[kind].read_bytes()
    if kind == "glb":
        header = json.loads(content[20 : 20 + int.from_bytes(content[12:16], "little")])
        (mesh,) = header["meshes"]
        assert "NORMAL" in mesh["primitives"][0]["attributes"]
        assert header["materials"][0]["doubleSided"]
    else:
        lines = content.decode().splitlines()
        assert sum(line.startswith("vn ") for line in lines) == len(result.vertices)
        assert not any(line.startswith("mtllib") for line in lines)


def test_up_in_the_picture_is_up_in_a_viewer():
    above, nearer = np.array([0.0, -1.0, 0.0]), np.array([0.0, 0.0, -1.0])
    np.testing.assert_array_equal(above * Y_UP, [0, 1, 0])
    np.testing.assert_array_equal(nearer * Y_UP, [0, 0, 1])  # towards a glTF camera's eye


def test_json_keeps_every_number_and_says_what_was_assumed(result, tmp_path):
    path = write_hand(result, tmp_path, extra={"picture": "holiday.jpg"})["json"]
    said = json.loads(path.read_text())
    np.testing.assert_allclose(said["joints"], result.joints, atol=1e-6)
    np.testing.assert_allclose(said["keypoints"], result.keypoints, atol=1e-3)
    np.testing.assert_allclose(said["camera"]["intrinsics"], result.intrinsics, atol=1e-3)
    rotvec = torch.tensor(said["mano"]["rotvec"], dtype=torch.float64)
    np.testing.assert_allclose(rotvec_to_rotmat(rotvec), result.rotmats, atol=1e-5)
    assert said["side"] == result.side
    assert said["mano"]["model"] == "right"
    assert said["mano"]["mirrored"] is (result.side == "left")
    assert said["camera"]["kind"] == "assumed"
    assert "diagonal" in said["camera"]["note"]
    assert said["source"] == {"picture": "holiday.jpg"}
    assert said["software"]["version"]


def test_nothing_is_written_when_one_of_the_files_stands_already(result, tmp_path):
    (tmp_path / "holiday_3.glb").write_text("mine")
    with pytest.raises(ValueError, match=r"holiday_3\.glb: there already"):
        write_hand(result, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["holiday_3.glb"]
    write_hand(result, tmp_path, overwrite=True)
    assert {path.suffix for path in tmp_path.iterdir()} == {".obj", ".glb", ".json"}


def test_a_number_that_json_cannot_hold_is_refused(result, tmp_path):
    result.joints[0, 0] = np.nan
    with pytest.raises(ValueError, match="JSON"):
        write_hand(result, tmp_path)
    assert list(tmp_path.iterdir()) == []

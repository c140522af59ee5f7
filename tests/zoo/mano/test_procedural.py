from __future__ import annotations

import dataclasses
import subprocess
import sys
import time

import numpy as np
import pytest
import roma
import torch

from zoo.mano import procedural
from zoo.mano.layer import ManoLayer
from zoo.mano.procedural import archive
from zoo.mano.procedural.triangles import boundary, check_disc, edges
from zoo.mano.topology import (
    FINGERS,
    MANO_FROM_OPENPOSE,
    PARENTS,
    TIP_DEFINITIONS,
    mirror_points,
    mirror_rotmats,
)


@pytest.fixture(scope="module")
def posed(clayhand, prior):
    """Surfaces and joints of 64 plausible poses of 64 shapes, and the same shapes at rest. m."""
    layer = ManoLayer(asset=clayhand)
    rotvec = torch.tensor(prior.sample(64, np.random.default_rng(5))).float().view(64, 15, 3)
    wrist = torch.eye(3).expand(64, 1, 3, 3)
    betas = torch.randn(64, 10, generator=torch.Generator().manual_seed(0))
    rest, _ = layer(torch.eye(3).expand(64, 16, 3, 3), betas)
    vertices, joints = layer(torch.cat((wrist, roma.rotvec_to_rotmat(rotvec)), 1), betas)
    return vertices.numpy(), joints.numpy(), rest.numpy()


def areas(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    a, b, c = (vertices[..., faces[:, k], :] for k in range(3))
    return np.linalg.norm(np.cross(b - a, c - a), axis=-1) / 2


def test_it_has_mano_s_counts_and_never_mano_s_name(clayhand):
    assert clayhand.name == "clayhand"
    assert len(clayhand.v_template) == 778
    assert clayhand.faces.shape == (1538, 3)
    assert clayhand.faces.dtype == clayhand.parents.dtype == np.int64
    assert tuple(clayhand.parents) == PARENTS


def test_the_mesh_is_one_oriented_disc_with_a_sixteen_edge_wrist(clayhand):
    check_disc(clayhand.faces, 778)
    loop = boundary(clayhand.faces)
    assert len(loop) == 16
    assert np.ptp(clayhand.v_template[loop, 0]) < 1e-6  # the open edge is plane


def test_faces_point_outwards(clayhand):
    points = clayhand.v_template.astype(np.float64)
    loop = boundary(clayhand.faces)
    lid = np.stack((loop, np.roll(loop, -1), np.full(16, 778)), 1)
    closed = np.concatenate((points, points[loop].mean(0, keepdims=True)))
    a, b, c = (closed[np.concatenate((clayhand.faces, lid))[:, k]] for k in range(3))
    volume = np.einsum("ij,ij->", a, np.cross(b, c)) / 6
    assert 2.5e-4 < volume < 4.5e-4  # m3: a hand holds about a third of a litre


def test_fingers_point_along_minus_x_palm_down_thumb_towards_z(clayhand):
    joints = clayhand.joint_regressor @ clayhand.v_template
    wrist, middle, thumb = joints[0], joints[4], joints[13]
    assert middle[0] < wrist[0] - 0.08
    assert thumb[2] > wrist[2] + 0.01
    rotmats = torch.eye(3).repeat(1, 16, 1, 1)
    rotmats[0, 4] = roma.rotvec_to_rotmat(torch.tensor([0.0, 0, 1]))
    _, bent = ManoLayer(asset=clayhand)(rotmats, torch.zeros(1, 10))
    assert bent[0, 12, 1] < joints[6, 1] - 0.03  # a turn about +z flexes towards the palm


@pytest.mark.parametrize("definition", TIP_DEFINITIONS)
@pytest.mark.parametrize("finger", FINGERS)
def test_every_tip_definition_of_the_field_lies_on_its_fingertip(definition, finger, clayhand):
    joints = clayhand.joint_regressor @ clayhand.v_template
    first = {"thumb": 13, "index": 1, "middle": 4, "ring": 10, "pinky": 7}[finger]
    last = joints[first + 2]
    along = joints[first + 2] - joints[first + 1]
    tip = clayhand.v_template[TIP_DEFINITIONS[definition][FINGERS.index(finger)]]
    reach = (tip - last) @ along / np.linalg.norm(along)
    assert 0.015 < reach < 0.028


def test_its_size_is_an_adult_s(clayhand):
    points = clayhand.v_template
    joints = clayhand.joint_regressor @ points
    length = joints[0, 0] - points[443, 0]
    assert length == pytest.approx(0.187, abs=0.001)
    knuckles = points[(np.abs(points[:, 0] - joints[0, 0] + 0.080) < 0.006)]
    knuckles = knuckles[knuckles[:, 2] < 0.040]  # without the thumb
    assert np.ptp(knuckles[:, 2]) == pytest.approx(0.084, abs=0.004)
    assert np.ptp(knuckles[:, 1]) == pytest.approx(0.031, abs=0.005)


def test_skinning_weights_are_sparse_shares(clayhand):
    assert clayhand.weights.min() >= 0
    np.testing.assert_allclose(clayhand.weights.sum(1), 1, atol=2e-7)
    used = (clayhand.weights > 0).sum(1)
    assert used.max() <= 6
    assert used.mean() < 2.2


def test_shape_components_are_orthogonal_and_ordered_by_size(clayhand):
    gram = np.einsum("vck,vcl->kl", clayhand.shapedirs, clayhand.shapedirs)
    size = np.sqrt(np.diag(gram) / 778)
    assert np.abs(gram - np.diag(np.diag(gram))).max() < 1e-6 * gram.max()
    assert (np.diff(size) < 0).all()
    assert size[0] == pytest.approx(7.4e-3, abs=2e-4)


def test_pose_components_are_an_orthonormal_basis(clayhand):
    components = clayhand.hands_components
    np.testing.assert_allclose(components @ components.T, np.eye(45), atol=2e-6)


def test_plausible_hands_are_finite_and_keep_their_triangles(posed, clayhand):
    vertices, joints, rest = posed
    assert np.isfinite(vertices).all()
    assert np.isfinite(joints).all()
    ratio = areas(vertices, clayhand.faces) / areas(rest, clayhand.faces)
    assert ratio.min() > 0.005
    assert np.percentile(ratio, 1) > 0.3
    assert np.median(ratio) == pytest.approx(1, abs=0.01)
    assert ratio.max() < 6


def test_shapes_alone_never_collapse_a_triangle(posed, clayhand):
    ratio = areas(posed[2], clayhand.faces) / areas(clayhand.v_template, clayhand.faces)
    assert ratio.min() > 0.3
    assert ratio.max() < 2.2


def test_joints_read_from_the_posed_surface_agree_with_the_skeleton(posed, clayhand):
    vertices, joints, _ = posed
    read = np.einsum("jv,bvc->bjc", clayhand.joint_regressor, vertices)
    away = np.linalg.norm(read - joints[:, MANO_FROM_OPENPOSE], axis=-1)
    assert away.mean() < 1.2e-3
    assert away.max() < 5e-3


def test_any_rotation_of_every_joint_stays_finite(clayhand):
    layer = ManoLayer(asset=clayhand)
    quat = torch.randn(32, 16, 4, generator=torch.Generator().manual_seed(0))
    rotmats = roma.unitquat_to_rotmat(torch.nn.functional.normalize(quat, dim=-1))
    vertices, _ = layer(rotmats, torch.zeros(32, 10))
    assert vertices.abs().max() < 0.4


def test_the_left_hand_is_the_mirror_image(clayhand):
    flip = np.array([-1.0, 1, 1])
    turn = np.tile(np.outer(flip, flip).ravel(), 15)
    left = dataclasses.replace(
        clayhand,
        v_template=clayhand.v_template * flip,
        faces=clayhand.faces[:, ::-1].copy(),
        shapedirs=clayhand.shapedirs * flip[:, None],
        posedirs=clayhand.posedirs * flip[:, None] * turn,
    )
    rotvec = 0.6 * torch.randn(3, 16, 3, generator=torch.Generator().manual_seed(0))
    rotmats, betas = roma.rotvec_to_rotmat(rotvec), torch.randn(3, 10)
    vertices, joints = ManoLayer(asset=clayhand)(rotmats, betas)
    other_vertices, other_joints = ManoLayer(asset=left)(mirror_rotmats(rotmats), betas)
    torch.testing.assert_close(other_vertices, mirror_points(vertices), atol=1e-6, rtol=0)
    torch.testing.assert_close(other_joints, mirror_points(joints), atol=1e-6, rtol=0)


def test_loading_needs_numpy_alone():
    code = (
        "import sys, numpy; before = set(sys.modules)\n"
        "from zoo.mano.procedural import Appearance, PosePrior\n"
        "PosePrior.load(); Appearance.load()\n"
        "new = {m.split('.')[0] for m in set(sys.modules) - before}\n"
        "print(sorted(new & {'torch', 'scipy', 'numba', 'roma', 'cv2', 'smplx'}))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_loading_is_quick_and_the_archive_small():
    archive.read.cache_clear()
    start = time.process_time()
    procedural.load()
    assert time.process_time() - start < 0.3
    assert archive.ARCHIVE.stat().st_size < 2e6


def test_the_shared_arrays_cannot_be_spoiled(clayhand):
    with pytest.raises(ValueError, match="read-only"):
        clayhand.v_template[0] = 0


def test_the_mesh_has_the_edges_of_its_faces(clayhand):
    assert len(edges(clayhand.faces)) == 778 + 1538 - 1

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from zoo.geometry.rotation import (
    geodesic_angle,
    nearest_rotation,
    rot6d_to_rotmat,
    rotation_about_z,
    rotmat_to_rot6d,
    rotmat_to_rotvec,
    rotmat_to_unitquat,
    rotvec_to_rotmat,
    unitquat_to_rotmat,
)

RECORDED = Path(__file__).parents[2] / "oracles"
ANGLES = (0.0, 1e-8, 1e-4, 0.3, 1.0, 2.0, math.pi - 1e-3, math.pi - 1e-6, math.pi)


def _recorded(name: str) -> dict[str, torch.Tensor]:
    with np.load(RECORDED / name) as file:
        return {
            key: torch.from_numpy(file[key]) for key in file.files if file[key].dtype.kind == "f"
        }


def _rotvecs(angle: float, dtype=torch.float64):
    rng = torch.Generator().manual_seed(0)
    axes = torch.nn.functional.normalize(torch.randn(7, 3, generator=rng, dtype=dtype), dim=-1)
    return torch.cat((axes, torch.eye(3, dtype=dtype), -torch.eye(3, dtype=dtype))) * angle


@pytest.mark.parametrize("angle", ANGLES)
def test_every_representation_leads_back_to_the_same_rotation(angle):
    rotmats = rotvec_to_rotmat(_rotvecs(angle))
    ways = {
        "rotvec": rotvec_to_rotmat(rotmat_to_rotvec(rotmats)),
        "unitquat": unitquat_to_rotmat(rotmat_to_unitquat(rotmats)),
        "columns": rot6d_to_rotmat(rotmat_to_rot6d(rotmats, order="columns"), order="columns"),
        "rows": rot6d_to_rotmat(rotmat_to_rot6d(rotmats, order="rows"), order="rows"),
        "nearest": nearest_rotation(rotmats),
    }
    for name, back in ways.items():
        torch.testing.assert_close(back, rotmats, rtol=0, atol=1e-9, msg=name)


def test_a_rotation_matches_the_matrix_exponential():
    for angle in ANGLES:
        rotvecs = _rotvecs(angle)
        x, y, z = rotvecs.unbind(-1)
        zero = torch.zeros_like(x)
        cross = torch.stack((zero, -z, y, z, zero, -x, -y, x, zero), -1).view(-1, 3, 3)
        expected = torch.linalg.matrix_exp(cross)
        torch.testing.assert_close(rotvec_to_rotmat(rotvecs), expected, rtol=0, atol=1e-9)


def test_columns_and_rows_read_the_same_numbers_differently():
    numbers = torch.tensor([1.0, 0, 0, 0, 0, 1])
    by_columns = torch.tensor([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    torch.testing.assert_close(rot6d_to_rotmat(numbers, order="columns"), by_columns)
    first, second = torch.tensor([1.0, 0, 0]), torch.tensor([0.0, 0, 1])
    interleaved = torch.stack((first, second), dim=-1).flatten()
    torch.testing.assert_close(rot6d_to_rotmat(interleaved, order="rows"), by_columns)


def test_an_unknown_order_is_refused():
    with pytest.raises(ValueError, match=r"'columns' .* or 'rows' .*, not 'row'"):
        rot6d_to_rotmat(torch.ones(6), order="row")


@pytest.mark.parametrize("angle", ANGLES)
def test_the_geodesic_angle_is_the_angle_of_the_rotation(angle):
    start = nearest_rotation(
        torch.randn(13, 3, 3, generator=torch.Generator().manual_seed(1)).double()
    )
    for dtype, tolerance in ((torch.float64, 1e-9), (torch.float32, 2e-6)):
        a = start.to(dtype)
        b = a @ rotvec_to_rotmat(_rotvecs(angle)).to(dtype)
        expected = torch.full((13,), angle, dtype=dtype)
        torch.testing.assert_close(geodesic_angle(a, b), expected, rtol=0, atol=tolerance)
        torch.testing.assert_close(geodesic_angle(b, a), geodesic_angle(a, b))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("angle", ANGLES)
def test_values_and_gradients_are_finite_from_zero_to_pi(angle, dtype):
    rotvecs = _rotvecs(angle, dtype).requires_grad_()
    rotmats = rotvec_to_rotmat(rotvecs)
    outputs = {
        "rotvec_to_rotmat": rotmats,
        "rotmat_to_rotvec": rotmat_to_rotvec(rotmats),
        "unitquat": unitquat_to_rotmat(rotmat_to_unitquat(rotmats)),
        "rot6d": rot6d_to_rotmat(rotmat_to_rot6d(rotmats, order="rows"), order="rows"),
        "angle": geodesic_angle(rotmats, torch.eye(3, dtype=dtype).expand_as(rotmats)),
    }
    for name, output in outputs.items():
        (gradient,) = torch.autograd.grad(output.sum(), rotvecs, retain_graph=True)
        assert output.isfinite().all(), name
        assert gradient.isfinite().all(), name
        assert gradient.abs().max() < 100, name


def test_degenerate_six_numbers_stay_finite():
    for numbers in (
        [0.0] * 6,
        [1.0, 2, 3, 2, 4, 6],
        [0, 0, 0, 1, 2, 3],
        [1e-20] * 6,
        [1e20, 0, 0, 0, 1, 0],
    ):
        for order in ("columns", "rows"):
            rot6d = torch.tensor(numbers, dtype=torch.float32).requires_grad_()
            rotmat = rot6d_to_rotmat(rot6d, order=order)
            (gradient,) = torch.autograd.grad(rotmat.sum(), rot6d)
            assert rotmat.isfinite().all()
            assert gradient.isfinite().all()


def test_the_nearest_rotation_is_proper_and_no_farther_than_others():
    rng = torch.Generator().manual_seed(2)
    matrices = torch.randn(20, 3, 3, generator=rng, dtype=torch.float64)
    nearest = nearest_rotation(matrices)
    torch.testing.assert_close(torch.linalg.det(nearest), torch.ones(20).double())
    distance = (nearest - matrices).square().sum((-2, -1))
    for other in rotvec_to_rotmat(torch.randn(500, 3, generator=rng, dtype=torch.float64) * 2):
        assert (distance <= (other - matrices).square().sum((-2, -1)) + 1e-12).all()


def test_a_turn_about_z_takes_x_towards_y():
    quarter = rotation_about_z(torch.tensor([math.pi / 2]))[0]
    torch.testing.assert_close(quarter @ torch.tensor([1.0, 0, 0]), torch.tensor([0.0, 1, 0]))


def test_rotations_agree_with_those_recorded_from_csvit2():
    recorded = _recorded("csvit2_rotations.npz")
    rotvecs, rotmats = recorded["axis_angle/aa"], recorded["axis_angle/matrix"]
    torch.testing.assert_close(rotvec_to_rotmat(rotvecs), rotmats, rtol=0, atol=2e-6)
    columns = rotmat_to_rot6d(rotmats, order="columns")
    torch.testing.assert_close(columns, recorded["axis_angle/sixd"], rtol=0, atol=0)
    six = recorded["sixd/d6"].clone().requires_grad_()
    decoded = rot6d_to_rotmat(six, order="columns")
    torch.testing.assert_close(decoded, recorded["sixd/matrix"], rtol=0, atol=1e-6)
    (gradient,) = torch.autograd.grad((decoded * recorded["sixd/grad_weight"]).sum(), six)
    torch.testing.assert_close(gradient, recorded["sixd/grad_d6"], rtol=1e-3, atol=1e-6)
    quaternions = recorded["quaternion/q_unit"]
    expected = recorded["quaternion/to_matrix"]
    torch.testing.assert_close(unitquat_to_rotmat(quaternions), expected, rtol=0, atol=2e-6)


def test_rotations_agree_with_those_recorded_from_hamer():
    recorded = _recorded("hamer_rotations.npz")
    for name in ("rot6d", "rot6d_edge"):
        decoded = rot6d_to_rotmat(recorded[name], order="columns")
        torch.testing.assert_close(decoded, recorded[f"{name}_R"], rtol=0, atol=2e-6)
    for name in ("aa", "aa_edge"):
        rotmats = rotvec_to_rotmat(recorded[name])
        torch.testing.assert_close(rotmats, recorded[f"{name}_R"], rtol=0, atol=2e-6)
    rotmats = unitquat_to_rotmat(recorded["quat_wxyz"])
    torch.testing.assert_close(rotmats, recorded["quat_R"], rtol=0, atol=2e-6)
    # the original answers NaN here
    assert rotvec_to_rotmat(torch.full((1, 3), -1e-8)).isfinite().all()


def test_labels_turn_with_the_picture_as_recorded_from_hamer():
    recorded = _recorded("hamer_rotations.npz")
    for index, degrees in enumerate(recorded["label_rot_deg"].tolist()):
        turn = rotation_about_z(torch.tensor([-math.radians(degrees)]))
        turned = turn @ rotvec_to_rotmat(recorded["label_aa"])
        expected = recorded["label_aa_out_R"][:, index]
        torch.testing.assert_close(turned, expected, rtol=0, atol=2e-5)

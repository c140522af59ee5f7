from __future__ import annotations

import numpy as np
import pytest

from zoo.mano.procedural.anatomy import DIGITS
from zoo.mano.procedural.digit import digits, smoothstep

ANGLES = np.linspace(0, 2 * np.pi, 12, endpoint=False)


@pytest.mark.parametrize("name", DIGITS)
def test_rings_lie_on_the_skin(name):
    digit = digits()[name]
    for part in (0.25, 0.5):
        station = digit.start[2] + part * digit.length[2]
        assert np.abs(digit.sdf(digit.ring(station, ANGLES))).max() < 0.35


@pytest.mark.parametrize("name", DIGITS)
def test_the_bone_is_inside_and_the_far_side_outside(name):
    digit = digits()[name]
    middle = digit.joints[:3] + 0.5 * digit.direction * digit.length[:, None]
    assert (digit.sdf(middle) < -4).all()
    assert (digit.sdf(middle + 40 * digit.dorsal) > 20).all()


@pytest.mark.parametrize("name", DIGITS)
def test_every_bone_has_an_orthonormal_frame(name):
    digit = digits()[name]
    frame = np.stack((digit.direction, digit.dorsal, digit.lateral), 1)
    identity = np.broadcast_to(np.eye(3), (3, 3, 3))
    np.testing.assert_allclose(frame @ frame.swapaxes(1, 2), identity, atol=1e-9)


@pytest.mark.parametrize("name", DIGITS)
def test_coordinates_about_the_bone_lead_back_to_the_point(name):
    digit = digits()[name]
    station = digit.start[1] + 0.5 * digit.length[1]
    around = digit.around(digit.ring(station, ANGLES))
    np.testing.assert_allclose(around.station, station, atol=0.7)
    np.testing.assert_allclose(around.cos, np.cos(ANGLES), atol=0.05)
    np.testing.assert_allclose(around.sin, np.sin(ANGLES), atol=0.05)


def test_the_tip_closes():
    digit = digits()["index"]
    cos = np.ones(3)
    end = digit.start[3]
    radius = digit.radius(np.array([end - 7, end - 1, end]), cos, 0 * cos)
    assert (np.diff(radius) < 0).all()
    assert radius[-1] == pytest.approx(0, abs=1e-5)


def test_smoothstep_ends_flat():
    x = np.array([-1.0, 0, 0.5, 1, 2])
    np.testing.assert_array_equal(smoothstep(x, 0, 1), [0, 0, 0.5, 1, 1])
    assert smoothstep(np.array(0.01), 0, 1) < 0.001

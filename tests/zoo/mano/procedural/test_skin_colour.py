from __future__ import annotations

import numpy as np
import pytest

from zoo.mano.procedural.anatomy import DIGITS, place
from zoo.mano.procedural.collision import vertex_normals
from zoo.mano.procedural.digit import digits
from zoo.mano.procedural.skin_colour import skin_colour


def test_colours_change_smoothly_over_the_whole_hand(hand):
    """A step of a tenth of a millimetre changes no colour by more than a few percent.

    Only the white edge of a nail is sharper.
    """
    normals = vertex_normals(hand.mesh.points, hand.mesh.faces)
    step = 0.1 * np.random.default_rng(0).standard_normal(hand.mesh.points.shape)
    here = skin_colour(hand.mesh.points, normals)
    there = skin_colour(hand.mesh.points + step, normals)
    change = np.abs(here - there)[:, :3].max(1)
    assert np.percentile(change, 99) < 0.04
    assert change.max() < 0.2


@pytest.mark.parametrize("name", DIGITS)
def test_a_nail_is_on_the_back_of_every_fingertip_and_nowhere_else(name):
    digit = digits()[name]
    station = digit.start[2] + 0.66 * digit.length[2]
    back, front = digit.ring(station, np.array([0.0, np.pi]))
    normals = np.stack((digit.dorsal[2], -digit.dorsal[2]))
    gloss = skin_colour(np.stack((back, front)), normals)[:, 3]
    assert gloss[0] > 0.8
    assert gloss[1] < 0.4


def test_the_palm_is_lighter_than_the_back_of_the_hand():
    points = np.stack((place(50, 14, -5), place(50, -16, -5)))
    back, palm = skin_colour(points, np.array([[0.0, 1, 0], [0, -1, 0]]))[:, :3].mean(1)
    assert palm > 1.15 * back


def test_colours_are_albedos(hand):
    normals = vertex_normals(hand.mesh.points, hand.mesh.faces)
    colour = skin_colour(hand.mesh.points, normals)
    assert colour.shape == (778, 4)
    assert (colour >= 0).all()
    assert (colour <= 1).all()
    assert (colour[:, 0] > colour[:, 2]).mean() > 0.95  # skin is redder than blue

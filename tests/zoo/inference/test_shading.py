from __future__ import annotations

import numpy as np
import pytest
import trimesh

from zoo.inference.shading import Surface, draw_surfaces, vertex_normals

GREY = np.full((120, 160, 3), 128, np.uint8)
CAMERA = np.array([[200.0, 0, 79.5], [0, 200.0, 59.5], [0, 0, 1]])


def ball(place, colour=(0.9, 0.1, 0.1), radius=0.05, camera=CAMERA) -> Surface:
    mesh = trimesh.creation.icosphere(subdivisions=3, radius=radius)
    return Surface(np.asarray(mesh.vertices) + place, np.asarray(mesh.faces), camera, colour)


def changed(image) -> np.ndarray:
    return (image != GREY).any(-1)


def test_a_ball_covers_the_pixels_its_outline_covers():
    seen = changed(draw_surfaces(GREY, [ball((0.02, -0.01, 0.4))], opacity=1))
    # half the opening angle of a ball of 5 cm whose centre is 40 cm away
    radius = 200 * np.tan(np.arcsin(0.05 / np.hypot(0.4, 0.0)))
    assert seen.sum() == pytest.approx(np.pi * radius**2, rel=0.05)
    y, x = np.argwhere(seen).mean(0)
    assert (x, y) == pytest.approx((79.5 + 200 * 0.02 / 0.4, 59.5 - 200 * 0.01 / 0.4), abs=0.6)


@pytest.mark.parametrize("order", [1, -1])
def test_the_nearer_surface_hides_the_farther_one_in_either_order(order):
    red, green = ball((0, 0, 0.4)), ball((0, 0, 0.6), (0.1, 0.9, 0.1))
    centre = draw_surfaces(GREY, [red, green][::order], opacity=1)[59, 79].astype(int)
    assert centre[0] > 2 * centre[1]


@pytest.mark.parametrize("order", [1, -1])
def test_hands_of_differing_virtual_cameras_cover_each_other_by_apparent_distance(order):
    far = np.diag([10.0, 10.0, 1.0]) @ CAMERA
    far[:2, 2] = CAMERA[:2, 2]
    near_but_virtual = ball((0, 0, 4.0), camera=far)  # looks as if at 0.4 m
    green = ball((0, 0, 0.6), (0.1, 0.9, 0.1))
    centre = draw_surfaces(GREY, [near_but_virtual, green][::order], opacity=1)[59, 79].astype(int)
    assert centre[0] > 2 * centre[1]


def test_opacity_mixes_the_surface_with_the_picture():
    surface = ball((0, 0, 0.4))
    full = draw_surfaces(GREY, [surface], opacity=1)[59, 79].astype(float)
    half = draw_surfaces(GREY, [surface], opacity=0.5)[59, 79].astype(float)
    np.testing.assert_allclose(half, (full + 128) / 2, atol=1)
    np.testing.assert_array_equal(draw_surfaces(GREY, [surface], opacity=0), GREY)


def test_light_falls_from_the_upper_left_and_edges_fall_off():
    drawn = draw_surfaces(GREY, [ball((0, 0, 0.4))], opacity=1)[..., 0].astype(int)
    assert drawn[49, 69] > drawn[69, 89] + 30
    assert drawn[59, 79] > drawn[59, 79 + 24]


def test_the_inside_of_an_open_surface_is_darker_than_its_outside():
    mesh = trimesh.creation.icosphere(subdivisions=3, radius=0.05)
    faces = np.asarray(mesh.faces)
    open_ball = faces[mesh.vertices[faces][:, :, 2].mean(1) > 0]  # the half towards us taken away
    place = np.array([0, 0, 0.4])
    inside = Surface(mesh.vertices + place, open_ball, CAMERA, (0.9, 0.1, 0.1))
    outside = ball(place)
    dark = draw_surfaces(GREY, [inside], opacity=1)[59, 79, 0]
    assert dark < 0.75 * draw_surfaces(GREY, [outside], opacity=1)[59, 79, 0]


@pytest.mark.parametrize("place", [(0, 0, -0.4), (3.0, 0, 0.4), (0, 0, 0.0)])
def test_what_cannot_be_seen_changes_nothing_and_raises_nothing(place):
    drawn = draw_surfaces(GREY, [ball(place, radius=1e-4)], opacity=1)
    np.testing.assert_array_equal(drawn, GREY)


def test_a_surface_through_the_camera_is_drawn_where_it_lies_ahead():
    drawn = draw_surfaces(GREY, [ball((0, 0, 0.04))], opacity=1)
    assert changed(drawn).any()


def test_normals_of_a_ball_point_away_from_its_centre():
    mesh = trimesh.creation.icosphere(subdivisions=2)
    normals = vertex_normals(np.asarray(mesh.vertices), np.asarray(mesh.faces))
    assert ((normals * mesh.vertices).sum(1) > 0.99).all()

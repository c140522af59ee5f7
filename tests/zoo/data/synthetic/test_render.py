"""A picture shows the hand its label speaks of, and is a picture and not a diagram."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest

from zoo.data.synthetic.appearance import draw_look
from zoo.data.synthetic.body import Body, joined
from zoo.data.synthetic.hand import PosableHand
from zoo.data.synthetic.props import draw_props
from zoo.data.synthetic.render import NUM_BACKGROUNDS, SPARE, Renderer
from zoo.data.synthetic.scene import draw_scene, see
from zoo.data.synthetic.shapes import ball, block, bottle, tube
from zoo.geometry.raster import rasterize
from zoo.mano.procedural import PosePrior, load

SIZE = 96


@pytest.fixture(scope="module")
def renderer():
    return Renderer(image_size=SIZE, seed=0)


def draw(seed, renderer, frames=1):
    rng = np.random.default_rng(seed)
    scene = draw_scene(rng, PosableHand(load()), PosePrior.load(), frames=frames, image_size=SIZE)
    look = draw_look(rng, backgrounds=NUM_BACKGROUNDS, spare=SPARE)
    return scene, look


def plain(look, **changes):
    """The look without what spreads over the whole picture."""
    return dataclasses.replace(
        look, noise=0.0, blur=0.0, shadow=(0.0, 0.0, 0.0), vignette=0.0, **changes
    )


@pytest.mark.parametrize("seed", range(8))
def test_every_joint_lies_on_the_drawn_hand(renderer, seed):
    scene, look = draw(seed, renderer)
    rng = np.random.default_rng
    dark, light = (
        renderer.picture(scene, 0, plain(look, background_gain=gain), [], rng(0)).astype(int)
        for gain in (0.0, 50.0)
    )
    mirrored = dark[:, ::-1] if scene.is_left else dark
    other = light[:, ::-1] if scene.is_left else light
    opaque = np.abs(mirrored - other).max(-1) < 2  # what the background cannot shine through
    # Tips lie on the skin, so at an outline a tip's own pixel may be half background.
    reach = cv2.dilate(opaque.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    x, y = np.rint(scene.keypoints[0]).astype(int).T
    tips = np.arange(21) % 4 == 0
    tips[0] = False
    assert opaque[y, x][~tips].all()
    assert reach[y, x].all()
    assert 0.02 < opaque.mean() < 0.8


def test_samples_lie_where_the_camera_puts_them(renderer):
    scene, look = draw(1, renderer)
    mesh = renderer.body.arm(scene.vertices[0], scene.orient[0], look.bend, None)
    window = renderer._rasterize(mesh, scene.intrinsics)
    rows, columns = np.nonzero(window.face_id >= 0)
    ours = [
        window.left + (columns.mean() + 0.5) / 2 - 0.5,
        window.top + (rows.mean() + 0.5) / 2 - 0.5,
    ]
    fine = 8  # samples a pixel; the picture ends half a pixel outside its outermost centres
    pixels = (see(mesh.vertices, scene.intrinsics) + 0.5) * fine - 0.5
    points = np.column_stack([pixels, mesh.vertices[:, 2]])
    seen = rasterize(points, mesh.faces, (fine * SIZE, fine * SIZE))[1] >= 0
    expected = (np.array(np.nonzero(seen)[::-1]).mean(1) + 0.5) / fine - 0.5
    np.testing.assert_allclose(ours, expected, atol=0.05)


def test_a_left_hand_is_the_mirrored_picture(renderer):
    scene, look = draw(0, renderer)
    pictures = [
        renderer.picture(dataclasses.replace(scene, is_left=left), 0, look, [], rng)
        for left, rng in ((False, np.random.default_rng(1)), (True, np.random.default_rng(1)))
    ]
    np.testing.assert_array_equal(pictures[0], pictures[1][:, ::-1])


def test_the_same_choices_give_the_same_picture(renderer):
    scene, look = draw(3, renderer)
    first = renderer.picture(scene, 0, look, [], np.random.default_rng(2))
    other_scene, other_look = draw(4, renderer)
    renderer.picture(other_scene, 0, other_look, [], np.random.default_rng(2))
    fresh = Renderer(image_size=SIZE, seed=0)
    for one in (renderer, fresh):
        again = one.picture(scene, 0, look, [], np.random.default_rng(2))
        np.testing.assert_array_equal(first, again)


def test_light_comes_from_where_the_look_says(renderer):
    scene, look = draw(5, renderer)
    dark = np.zeros(3)
    shown = []
    for side in (-1.0, 1.0):
        lamp = plain(
            look,
            light=np.array([side, 0, -0.3]) / np.hypot(1, 0.3),
            sky=dark,
            ground=dark,
            fill_colour=dark,
            background_gain=0.0,
        )
        image = renderer.picture(scene, 0, lamp, [], np.random.default_rng(0)).mean(-1)
        shown.append(image[:, ::-1] if scene.is_left else image)
    columns = np.arange(SIZE)
    centre = [(image.sum(0) * columns).sum() / image.sum() for image in shown]
    assert centre[0] < centre[1] - 1


def test_pictures_differ_as_photographs_do(renderer):
    images = []
    for seed in range(20):
        scene, look = draw(seed, renderer)
        images.append(renderer.picture(scene, 0, look, [], np.random.default_rng(seed)))
    brightness = np.array([image.mean() for image in images])
    assert brightness.std() > 15
    assert 40 < brightness.mean() < 190
    assert min(image.std() for image in images) > 8


def test_props_come_along_and_held_ones_move_with_the_wrist(renderer):
    body, hand, prior = Body(), PosableHand(load()), PosePrior.load()
    held = []
    for seed in range(30):
        scene, look = draw(seed, renderer, frames=4)
        rng = np.random.default_rng(seed)
        for prop in draw_props(rng, scene, look, body, hand, prior):
            last = prop.at(scene, 3)
            if prop.held:
                held.append(prop)
                local = [
                    (mesh.vertices - scene.joints[t, 0]) @ scene.orient[t]
                    for t, mesh in ((0, prop.mesh), (3, last))
                ]
                np.testing.assert_allclose(local[0], local[1], atol=1e-9)
            else:
                np.testing.assert_array_equal(last.vertices, prop.mesh.vertices)
            assert last.rows.max() < len(body.texels)
    assert held


@pytest.mark.parametrize(
    "shape",
    [ball(np.ones(3)), tube(1.0, 4.0, 0.8), bottle(1.0, 5.0), block(np.array([1.0, 2, 3]))],
)
def test_faces_of_shapes_look_outward(shape):
    vertices, faces = shape
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    assert (np.einsum("nk,nk->n", a, np.cross(b, c))).sum() / 6 > 1  # the enclosed volume


@pytest.mark.parametrize("mirrored", [False, True])
def test_faces_of_an_arm_look_outward_on_both_sides(renderer, mirrored):
    body = Body()
    look = next(
        found for found in (draw(n, renderer)[1] for n in range(9)) if found.sleeve is not None
    )
    vertices = load().v_template
    mesh = joined([body.arm(vertices, np.eye(3), (0.1, 0.2), look.sleeve, mirrored=mirrored)])
    a, b, c = (mesh.vertices[mesh.faces[:, k]] for k in range(3))
    volume = np.einsum("nk,nk->n", a, np.cross(b, c)).sum() / 6
    assert 2e-4 < volume < 3e-3  # m³

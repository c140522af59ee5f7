from __future__ import annotations

import numpy as np
import pytest

from zoo.mano.procedural.shape_space import named_modes, shape_space


@pytest.fixture(scope="module")
def shapes(hand):
    return shape_space(hand.mesh.points, hand.weights, hand.joints)


def test_ten_components_keep_nearly_all_variance_of_the_named_ways(shapes, hand):
    size = np.square(shapes.shapedirs).sum((0, 1))
    assert (np.diff(size) < 0).all()
    assert len(named_modes()) == len(shapes.names) == len(shapes.loading) == 13
    assert size[9] < 0.003 * size[0]


def test_the_first_component_is_size(shapes):
    first = dict(zip(shapes.names, np.abs(shapes.loading[:, 0]), strict=True))
    assert max(first, key=first.get) == "overall size"
    assert first["overall size"] > 0.8


def test_loadings_are_an_orthonormal_change_of_axes(shapes):
    np.testing.assert_allclose(shapes.loading.T @ shapes.loading, np.eye(10), atol=1e-9)


def test_a_larger_hand_is_larger_everywhere(shapes, hand):
    loading = shapes.loading[0]  # overall size
    grown = np.einsum("vck,k->vc", shapes.shapedirs, loading)
    scale = (grown * hand.mesh.points).sum() / (hand.mesh.points**2).sum()
    assert scale == pytest.approx(0.055, abs=0.006)

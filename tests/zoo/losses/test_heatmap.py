from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from zoo.losses.heatmap import HeatmapCrossEntropy, gaussian_target, within_grid

CENTERS = torch.linspace(-0.5, 0.5, 101)[None]


def entropy(spread):
    return -(spread * spread.clamp(min=1e-30).log()).sum()


def test_the_target_is_a_distribution_about_the_label():
    for position in (-0.7, -0.123, 0.0, 0.5):
        spread = gaussian_target(torch.tensor([position]), CENTERS, 0.03)
        assert float(spread.sum()) == pytest.approx(1, abs=1e-5)
        nearest = min(max(position, -0.5), 0.5)
        assert float(CENTERS[0, spread.argmax()]) == pytest.approx(nearest, abs=0.0051)


def test_far_from_the_ends_it_has_the_entropy_of_a_gaussian():
    spread = gaussian_target(torch.tensor([0.1]), CENTERS, 0.03)
    expected = math.log(0.03 / 0.01 * math.sqrt(2 * math.pi * math.e))
    assert float(entropy(spread)) == pytest.approx(expected, abs=1e-4)


def test_a_sigma_far_below_the_bin_chooses_one_bin_instead_of_none():
    spread = gaussian_target(torch.tensor([0.104]), CENTERS, 1e-4)
    assert float(spread.max()) == pytest.approx(1)
    assert float(gaussian_target(torch.tensor([0.105]), CENTERS, 1e-4, vanishing=True).sum()) == 0


def test_it_costs_least_when_the_heatmap_is_the_target(hands, labels):
    prediction, mesh = hands(0)
    target = labels(1)
    term = HeatmapCrossEntropy(weight=1.0, sigma=0.05)
    aux = dict(prediction.aux)
    least = 0.0
    for axis, name in enumerate("xyz"):
        centers = aux[f"heatmap_centers_{name}"]
        spread = gaussian_target(target.joints[:, 0, axis], centers, 0.05)
        aux[f"log_heatmap_{name}"] = spread.clamp(min=1e-30).log()
        least += float(entropy(spread)) / 4
    best = float(term(dataclasses.replace(prediction, aux=aux), mesh, target))
    assert best == pytest.approx(least, rel=1e-4)
    assert best < float(term(prediction, mesh, target))


def test_a_wrist_outside_the_grid_is_left_out_moved_or_forgotten(hands, labels):
    prediction, mesh = hands(0)
    inside, outside = labels(1), labels(1)
    outside.joints[0, 0, 2] = 9.0
    values = {
        rule: float(
            HeatmapCrossEntropy(weight=1.0, sigma=0.03, outside=rule)(prediction, mesh, outside)
        )
        for rule in ("skip", "clamp", "vanish")
    }
    per_hand = [
        [
            float(-(gaussian_target(wrist[None, axis], centers, 0.03) * heatmap).sum())
            for wrist, centers, heatmap in zip(
                inside.joints[:, 0],
                prediction.aux[f"heatmap_centers_{name}"][:, None],
                prediction.aux[f"log_heatmap_{name}"][:, None],
                strict=True,
            )
        ]
        for axis, name in enumerate("xyz")
    ]
    x_and_y = sum(per_hand[0]) / 4 + sum(per_hand[1]) / 4
    assert values["skip"] == pytest.approx(x_and_y + sum(per_hand[2][1:]) / 3, rel=1e-4)
    assert values["vanish"] == pytest.approx(x_and_y + sum(per_hand[2][1:]) / 4, rel=1e-4)
    last_bin = -prediction.aux["log_heatmap_z"][0, -1]
    assert values["clamp"] > values["vanish"] + 0.2 * float(last_bin) / 4


def test_the_grid_reaches_half_a_bin_beyond_its_outermost_centres():
    positions = torch.tensor([-0.506, -0.504, 0.0, 0.504, 0.506])
    assert within_grid(positions, CENTERS.expand(5, -1)).tolist() == [
        False,
        True,
        True,
        True,
        False,
    ]


def test_hands_of_assumed_cameras_do_not_count(hands, labels):
    target = labels(1)
    target.has_intrinsics[:] = 0
    assert HeatmapCrossEntropy(weight=1.0, sigma=0.03)(*hands(0), target) == 0


def test_it_names_what_it_reads_from_the_head():
    needs = HeatmapCrossEntropy(weight=1.0, sigma=0.03).needs
    assert needs == {f"{n}_{a}" for n in ("log_heatmap", "heatmap_centers") for a in "xyz"}
    with pytest.raises(ValueError, match="sigma is 0"):
        HeatmapCrossEntropy(weight=1.0, sigma=0)

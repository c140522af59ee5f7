"""Parts get what their neighbours know, and a misfit is a sentence with a config path."""

from __future__ import annotations

import ast
import copy
import re
from typing import Any

import pytest
import torch

from registry.build import (
    BadPart,
    IncompatibleParts,
    build_metrics,
    build_model_parts,
    build_preprocess_parts,
)
from registry.catalog import heads
from registry.overrides import set_value
from zoo.contracts import CropView


def a_view(size: int = 32) -> CropView:
    intrinsics = torch.tensor([[100.0, 0, 16], [0, 100, 16], [0, 0, 1]]).expand(2, 3, 3)
    images = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    return CropView(images, intrinsics, torch.zeros(2, 4), intrinsics, torch.zeros(2).bool())


def test_parts_built_from_a_config_make_a_model_that_runs(config):
    built = build_model_parts(config)
    view = a_view()
    tokens = built.neck(built.backbone(view.images), view)
    assert tokens.shape == (2, 5, 8)
    mesh = built.hand.place(built.head.read(built.head.query(tokens, view), view))
    assert mesh.vertices.shape == (2, 778, 3)
    assert torch.isfinite(mesh.joints).all()


def test_each_part_is_told_what_its_neighbours_know(config):
    config["model"]["head"]["dim"] = 7
    built = build_model_parts(config)
    assert built.neck.gain.shape == (2 * 2 + 1, 8)
    assert built.head.linear.in_features == 8
    assert built.head.camera.linear.in_features == 7
    assert built.losses["depth"].crop_width == 32


def test_the_camera_is_told_the_heads_own_default_width(config):
    assert build_model_parts(config).head.camera.linear.in_features == 6


@pytest.mark.parametrize("said", [5, None])
def test_what_the_config_says_is_stronger_than_what_a_neighbour_knows(config, said):
    config["model"]["losses"]["depth"]["crop_width"] = said
    assert build_model_parts(config).losses["depth"].crop_width == said


def test_a_model_needs_neither_neck_nor_losses(config):
    config["model"] |= {"neck": None, "losses": {}}
    built = build_model_parts(config)
    assert built.neck is None
    assert built.temporal is None
    assert built.losses == {}


def test_building_leaves_the_config_as_it_was(config):
    before = copy.deepcopy(config)
    build_model_parts(config)
    build_preprocess_parts(config)
    assert config == before


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (
            "model.head.stpes",
            3,
            "head 'flat': unexpected keyword 'stpes'. Did you mean 'steps'? (model.head)",
        ),
        (
            "model.head.init",
            "meen",
            "head 'flat': init is 'meen', not one of 'mean', 'zero'. Did you mean 'mean'? "
            "(model.head.init)",
        ),
        (
            "model.neck.scale",
            "big",
            "neck 'scaling': scale is 'big', not float. (model.neck.scale)",
        ),
        ("model.losses.depth", {"type": "depth"}, "loss 'depth': 'weight' is missing"),
        ("model.head", {"type": "unfinished"}, "head 'unfinished' lacks read, which every head"),
    ],
)
def test_a_part_that_its_config_does_not_fit_is_named_with_its_path(config, path, value, message):
    parent, _, key = path.rpartition(".")
    target: Any = config
    for step in parent.split("."):
        target = target[step]
    target[key] = value
    with pytest.raises(BadPart) as caught:
        build_model_parts(config)
    assert message in str(caught.value)


def test_an_error_of_a_constructor_says_where_in_the_config_it_happened(config):
    @heads.register("picky")
    class Picky:
        def __init__(self, *, steps: int) -> None:
            raise ValueError(f"steps is {steps}; it has to be positive.")

    config["model"]["head"] = {"type": "picky", "steps": -1}
    with pytest.raises(BadPart, match=r"head 'picky': steps is -1; .* \(model.head\)"):
        build_model_parts(config)


def test_a_loss_may_read_only_what_the_head_promises(config):
    config["model"]["losses"]["mask"] = {"type": "mask", "weight": 1.0}
    with pytest.raises(IncompatibleParts) as caught:
        build_model_parts(config)
    assert str(caught.value) == (
        "model.losses.mask (MaskLoss) needs mask, but FlatHead (model.head) provides depth. Change "
        "one of them: another head (zoo list head --providing mask); or do without: --set "
        "model.losses.mask=null"
    )


def test_a_crop_of_another_size_than_the_backbone_wants_is_refused(config):
    config["augmentation"]["crop"]["size"] = (48, 32)
    with pytest.raises(IncompatibleParts, match=r"crop.size is \(48, 32\), but PoolingBackbone"):
        build_model_parts(config)


def test_a_neck_that_changes_the_width_is_refused(config):
    config["model"]["neck"] = {"type": "scaling", "token_dim": 4}
    widened = build_model_parts(set_value(config, "model.neck", {"type": "scaling"}))
    widened.neck.token_dim = 4
    from registry.fit import check_neck_keeps_width

    with pytest.raises(IncompatibleParts, match="says token_dim 4, but PoolingBackbone gives 8"):
        check_neck_keeps_width(widened.backbone, widened.neck)


def test_the_crop_takes_the_backbones_size_where_the_config_gives_none(config):
    del config["augmentation"]["crop"]["size"]
    crop = build_preprocess_parts(config, image_size=(32, 32)).crop
    assert crop.size == (32, 32)
    with pytest.raises(BadPart, match=r"size.*\(augmentation.crop\)"):
        build_preprocess_parts(config)


def test_metrics_go_by_the_names_the_config_gives_them():
    config = {"evaluation": {"metrics": {"mine": {"type": "mpjpe"}, "off": None}}}
    assert list(build_metrics(config)) == ["mine"]


def test_a_hand_from_a_file_is_the_file_and_a_missing_one_says_what_to_do(config):
    from zoo.mano import files

    config["model"]["hand"] = {"asset": str(files.find("clayhand")), "tips": "manopth"}
    assert build_model_parts(config).hand.name == "clayhand"
    config["model"]["hand"] = {"asset": "clayhnad"}
    with pytest.raises(ValueError, match="clayhnad"):
        build_model_parts(config)


def test_a_missing_hand_is_one_of_zeros_only_where_the_config_says_so(config):
    config["model"]["hand"] = {"asset": "nowhere.pkl", "missing": "zeros"}
    hand = build_model_parts(config).hand
    vertices, joints = hand(torch.eye(3).expand(1, 16, 3, 3), torch.ones(1, 10))
    assert (vertices.abs().amax(), joints.abs().amax()) == (0, 0)
    config["model"]["hand"]["missing"] = "never mind"
    with pytest.raises(BadPart, match="'refuse' or 'zeros', not 'never mind'"):
        build_model_parts(config)
    config["model"]["hand"] = {"asset": "clayhand", "missing": "zeros"}
    assert build_model_parts(config).hand.name == "clayhand"


VIRTUAL = {"type": "weak_perspective"}


def test_a_loss_in_the_true_camera_refuses_a_virtual_one_and_says_the_way_out(config):
    config["model"]["head"]["camera"] = VIRTUAL
    config["model"]["losses"] = {"place": {"type": "joints", "weight": 1.0}}
    with pytest.raises(IncompatibleParts) as caught:
        build_model_parts(config)
    assert str(caught.value) == (
        "model.losses.place (JointLoss) compares places in the true camera, but "
        "WeakPerspectiveCamera (model.head.camera) puts the hand before a virtual one, where depth "
        "is another number. Place it in the true one: --set model.head.camera.intrinsics=true, or "
        "drop the loss: --set model.losses.place=null"
    )
    assert caught.value.between == ("model.losses.place", "model.head.camera")
    way_out = set_value(config, "model.head.camera.intrinsics", "true")
    assert not build_model_parts(way_out).head.camera.virtual


def test_a_loss_no_camera_of_this_kind_can_serve_is_told_which_ones_can(config):
    config["model"]["losses"] = {"wrist": {"type": "heatmap", "sigma": 0.01, "weight": 1.0}}
    with pytest.raises(IncompatibleParts, match=r"--set model.head.camera=heatmap") as caught:
        build_model_parts(config)
    assert "PlainCamera (model.head.camera) provides depth" in str(caught.value)


def test_a_camera_that_reads_another_width_than_the_head_decodes_is_refused(config):
    built = build_model_parts(config)
    from registry.fit import check_query_width

    with pytest.raises(IncompatibleParts, match="told to read 9 numbers, but FlatHead"):
        check_query_width(config, 9, built.head, None)


def test_a_recipe_that_switches_dropout_needs_a_head_that_has_some(config):
    config["custom_hooks"] = {"late": {"type": "ProgressiveDropout", "probability": 0.1}}
    with pytest.raises(IncompatibleParts, match=r"has no set_dropout.*custom_hooks.late=null"):
        build_model_parts(config)


@pytest.mark.parametrize("name", ["parameters", "keys", "a.b"])
def test_a_loss_cannot_have_a_name_that_pytorch_needs(config, name):
    config["model"]["losses"] = {name: {"type": "depth", "weight": 1.0}}
    with pytest.raises(BadPart, match=f"a loss cannot be called '{name}'"):
        build_model_parts(config)


def test_a_camera_that_learns_through_a_loss_of_its_own_alone_asks_for_it(config):
    config["model"]["head"]["camera"] = {"type": "ray_distance", "cells": (8, 8)}
    config["model"]["losses"] = {"pixels": {"type": "reprojection", "weight": 1.0}}
    with pytest.raises(IncompatibleParts, match=r"learns distance_logits only .*Add one") as caught:
        build_model_parts(config)
    assert caught.value.between == ("model.head.camera", "model.losses")
    (way_out,) = re.findall(r'--set "model.losses.of_camera=({.*})"', str(caught.value))
    config["model"]["losses"]["of_camera"] = ast.literal_eval(way_out)
    assert build_model_parts(config).losses.keys() == {"pixels", "of_camera"}


@pytest.mark.parametrize(
    ("camera", "by_hand", "way"),
    [
        ({"type": "heatmap"}, True, "--set model.head.camera.norm_by_hand=true"),
        ({"type": "heatmap", "norm_by_hand": True}, False, "model.head.camera.norm_by_hand=false"),
        (
            {"type": "metric"},
            True,
            "--set model.head.camera=heatmap --set model.head.camera.norm_by_hand=true",
        ),
    ],
)
def test_a_loss_in_another_unit_than_the_camera_is_told_the_option(config, camera, by_hand, way):
    config["model"]["head"]["camera"] = camera
    spec = {"type": "heatmap", "norm_by_hand": by_hand, "sigma": 0.01, "weight": 1.0}
    config["model"]["losses"] = {"wrist": spec}
    with pytest.raises(IncompatibleParts) as caught:
        build_model_parts(config)
    assert way in str(caught.value)
    assert caught.value.between == ("model.losses.wrist", "model.head.camera")

"""One switch leaves out what places the hand, and every term pulls at what it is for."""

from __future__ import annotations

import pytest

from registry.build import IncompatibleParts, build_model_parts
from registry.whole import load


def losses(*changes: str) -> set[str]:
    return set(build_model_parts(load("csvit2_old", changes=changes)).losses)


def test_without_global_supervision_only_relative_terms_remain():
    assert losses() == {"joints", "root_joints", "vertices", "numbers"}
    assert losses("model.supervise_global=False") == {"root_joints", "vertices"}
    in_camera = ("model.losses.vertices.frame=camera", "model.supervise_global=False")
    assert losses(*in_camera) == {"root_joints"}


def test_a_model_that_would_be_left_without_losses_says_so():
    gone = [f"model.losses.{name}=None" for name in ("root_joints", "vertices")]
    with pytest.raises(IncompatibleParts, match="leaves none of the losses"):
        losses("model.supervise_global=False", *gone)


def test_a_loss_in_hand_lengths_needs_a_camera_in_hand_lengths():
    config = load("csvit2", changes=("model.head.camera.norm_by_hand=False",))
    with pytest.raises(IncompatibleParts, match="heatmap_lengths_x"):
        build_model_parts(config)


def test_a_neck_within_layer_fusion_is_told_of_one_level():
    neck = "{'type': 'layer_fusion', 'then': {'type': 'ray_attention'}}"
    changes = ("model.backbone.levels=(1, 2)", f"model.neck={neck}")
    parts = build_model_parts(load("csvit2", changes=changes))
    assert parts.neck.then.net.pos_embedding.shape[1] == 65
    plain = build_model_parts(load("csvit2", changes=changes[:1]))
    assert plain.neck.net.pos_embedding.shape[1] == 130

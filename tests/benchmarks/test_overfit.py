"""A fresh copy learns one batch by heart, and weights that no loss reaches are named."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch

from benchmarks.overfit import few, overfit_one_batch
from benchmarks.subject import rendered_frames
from registry.whole import load
from zoo.contracts import FrameBatch


def changes() -> tuple[str, ...]:
    file = Path(__file__).parents[1] / "support" / "tiny.py"
    spec = importlib.util.spec_from_file_location("tiny_support", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.CHANGES


def learned(*more: str, config: str = "csvit2_ief3", shrink: bool = True):
    resolved = load(config, size="tiny", changes=[*(changes() if shrink else ()), *more])
    return overfit_one_batch(resolved, rendered_frames(4, seed=0))


def test_a_healthy_recipe_halves_its_loss_and_reaches_everything():
    found = learned()
    assert found.ratio <= 0.5
    assert found.unreached == ()


def test_a_read_out_that_no_loss_reaches_is_named():
    # with more steps the shape re-enters the query, and pose losses teach it a little
    found = learned(
        "model.head.steps=1", "model.losses.betas=none", "model.losses.unlabelled_betas=none"
    )
    assert found.unreached
    assert all("decshape" in name for name in found.unreached)


def test_a_weight_that_multiplies_a_constant_zero_is_no_fault():
    """HaMeR's query is a zero; nothing could teach the weight behind it."""
    found = learned(config="hamer", shrink=False)
    assert found.unreached == ()


def test_the_caller_s_random_state_and_the_frames_are_left_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    learned()
    assert torch.equal(torch.rand(3), expected)


def test_of_clips_the_first_are_taken_with_the_frames_they_need():
    frames = rendered_frames(4, seed=0).frames
    rows = torch.tensor([[0, 2], [2, 3], [1, 3]])
    clips = FrameBatch(frames, times=torch.zeros(3, 2), rows=rows, runs=torch.arange(4))
    found = few(clips, 2)
    assert len(found) == 2
    assert found.labelled == clips.labelled[:2]
    assert len(found.frames) == 3
    assert found.runs.tolist() == [0, 2, 3]


@pytest.mark.parametrize("hands", [1, 3])
def test_of_single_frames_the_first_are_taken(hands):
    assert len(few(rendered_frames(4, seed=0), hands)) == hands

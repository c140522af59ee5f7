from __future__ import annotations

import os
import random
import sys
from contextlib import suppress

import numpy as np
import pytest
import torch
import torch.distributed as dist
from mmengine.dist import get_rank, get_world_size

from benchmarks.probe import Unrunnable
from benchmarks.probes.worlds import as_rank, other_world


def test_another_rank_is_another_rank_and_then_no_longer():
    with as_rank(1):
        assert (get_rank(), get_world_size(), os.environ["RANK"]) == (1, 2, "1")
        with pytest.raises(Unrunnable, match="process group"), as_rank(0):
            pass
    assert get_rank() == 0
    assert not dist.is_initialized()


def test_a_rank_leaves_no_trace_even_where_what_ran_as_it_failed():
    hook, variables = sys.excepthook, dict(os.environ)
    with suppress(ZeroDivisionError), as_rank(1):
        assert sys.excepthook is not hook
        raise ZeroDivisionError
    assert sys.excepthook is hook
    assert dict(os.environ) == variables
    assert not dist.is_initialized()


def test_another_world_draws_other_numbers_and_leaves_ours_alone():
    def draw():
        return float(torch.rand(())), float(np.random.random()), random.random()

    torch.manual_seed(5), np.random.seed(5), random.seed(5)
    expected = draw()
    torch.manual_seed(5), np.random.seed(5), random.seed(5)
    with other_world(1):
        one = draw()
    with other_world(2):
        two = draw()
    assert all(a != b for a, b in zip(one, two, strict=True))
    assert draw() == expected

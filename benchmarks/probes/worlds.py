"""Other circumstances to run in: another rank, and another history of random numbers."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
import torch.distributed as dist

from benchmarks.probe import Unrunnable


@contextmanager
def as_rank(rank: int, world_size: int = 2) -> Iterator[None]:
    """Runs as one of several ranks, alone: a process group whose other members do not exist.

    Leaves neither the group nor its variables nor its prefix on tracebacks behind. Unrunnable
    where this process already belongs to a group.
    """
    if not dist.is_available() or dist.is_initialized():
        raise Unrunnable("this process already belongs to a process group")
    from torch.testing._internal.distributed.fake_pg import FakeStore

    told = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(world_size)}
    before, excepthook = {name: os.environ.get(name) for name in told}, sys.excepthook
    try:
        dist.init_process_group("fake", rank=rank, world_size=world_size, store=FakeStore())
        os.environ.update(told)
        yield
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()
        sys.excepthook = excepthook  # a group puts its own there, which says the rank
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)


@contextmanager
def other_world(seed: int) -> Iterator[None]:
    """Every global random state as another history would have left it, and back afterwards."""
    numpy_state, python_state = np.random.get_state(), random.getstate()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        np.random.seed(seed)  # what others draw from, not we
        random.seed(seed)
        try:
            yield
        finally:
            np.random.set_state(numpy_state)
            random.setstate(python_state)

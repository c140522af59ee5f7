"""How much memory a piece of work takes at its peak, beyond what is there before it."""

from __future__ import annotations

import ctypes
import gc
import math
import re
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from torch import Tensor, nn

METHODS = {
    "cpu": "weights and optimiser state counted, and the growth of this process's resident memory "
    "in one training step",
    "cuda": "weights and optimiser state counted, and what torch allocated beyond them in one "
    "training step",
}
_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def peak_growth_mb(work: Callable[[], object], device: str) -> float:
    """MB at the peak of one run beyond what is held before it; NaN where this system cannot say.

    On a CPU the resident memory of the whole process, from Linux; what the allocator had kept for
    itself is given back first, so that an earlier and larger run does not hide a later one.
    """
    gc.collect()
    if device != "cpu":
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        work()
        torch.cuda.synchronize()
        return (torch.cuda.max_memory_allocated() - before) / 1e6
    if not _reset_peak():
        return math.nan
    before = _status("VmRSS")
    work()
    return (_status("VmHWM") - before) / 1e3


def held_mb(model: nn.Module, optimizer: torch.optim.Optimizer) -> float:
    """MB of weights, buffers and optimiser state."""
    states = (value for state in optimizer.state.values() for value in state.values())
    tensors = [*model.parameters(), *model.buffers()]
    return _bytes([*tensors, *(value for value in states if isinstance(value, Tensor))]) / 1e6


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _reset_peak() -> bool:
    """Gives free memory back and forgets the peak so far; False where the system does not."""
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)
        _CLEAR.write_text("5")
    except OSError:
        return False
    return True


def _status(name: str) -> float:
    """An entry of Linux's process status, kB."""
    return float(re.search(rf"^{name}:\s+(\d+) kB", _STATUS.read_text(), re.MULTILINE)[1])

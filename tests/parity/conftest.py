"""Weights that follow from their names, as the recorded runs had them: nothing large is stored."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

# Read-outs were recorded at a tenth of the usual scale, so that outputs stay of order one.
READOUTS = {"decpose", "decshape", "deccam"}


def normal(name: str, shape: tuple[int, ...], std: float = 1.0, mean: float = 0.0) -> torch.Tensor:
    """Reproducible numbers of a name: the sum of a random word's four 16-bit parts, scaled."""
    key = np.frombuffer(hashlib.sha256(f"public:{name}".encode()).digest()[:16], dtype="<u8")
    words = np.atleast_1d(np.random.Philox(counter=0, key=key).random_raw(math.prod(shape)))
    total = words.view("<u2").reshape(-1, 4).sum(axis=1, dtype=np.int64) - 131070
    scaled = total * (std / math.sqrt((2.0**32 - 1) / 3)) + mean
    return torch.from_numpy(scaled.astype(np.float32).reshape(shape))


def weight(key: str, shape: tuple[int, ...]) -> torch.Tensor:
    """The weight that belongs to a name of the original state dict."""
    if key.endswith("bias") or "pos_embed" in key:
        return normal(key, shape, 0.02)
    if len(shape) == 1:  # gains of normalisation layers
        return normal(key, shape, 0.1, 1.0)
    gain = 0.1 if READOUTS & set(key.split(".")) else 1.0
    return normal(key, shape, gain / math.sqrt(math.prod(shape[1:])))


def fill(
    module: nn.Module,
    prefix: str,
    *,
    original: Callable[[str], str] = lambda key: key,
    given: Mapping[str, torch.Tensor] | None = None,
    gains: Mapping[str, float] | None = None,
) -> nn.Module:
    """The module in evaluation mode, every weight by rule unless it is given.

    original: our name -> the name in the original state dict, without `prefix`.
    gains: part of an original name -> factor on the weights that hold it.
    """
    state = {}
    for key, value in module.state_dict().items():
        if key in (given or {}):
            state[key] = given[key].reshape(value.shape)
            continue
        name = prefix + original(key)
        state[key] = weight(name, tuple(value.shape))
        for part, gain in (gains or {}).items():
            if part in name:
                state[key] = state[key] * gain
    module.load_state_dict(state)
    return module.eval()


@pytest.fixture(scope="session")
def by_rule() -> SimpleNamespace:
    """`normal(name, shape)` and `fill(module, prefix)`."""
    return SimpleNamespace(normal=normal, fill=fill)

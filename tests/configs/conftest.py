"""Rendered hands for configs to train on, made once."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

SUPPORT = Path(__file__).parents[1] / "support" / "tiny.py"


@pytest.fixture(scope="session")
def hands(tmp_path_factory) -> Path:
    """A folder with train/ and val/ shards of a few hands."""
    spec = importlib.util.spec_from_file_location("tiny_support", SUPPORT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.render_hands(tmp_path_factory.mktemp("hands"), train=8, val=2)

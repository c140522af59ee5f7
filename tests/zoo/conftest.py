"""Rendered hands, made once for all tests that train or build a model."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

SUPPORT = Path(__file__).parents[1] / "support" / "tiny.py"


def _support():
    spec = importlib.util.spec_from_file_location("tiny_support", SUPPORT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def tiny_changes() -> tuple[str, ...]:
    """`--set` values of a model that trains in milliseconds a step."""
    return _support().CHANGES


@pytest.fixture(scope="session")
def hands(tmp_path_factory) -> Path:
    """A folder with train/ and val/ shards."""
    return _support().render_hands(tmp_path_factory.mktemp("hands"))

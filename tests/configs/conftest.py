"""Rendered hands for configs to train on, made once."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from zoo.data.synthetic.write import write_dataset

SUPPORT = Path(__file__).parents[1] / "support" / "tiny.py"


@pytest.fixture(scope="session")
def films(tmp_path_factory) -> Path:
    """A folder with train/ shards of a few films of eight frames."""
    folder = tmp_path_factory.mktemp("films")
    write_dataset(
        folder, count=24, image_size=64, seed=3, split=(1.0, 0.0), sequences=1.0, clip_frames=8
    )
    return folder


@pytest.fixture(scope="session")
def deep_hands(tmp_path_factory) -> Path:
    """A folder with train/ shards of a few hands with depth."""
    folder = tmp_path_factory.mktemp("deep_hands")
    write_dataset(folder, count=8, image_size=64, seed=3, split=(1.0, 0.0), depth="sensor")
    return folder


@pytest.fixture(scope="session")
def hands(tmp_path_factory) -> Path:
    """A folder with train/ and val/ shards of a few hands."""
    spec = importlib.util.spec_from_file_location("tiny_support", SUPPORT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.render_hands(tmp_path_factory.mktemp("hands"), train=8, val=2)

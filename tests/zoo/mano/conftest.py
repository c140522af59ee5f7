from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from zoo.mano import procedural


@pytest.fixture(scope="session")
def official_entries() -> dict:
    """clayhand under the names and types of an official MANO pickle."""
    asset = procedural.load()
    kintree = np.stack((asset.parents, np.arange(16)))
    kintree[0, 0] = 4294967295
    return {
        "bs_style": "lbs",
        "bs_type": "lrotmin",
        "v_template": asset.v_template.astype(np.float64),
        "f": asset.faces.astype(np.uint32),
        "weights": asset.weights.astype(np.float64),
        "posedirs": asset.posedirs.astype(np.float64),
        "shapedirs": asset.shapedirs.astype(np.float64),
        "J_regressor": sp.csc_matrix(asset.joint_regressor.astype(np.float64)),
        "J": asset.joint_regressor @ asset.v_template,
        "kintree_table": kintree.astype(np.int64),
        "hands_mean": asset.hands_mean.astype(np.float64),
        "hands_components": asset.hands_components.astype(np.float64),
        "hands_coeffs": np.zeros((1, 45)),
    }


@pytest.fixture
def write_pickle(tmp_path) -> Callable[..., Path]:
    """Pickles anything as Python 2 would have, under a name of choice."""

    def write(entries, name: str = "MANO_RIGHT.pkl") -> Path:
        path = tmp_path / name
        path.write_bytes(pickle.dumps(entries, protocol=2))
        return path

    return write


@pytest.fixture(scope="session")
def clayhand():
    return procedural.load()


@pytest.fixture(scope="session")
def prior() -> procedural.PosePrior:
    return procedural.PosePrior.load()

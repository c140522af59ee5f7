from __future__ import annotations

import pytest

from zoo.mano import procedural
from zoo.mano.procedural.hand import Hand


@pytest.fixture(scope="session")
def hand() -> Hand:
    """The hand as the build makes it, not as it was shipped."""
    return Hand.build()


@pytest.fixture(scope="session")
def prior() -> procedural.PosePrior:
    return procedural.PosePrior.load()

from __future__ import annotations

import pytest

from zoo.app.data.stream_memory import read, resident_mb


@pytest.mark.parametrize("kind", ["train", "eval"])
def test_a_streams_memory_is_read_with_its_last_batch_in_hand(hands, kind):
    before = resident_mb()
    found = read(hands / "train", kind, batches=1, workers=0)
    assert found > 0.5 * before > 5

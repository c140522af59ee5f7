"""The script of the quick start writes shards that can be read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from zoo.data.schema import decode_slot
from zoo.data.shards import read_samples, resolve_shards

PAGE = Path(__file__).parents[2] / "docs" / "quickstart.md"


def test_the_script_for_data_of_ones_own_writes_what_it_was_given(tmp_path):
    (script,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    names: dict[str, Any] = {}
    exec(script, names)
    joints = np.random.default_rng(0).normal((0, 0, 0.6), 0.03, (21, 3))
    camera = np.array([[300, 0, 79.5], [0, 300, 59.5], [0, 0, 1]], np.float32)
    _, jpeg = cv2.imencode(".jpg", np.full((120, 160, 3), 90, np.uint8))
    given = (jpeg.tobytes(), (160, 120), "left", camera, joints.astype(np.float32))
    names["write"](tmp_path, [names["sample"](f"one/{number}", *given) for number in range(2)])
    found = list(read_samples(resolve_shards(tmp_path / "train")[0]))
    assert [sample.key for sample in found] == ["mine/train/one/0", "mine/train/one/1"]
    frame = decode_slot(found[0], 0, 0)
    assert frame.is_left
    assert frame.label.has_intrinsics == 1
    torch.testing.assert_close(frame.label.joints, torch.from_numpy(given[-1]))
    assert frame.label.has_mano == 0

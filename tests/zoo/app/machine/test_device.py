"""A device is chosen from those that are there."""

from __future__ import annotations

import pytest
import torch

from zoo.app.machine.device import choose_device


@pytest.mark.parametrize(
    ("asked", "there", "chosen"),
    [("auto", True, "cuda"), ("auto", False, "cpu"), ("cpu", True, "cpu"), ("cuda", True, "cuda")],
)
def test_auto_takes_cuda_where_there_is_one(asked, there, chosen, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    assert choose_device(asked).type == chosen


@pytest.mark.parametrize(("asked", "said"), [("cuda", "no CUDA device"), ("gpu", "auto, cpu")])
def test_a_device_that_is_not_there_is_refused_with_those_that_are(asked, said, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match=said):
        choose_device(asked)

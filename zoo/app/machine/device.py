"""Where a command computes: `--device` as a device that is there."""

from __future__ import annotations

import torch

DEVICES = ("auto", "cpu", "cuda")


def choose_device(name: str) -> torch.device:
    """The device of `--device`: auto takes CUDA where there is one, else the CPU.

    name: "auto", "cpu" or "cuda". Raises ValueError where CUDA is asked for and absent.
    """
    if name not in DEVICES:
        raise ValueError(f"--device {name!r}: known are {', '.join(DEVICES)}.")
    there = torch.cuda.is_available()
    if name == "cuda" and not there:
        raise ValueError(
            "--device cuda: PyTorch sees no CUDA device here (`zoo doctor` says more); --device "
            "cpu computes the same, more slowly."
        )
    return torch.device("cuda" if there and name != "cpu" else "cpu")

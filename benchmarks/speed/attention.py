"""How long HaMeR's forward pass takes by the way it attends and computes, all in one run.

python -m benchmarks.speed.attention
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import statistics
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from registry.build import ModelParts, build_model_parts
from registry.config import load
from zoo.contracts import CropView, HandMesh

# What all others are divided by: the plain implementation.
REFERENCE = "explicit softmax, fp32"


def measure(
    *, size: str = "full", batch: int = 2, repeats: int = 5, device: str = "cpu"
) -> dict[str, Any]:
    """Median seconds of a forward pass, picture to mesh, and its ratio to the explicit softmax.

    The ways are measured in turn, one pass each, `repeats` times, so that what slows the machine
    down for a while slows all of them.
    """
    config = load("hamer", ["model.backbone.pretrained=None"], size=size)
    torch.manual_seed(0)
    parts = build_model_parts(config)
    for module in (parts.backbone, parts.head, parts.hand):
        module.eval().to(device)
    view = _view(batch, parts.backbone.image_size, torch.device(device))
    ways, meshes = _ways(parts, view), {}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for round_number in range(repeats + 1):
        for name, run in ways.items():
            started = time.perf_counter()
            meshes[name] = run()
            if device != "cpu":
                torch.cuda.synchronize()
            if round_number:  # the first round warms caches up
                seconds[name].append(time.perf_counter() - started)
    return _report(seconds, meshes, size=size, batch=batch, repeats=repeats, device=device)


def _ways(parts: ModelParts, view: CropView) -> dict[str, Callable[[], HandMesh]]:
    """The forward pass in fp32, under autocast and with bf16 weights, by name."""
    device = view.images.device.type
    half = copy.deepcopy(parts.backbone).to(torch.bfloat16)
    autocast = torch.autocast(device, torch.bfloat16)

    def way(
        backbone: nn.Module,
        attention: str,
        precision: AbstractContextManager,
        dtype: torch.dtype = torch.float32,
    ) -> Callable[[], HandMesh]:
        @torch.no_grad()
        def run() -> HandMesh:
            for block in backbone.blocks:
                block.attn.attention = attention
            with precision:
                query = parts.head.query(backbone(view.images.to(dtype)), view)
            return parts.hand.place(parts.head.read(query, view))

        return run

    return {
        REFERENCE: way(parts.backbone, "eager", nullcontext()),
        "fused, fp32": way(parts.backbone, "sdpa", nullcontext()),
        "fused, bf16 autocast": way(parts.backbone, "sdpa", autocast),
        "fused, bf16 weights": way(half, "sdpa", autocast, torch.bfloat16),
    }


def _view(batch: int, size: tuple[int, int], device: torch.device) -> CropView:
    rng = torch.Generator().manual_seed(0)
    view = CropView(
        images=torch.rand(batch, 3, *size, generator=rng),
        intrinsics=torch.eye(3).expand(batch, 3, 3),
        hand_box=torch.zeros(batch, 4),
        frame_from_crop=torch.eye(3).expand(batch, 3, 3),
        is_left=torch.zeros(batch, dtype=torch.bool),
    )
    return view.to(device)


def _report(
    seconds: dict[str, list[float]], meshes: dict[str, HandMesh], **setting: Any
) -> dict[str, Any]:
    middle = {name: statistics.median(times) for name, times in seconds.items()}
    plain = meshes[REFERENCE].vertices

    def difference(vertices: Tensor) -> float:
        return float((vertices - plain).abs().max())

    rows = [
        {
            "name": name,
            "seconds": round(middle[name], 4),
            "fastest": round(min(times), 4),
            "times_as_fast": round(middle[REFERENCE] / middle[name], 3),
            "vertices_differ_m": difference(meshes[name].vertices),
        }
        for name, times in seconds.items()
    ]
    machine = {
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
    }
    return {"schema": 1, "machine": machine, **setting, "ways": rows}


def main() -> None:
    """The command line: a table of the ways, and JSON where asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--size", default="full", choices=("full", "tiny"))
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    asked = parser.parse_args()
    result = measure(size=asked.size, batch=asked.batch, repeats=asked.repeats, device=asked.device)
    for row in result["ways"]:
        print(
            f"{row['name']:<24}{row['seconds']:>9.3f} s  {row['times_as_fast']:>6.2f} x  "
            f"vertices differ by {row['vertices_differ_m']:.1e} m"
        )
    if asked.json:
        asked.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()

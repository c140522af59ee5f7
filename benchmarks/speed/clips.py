"""What one supervised frame and cached tokens save Stage 2: memory and clips a second, in one run.

python -m benchmarks.speed.clips
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.statistics import paired_ratio
from benchmarks.subject import load_subject
from zoo.contracts import ClipView, EncodedClips, FrameBatch, HandQuery, HandTarget

CONFIG = "csvit2_stage2"
SUPERVISED = ("one", "all")  # the last frame, or every frame of a clip
WAYS = (*SUPERVISED, "re-encoding")  # steps on known tokens, and one that encodes every frame


class Clips:
    """A batch of clips at Stage 2 and the training steps that can be made with it.

    Rendered hands are held still for the length of a clip: no cost depends on motion. Pictures are
    decoded already, which favours encoding them anew. The temporal part refines every frame
    (`attends="causal"`), so that all of them can be supervised.
    """

    def __init__(self, *, size: str, batch: int, frames: int) -> None:
        """size: of the config. batch: clips. frames: T."""
        changes = [f"data.clip.frames={frames}", "model.temporal.attends=causal"]
        if size == "full":
            changes.append("model.backbone.pretrained=None")
        self.subject = load_subject(CONFIG, size=size, changes=changes)
        self.model = self.subject.model.train()
        self.batch, self.frames = batch, frames
        learning = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(learning, lr=1e-4)
        self.pictures = _still(self.subject.frames, batch, frames)
        view, self.last = self.subject.preprocess(self.pictures, training=True)
        self.every = self.last.map(lambda tensor: tensor.repeat_interleave(frames, dim=0))
        self.times, self.view = view.times, view.frames
        with torch.no_grad():
            self.query = self.model.queries(self.view)

    def refined(self, supervised: str) -> Tensor:
        """(B, D) tokens of last frames, or (B T, D) where all frames are supervised."""
        tokens = self.query.token.unflatten(0, (self.batch, self.frames))
        every = self.model.temporal.refine(tokens.float(), self.times)
        return every[:, -1] if supervised == "one" else every.flatten(0, 1)

    def loss(self, token: Tensor, supervised: str) -> Tensor:
        """What read-out, FK, projection and losses make of refined tokens."""
        query, view, target = self.query, self.view, self.every
        if supervised == "one":
            query, view, target = self._ends(query), self._ends(view), self.last
        refined = HandQuery(token=token, estimates=query.estimates)
        target = self.model.hand.place_target(target)
        return sum(self.model.loss_terms(self.model.head.read(refined, view), target).values())

    def step(self, way: str) -> None:
        """One training step in one of WAYS."""
        if way == "re-encoding":
            inputs, target = self.subject.preprocess(self.pictures, training=True)
            loss = self._loss_of(inputs, target)
        elif way == "one":
            tokens = self.query.token.unflatten(0, (self.batch, self.frames))
            estimates, view = self._ends(self.query).estimates, self._ends(self.view)
            loss = self._loss_of(EncodedClips(tokens, self.times, estimates, view), self.last)
        else:
            loss = self.loss(self.refined(way), way)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()

    def _loss_of(self, inputs: ClipView | EncodedClips, target: HandTarget) -> Tensor:
        return sum(self.model(inputs, target, mode="loss").values())

    def _ends(self, record: Any) -> Any:
        rows = slice(self.frames - 1, None, self.frames)
        return record.map(lambda tensor: tensor[rows])


def saved_bytes(module: nn.Module, run: Callable[[], Tensor]) -> int:
    """Bytes that a forward pass keeps for its backward pass, each storage once.

    The parameters and buffers of `module` do not count: they are there in any case.
    """
    known = {t.untyped_storage().data_ptr() for t in (*module.parameters(), *module.buffers())}
    kept: dict[int, Tensor] = {}  # holding them keeps an address from being given out twice

    def pack(tensor: Tensor) -> Tensor:
        address = tensor.untyped_storage().data_ptr()
        if address not in known:
            kept[address] = tensor.detach()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        run()
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


def loss_memory(clips: Clips) -> dict[str, Any]:
    """Bytes kept by read-out, FK and losses, one frame supervised against all of them."""
    found = {}
    for supervised in SUPERVISED:
        token = clips.refined(supervised).detach().requires_grad_()
        found[supervised] = saved_bytes(
            clips.model, lambda token=token, which=supervised: clips.loss(token, which)
        )
    return {
        "one_frame_mb": found["one"] / 1e6,
        "all_frames_mb": found["all"] / 1e6,
        "less_by": 1 - found["one"] / found["all"],
    }


def training_peak(way: str, *, size: str, batch: int, frames: int) -> float:
    """MB by which the peak of two training steps exceeds what was there before (Linux).

    Call it in a new process. One step comes first, so that libraries, kernels, gradients and the
    optimiser's state are there before.
    """
    clips = Clips(size=size, batch=batch, frames=frames)
    clips.step(way)
    before = _resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # forgets the peak so far
    for _ in range(2):
        clips.step(way)
    return (_resident("VmHWM") - before) / 1e6


def clips_per_second(clips: Clips, repeats: int) -> dict[str, Any]:
    """Clips a second of steps that encode every frame and of steps on known tokens, in turn."""
    seconds: dict[str, list[float]] = {"re-encoding": [], "one": []}
    for number in range(repeats + 1):
        for way, times in seconds.items():
            started = time.perf_counter()
            clips.step(way)
            if number:  # the first round warms caches up
                times.append(time.perf_counter() - started)
    ratio = paired_ratio(seconds["re-encoding"], seconds["one"])
    return {
        "re_encoding_clips_per_s": clips.batch / float(np.median(seconds["re-encoding"])),
        "cached_clips_per_s": clips.batch / float(np.median(seconds["one"])),
        "times_as_fast": ratio.value,
        "interval_95": (ratio.low, ratio.high),
    }


def measure(
    *, size: str = "tiny", batch: int = 32, frames: int = 7, repeats: int = 10
) -> dict[str, Any]:
    """All figures of one setting."""
    setting = {"size": size, "batch": batch, "frames": frames}
    clips = Clips(**setting)
    return {
        "schema": 1,
        **setting,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "kept_by_fk_and_losses": loss_memory(clips),
        "training_peak_mb": {way: _peak_of_child(way, **setting) for way in WAYS},
        "speed": clips_per_second(clips, repeats),
    }


def _peak_of_child(way: str, **setting: Any) -> float:
    words = [word for name, value in setting.items() for word in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "benchmarks.speed.clips", "--peak", way, *words]
    # What is freed goes back to the system at once, or an earlier peak would hide this one.
    env = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=env)
    return float(done.stdout)


def _still(frames: FrameBatch, batch: int, length: int) -> FrameBatch:
    """`batch` clips of frames that repeat, 30 a second."""
    hands = [frames.frames[number % len(frames.frames)] for number in range(batch)]
    times = torch.arange(1 - length, 1, dtype=torch.float64) / 30
    return FrameBatch(
        frames=tuple(hand for hand in hands for _ in range(length)),
        times=times.expand(batch, length),
        rows=torch.arange(batch * length).view(batch, length),
        runs=torch.arange(batch).repeat_interleave(length),
    )


def _resident(name: str) -> int:
    """Bytes of this process's memory: VmRSS is what it holds, VmHWM the most it held."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith(f"{name}:")))


def main() -> None:
    """Prints the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", default="tiny")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--frames", type=int, default=7)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--peak", choices=WAYS, help=argparse.SUPPRESS)
    asked = vars(parser.parse_args())
    if way := asked.pop("peak"):
        asked.pop("repeats")
        print(training_peak(way, **asked))
    else:
        print(json.dumps(measure(**asked), indent=1))


if __name__ == "__main__":
    main()

"""Noisy films with occluders, seen once by a frozen Stage 1, on which Stage 2 is judged."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
import torch
from rich.console import Console

from registry.whole import build_model
from zoo.app.clips.token_cache import TokenCache, build_cache, cache_key
from zoo.app.data.shards import cache_folder
from zoo.contracts import EncodedBatch, HandMesh, HandTarget
from zoo.data.sources import Data
from zoo.metrics.joints import RootMPJPE
from zoo.metrics.motion import consecutive, second_differences
from zoo.model import HandMeshModel

NOISE = {"type": "noise", "std": 0.05, "probability": 1.0}  # on every frame
HIDDEN_PART = (0.35, 0.45)  # of the crop, where a frame is occluded
COMES, STAYS = 0.2, 0.6  # chance of a frame that an occluder arrives, and that it is still there


@dataclasses.dataclass(frozen=True)
class JudgedFilms:
    """Every frame of some films as Stage 1 sees it open, and as it sees it hidden.

    frames: the longest clip; last frames are those with enough before them for it, so that clips
        of all lengths are judged on the same ones.
    covered: (N,) which frames an occluder hides in the film as it is.
    """

    open: TokenCache
    hidden: TokenCache
    frames: int
    covered: np.ndarray
    image_size: tuple[int, int]

    def __len__(self) -> int:
        """Last frames."""
        return len(self._ends)

    @torch.no_grad()
    def judge(self, model: HandMeshModel, length: int) -> dict[str, dict[str, list[float]]]:
        """Errors of both stages, one mean a film, by what was judged.

        "visible" and "occluded" are root-relative MPJPE (mm) of last frames, all of which are
        shown first open, then hidden, after the same earlier frames. "acceleration" (mm/frame^2)
        is that of consecutive last frames in the film as it is.
        """
        model.eval()
        found: dict[str, dict[str, list[float]]] = {}
        temporal = model.temporal
        try:
            for stage, part in (("stage1", None), ("stage2", temporal)):
                model.temporal = part
                for name, values in self._errors(model, length).items():
                    found.setdefault(name, {})[stage] = values
        finally:
            model.temporal = temporal
        return found

    def clips(self, length: int, last_hidden: np.ndarray) -> EncodedBatch:
        """Clips of `length` frames, hidden where the film is, the last one where it is said.

        last_hidden: (M,) of every last frame.
        """
        size = self.image_size
        seen, unseen = (c.batch(self._ends, length, size) for c in (self.open, self.hidden))
        rows = self._ends[:, None] + np.arange(1 - length, 1)
        behind = self.covered[rows]
        behind[:, -1] = last_hidden
        mask, last = torch.from_numpy(behind)[..., None], torch.from_numpy(last_hidden)[:, None]
        pairs = zip(seen.clips.estimates, unseen.clips.estimates, strict=True)
        clips = dataclasses.replace(
            seen.clips,
            tokens=torch.where(mask, unseen.clips.tokens, seen.clips.tokens),
            estimates=tuple(torch.where(last, b, a) for a, b in pairs),
        )
        return dataclasses.replace(seen, clips=clips)

    def _errors(self, model: HandMeshModel, length: int) -> dict[str, list[float]]:
        measure, found = RootMPJPE(), {}
        shown = {"visible": np.zeros, "occluded": np.ones}
        for name, fill in shown.items():
            mesh, target = self._answer(model, length, fill(len(self), bool))
            values, _ = measure(mesh, target)
            found[name] = _by_film(values.cpu().numpy(), self._film)
        mesh, target = self._answer(model, length, self.covered[self._ends])
        keys = [f"{film}#0.{row}" for film, row in zip(self._film, self._ends, strict=True)]
        rows = consecutive(keys)
        said, true = (
            second_differences(points.cpu().numpy()[rows])
            for points in (mesh.joints, target.joints)
        )
        errors = np.linalg.norm(said - true, axis=-1).mean(-1)
        found["acceleration"] = _by_film(errors, self._film[rows[:, 0]])
        return found

    def _answer(
        self, model: HandMeshModel, length: int, last_hidden: np.ndarray
    ) -> tuple[HandMesh, HandTarget]:
        device = next(model.parameters()).device
        batch = self.clips(length, last_hidden)
        return model.hand.place(model(batch.clips.to(device))), batch.label.to(device)

    @cached_property
    def _ends(self) -> np.ndarray:
        return self.open.clip_ends(self.frames)

    @cached_property
    def _film(self) -> np.ndarray:
        return np.asarray(self.open.arrays["film"])[self._ends]


def judged_films(
    config: Mapping[str, Any], model: HandMeshModel, shards: Data, frames: int, console: Console
) -> JudgedFilms:
    """The films of these shards, encoded now unless that was done before.

    model: with Stage 1's weights. frames: the longest clip that will be judged.
    """
    hidden = {"type": "erasing", "area": HIDDEN_PART, "probability": 1.0}
    seen = _encoded(config, model, shards, {"noise": NOISE}, console)
    unseen = _encoded(config, model, shards, {"noise": NOISE, "hidden": hidden}, console)
    return JudgedFilms(
        open=seen,
        hidden=unseen,
        frames=frames,
        covered=occluders(np.asarray(seen.arrays["film"]), np.random.default_rng(0)),
        image_size=tuple(model.backbone.image_size),
    )


def occluders(film: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(N,) where something stands before the hand: it comes, stays for some frames, and goes.

    film: (N,) of every frame, frames of a film in order.
    """
    covered, often = np.zeros(len(film), bool), COMES / (1 + COMES - STAYS)
    for row, chance in enumerate(rng.random(len(film))):
        first = row == 0 or film[row] != film[row - 1]
        covered[row] = chance < (often if first else STAYS if covered[row - 1] else COMES)
    return covered


def _encoded(
    config: Mapping[str, Any],
    model: HandMeshModel,
    shards: Data,
    pixels: Mapping[str, Any],
    console: Console,
) -> TokenCache:
    """Films with these changes of pixels and none of view."""
    augmentation = {"crop": config["augmentation"]["crop"], "view": {}, "pixels": dict(pixels)}
    changed = {**config, "augmentation": augmentation}
    other = build_model(changed)
    other.load_state_dict(model.state_dict())
    key = cache_key(changed, other, shards, copies=1)
    return build_cache(cache_folder(), other, shards, key, console)


def _by_film(values: np.ndarray, film: np.ndarray) -> list[float]:
    return [float(values[film == number].mean()) for number in np.unique(film)]

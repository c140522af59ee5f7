"""A film's frames, each answered twice: by Stage 1 alone, and with the frames before it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

import torch
from torch import Tensor

from zoo.contracts import CropView, EncodedClips, Frame, HandQuery, Prediction
from zoo.inference.predictor import HandResult, Predictor


@dataclass(frozen=True)
class FilmResult:
    """One frame of a film: what Stage 2 makes of it, and what Stage 1 said."""

    refined: HandResult
    raw: HandResult
    times: tuple[float, ...]  # s, of the clip's frames before this one, which is 0


class FilmPredictor:
    """Consecutive frames of one hand in one film -> one `FilmResult` each, in order.

    Called with stretch after stretch of the film. Every frame is encoded once, and all that is kept
    of a stretch are the query tokens of its last clip_frames - 1 frames, however long the film.

    predictor: of a model with a temporal part, `queries` and `head.read`.
    clip_frames: T; the film's first frames are seen in the shorter clips there are.
    """

    def __init__(self, *, predictor: Predictor, clip_frames: int) -> None:
        if clip_frames < 1:
            raise ValueError(f"data.clip.frames is {clip_frames}; a clip has at least one frame.")
        self.predictor, self.clip_frames = predictor, clip_frames
        self.tokens: Tensor | None = None  # (H, D) of the latest frames, H < T
        self.times: list[float] = []  # s, (H,)

    def __call__(self, frames: Sequence[Frame], times: Sequence[float]) -> list[FilmResult]:
        """Results of the film's next frames.

        times: s from any origin, one a frame.

        Raises:
            ValueError: when time does not go forward.
        """
        size, results = self.predictor.batch_size, []
        with self.predictor.evaluating():
            for start in range(0, len(frames), size):
                batch = slice(start, start + size)
                results += self._batch(frames[batch], list(times[batch]))
        return results

    def _batch(self, frames: Sequence[Frame], times: list[float]) -> Iterator[FilmResult]:
        view = self.predictor.see(frames)
        query = self.predictor.model.queries(view).map(lambda tensor: tensor.float())
        raw = list(self.predictor.results(frames, view, self._read(query, view)))
        earlier = len(self.times)
        tokens = query.token if self.tokens is None else torch.cat((self.tokens, query.token))
        times = _forward(self.times + times, frames[0].key)
        ends = range(earlier + 1, len(times) + 1)
        for length, group in groupby(ends, key=lambda end: min(end, self.clip_frames)):
            clips = [range(end - length, end) for end in group]
            rows = torch.tensor([[*clip] for clip in clips])
            own = rows[:, -1] - earlier
            since = torch.tensor(times, dtype=torch.float64)[rows]
            since = since - since[:, -1:]
            encoded = _clips(tokens[rows], since, query, view, own)
            prediction = self.predictor.model(encoded, mode="tensor")
            asked = [frames[i] for i in own.tolist()]
            refined = self.predictor.results(asked, encoded.view, prediction)
            for i, result, before in zip(own.tolist(), refined, since.tolist(), strict=True):
                yield FilmResult(refined=result, raw=raw[i], times=tuple(before[:-1]))
        keep = self.clip_frames - 1
        self.tokens = tokens[len(tokens) - min(keep, len(tokens)) :].clone()
        self.times = times[len(times) - len(self.tokens) :]

    def _read(self, query: HandQuery, view: CropView) -> Prediction:
        with torch.autocast(view.images.device.type, enabled=False):
            return self.predictor.model.head.read(query, view)


def _clips(
    tokens: Tensor, times: Tensor, query: HandQuery, view: CropView, own: Tensor
) -> EncodedClips:
    """Clips of these tokens (B, T, D) and times (B, T); `own` (B,) are their last frames' rows."""
    own = own.to(tokens.device)
    return EncodedClips(
        tokens=tokens,
        times=times.to(tokens.device),
        estimates=tuple(estimate[own] for estimate in query.estimates),
        view=view.map(lambda tensor: tensor[own]),
    )


def _forward(times: list[float], name: str) -> list[float]:
    for before, after in pairwise(times):
        if not after > before:
            raise ValueError(
                f"{name}: times of consecutive frames do not go forward ({before:g} s, then "
                f"{after:g} s); a film's frames come in order, at a frame rate above 0."
            )
    return times

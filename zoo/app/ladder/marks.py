"""Estimates drawn with letters, so that a ladder's shape is seen without leaving the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_LEAST, _MOST = 12, 60  # columns of a drawing


@dataclass(frozen=True)
class Scale:
    """A line of columns between two values."""

    low: float
    high: float
    columns: int
    mark: float | None = None  # a value with a line through every row

    @property
    def header(self) -> str:
        """The values at both ends, for the head of the column."""
        left, right = f"{self.low:.0f}", f"{self.high:.0f}"
        return left + right.rjust(self.columns - len(left))

    def draw(self, estimate: Mapping[str, Any]) -> str:
        """A dot and its interval; an arrow where the interval leaves the scale."""
        cells = [" "] * self.columns
        if self.mark is not None and self.low <= self.mark <= self.high:
            cells[self._column(self.mark)] = "┊"
        if estimate["low"] is not None:
            first, last = self._column(estimate["low"]), self._column(estimate["high"])
            cells[first : last + 1] = "─" * (last + 1 - first)
            cells[first] = "‹" if estimate["low"] < self.low else "├"
            cells[last] = "›" if estimate["high"] > self.high else "┤"
        cells[self._column(estimate["mean"])] = "●"
        return "".join(cells)

    def _column(self, value: float) -> int:
        place = (value - self.low) / (self.high - self.low) * (self.columns - 1)
        return min(self.columns - 1, max(0, round(place)))


def one_scale(
    estimates: Sequence[Mapping[str, Any]], *, columns: int, mark: float | None = None
) -> Scale:
    """The scale that holds all means and the mark, and of the intervals what is not far off.

    An interval of two seeds can be ten times as wide as all means are apart; a scale that held it
    would show nothing else.
    """
    means = [one["mean"] for one in estimates] + ([] if mark is None else [mark])
    low, high = min(means), max(means)
    room = max(high - low, 1.0) / 2
    ends = [one[key] for one in estimates for key in ("low", "high") if one[key] is not None]
    near = [end for end in ends if low - room <= end <= high + room]
    low = min([low, *near, *([low - room] if any(e < low - room for e in ends) else [])])
    high = max([high, *near, *([high + room] if any(e > high + room for e in ends) else [])])
    pad = (high - low or 1.0) / 50
    return Scale(low - pad, high + pad, min(_MOST, max(_LEAST, columns)), mark)

"""What every backbone says about the published weights it was asked for."""

from __future__ import annotations

from dataclasses import dataclass


class PretrainedWeightsMissing(ValueError):
    """Pretrained weights were asked for and are neither on this machine nor to be had."""


@dataclass(frozen=True)
class LoadReport:
    """What became of every weight of a backbone when it was loaded."""

    source: str
    matched: int
    total: int
    missing: tuple[str, ...]  # wanted by the backbone, absent or of another shape in the file
    unexpected: tuple[str, ...]  # in the file, not wanted by the backbone

    @property
    def fraction(self) -> float:
        return self.matched / self.total

    def __str__(self) -> str:
        extra = f", {len(self.unexpected)} of the file unused" if self.unexpected else ""
        return f"{self.source}: {self.matched} of {self.total} weights loaded{extra}"

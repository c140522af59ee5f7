"""Runs the covering design: every pair and every head x camera x losses, trained or refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from zoo.app.combinations.cells import TRIPLE, Factors, cell_config
from zoo.app.combinations.covering import Covering, Row
from zoo.app.combinations.trial import NeitherTrainsNorRefused, Outcome, try_out

# The factor that decides what stands at a config path.
_FACTOR_OF = {
    "model.backbone": "backbone",
    "model.neck": "neck",
    "model.head": "head",
    "model.head.camera": "camera",
    "model.temporal": "temporal",
    "model.losses": "losses",
    "augmentation.crop": "crop",
    "augmentation.view": "view",
    "augmentation.pixels": "pixels",
}


@dataclass(frozen=True)
class Refusal:
    """Values that refuse each other, and the sentence that says why."""

    values: Row
    sentence: str
    row: Row = field(default_factory=dict)  # the whole combination that was refused


@dataclass
class Result:
    """What the design found."""

    factors: Factors
    tuples: int  # pairs and triples to cover
    trained: list[Row] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)

    def refused(self, values: Row) -> Refusal | None:
        """The refusal that these values contain, if they contain one."""
        return next((r for r in self.refusals if r.values.items() <= values.items()), None)

    def trains(self, values: Row) -> bool:
        """Whether these values stood together in a combination that trained."""
        return any(values.items() <= row.items() for row in self.trained)


def run(
    factors: Factors,
    *,
    attempt: Callable[[dict], Outcome] = try_out,
    progress: Callable[[int, Covering], None] | None = None,
) -> Result:
    """Tries as many combinations as it takes until every pair and triple is accounted for.

    Raises NeitherTrainsNorRefused, with the combination, for the first that is neither.
    """
    design = Covering({name: list(values) for name, values in factors.items()}, strengths=[TRIPLE])
    result = Result(factors, design.total)
    for count, row in enumerate(design.rows()):
        try:
            outcome = attempt(cell_config(factors, row))
        except Exception as error:  # whatever it is, it is the third outcome there must not be
            raise NeitherTrainsNorRefused(
                f"{_said(row)}: {type(error).__name__}: {error}"
            ) from error
        if outcome.trains:
            result.trained.append(row)
            design.went_through(row)
        else:
            values = {name: row[name] for name in map(factor_at, outcome.between) if name in row}
            result.refusals.append(Refusal(values, outcome.refusal, row))
            design.refuses(values)
        if progress is not None:
            progress(count + 1, design)
    return result


def factor_at(path: str) -> str:
    """The factor whose value stands at a config path; the longest prefix decides."""
    fitting = [prefix for prefix in _FACTOR_OF if path == prefix or path.startswith(f"{prefix}.")]
    return _FACTOR_OF[max(fitting, key=len)] if fitting else path


def _said(row: Row) -> str:
    return ", ".join(f"{name}={value}" for name, value in row.items())

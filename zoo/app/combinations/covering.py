"""As few combinations as will do to put every pair, and chosen triples, of values together."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence

Row = dict[str, str]  # factor -> value
Tuple = frozenset[tuple[str, str]]  # values of some factors that stand together


class Covering:
    """A design that grows row by row and learns which values refuse each other.

    A row that is refused tests only the values that refuse each other: whatever else stands in it
    is still to be covered, and no later row brings those values together again. So in the end
    every tuple has either been in a row that went through, or contains values that refuse.

    factors: name -> values. strengths: groups of factors of which every combination is covered;
    all pairs always are.
    """

    def __init__(
        self, factors: Mapping[str, Sequence[str]], *, strengths: Iterable[Sequence[str]] = ()
    ) -> None:
        self.factors = {name: list(values) for name, values in factors.items()}
        groups = [*map(tuple, strengths), *itertools.combinations(self.factors, 2)]
        self.open: dict[Tuple, None] = {t: None for g in groups for t in self._tuples_of(g)}
        self.total = len(self.open)
        self.refused: dict[Tuple, None] = {}
        self._groups = groups

    def rows(self) -> Iterator[Row]:
        """Rows until every tuple is covered; say after each `went_through` or `refuses`."""
        while self.open:
            row = self._next_row()
            if row is None:  # what is left cannot stand in any row without values that refuse
                self.open.clear()
                return
            yield row

    def went_through(self, row: Row) -> None:
        """Everything in the row is covered."""
        for found in self._tuples_in(row):
            self.open.pop(found, None)

    def refuses(self, values: Row) -> None:
        """These values refuse each other, whatever stands beside them."""
        refused = frozenset(values.items())
        self.refused[refused] = None
        self.open = {t: None for t in self.open if not refused <= t}

    def _next_row(self) -> Row | None:
        for seed in list(self.open):
            row = self._filled(dict(seed))
            if row is not None:
                return row
            del self.open[seed]  # every row with it holds values that refuse
        return None

    def _filled(self, row: Row) -> Row | None:
        """The row with a value for every factor, each the one that covers most; depth first."""
        if not self._allowed(row):
            return None
        names = [name for name in self.factors if name not in row]
        if not names:
            return row
        name = max(names, key=lambda n: len(self.factors[n]))
        values = sorted(self.factors[name], key=lambda v: -self._gain(row, name, v))
        filled = (self._filled({**row, name: value}) for value in values)
        return next((found for found in filled if found is not None), None)

    def _gain(self, row: Row, name: str, value: str) -> int:
        pairs = (frozenset({(name, value), item}) for item in row.items())
        return sum(pair in self.open for pair in pairs)

    def _allowed(self, row: Row) -> bool:
        items = frozenset(row.items())
        return not any(refused <= items for refused in self.refused)

    def _tuples_of(self, group: Sequence[str]) -> Iterator[Tuple]:
        for values in itertools.product(*(self.factors[name] for name in group)):
            yield frozenset(zip(group, values, strict=True))

    def _tuples_in(self, row: Row) -> Iterator[Tuple]:
        for group in self._groups:
            yield frozenset((name, row[name]) for name in group)

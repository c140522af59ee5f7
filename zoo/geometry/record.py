"""What every frozen record of tensors can do, so that no room writes it for itself."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Self

from torch import Tensor


class Record:
    """A frozen dataclass of tensors that can move between devices; its length is B."""

    def __len__(self) -> int:
        return len(getattr(self, dataclasses.fields(self)[0].name))

    def map(self, change: Callable[[Tensor], Tensor]) -> Self:
        """The same record with `change` applied to every tensor, nested records included."""
        return dataclasses.replace(
            self, **{f.name: _map(getattr(self, f.name), change) for f in dataclasses.fields(self)}
        )

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Every tensor moved as by `torch.Tensor.to`."""
        return self.map(lambda tensor: tensor.to(*args, **kwargs))

    def detach(self) -> Self:
        """The same numbers without their history."""
        return self.map(Tensor.detach)


def _map(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, Record):
        return value.map(change)
    if isinstance(value, Mapping):
        return {key: _map(item, change) for key, item in value.items()}
    if isinstance(value, tuple):
        return tuple(_map(item, change) for item in value)
    return value

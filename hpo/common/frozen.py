"""Frozen: a mapping that cannot be changed, so that values that hold one stay what they were."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Frozen(dict[K, V]):
    """A dict that refuses every change. It compares, prints and pickles as a dict, and has a hash where its values do."""

    refusal = "this mapping cannot be changed; work on a copy: dict(...)"

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise TypeError(self.refusal)

    __setitem__ = __delitem__ = __ior__ = pop = popitem = clear = update = setdefault = _refuse

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))

    def __reduce__(self) -> tuple[type[Any], tuple[dict[K, V]]]:
        return type(self), (dict(self),)


def frozen(value: Any) -> Any:
    """JSON values with mappings that cannot be changed, all the way down. Lists stay lists, of frozen values."""
    if isinstance(value, Mapping):
        return Frozen({key: frozen(inner) for key, inner in value.items()})
    return [frozen(inner) for inner in value] if isinstance(value, list) else value

"""Suggestion: a configuration proposed by a strategy, and how to keep proposals different from all that is known."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hpo.errors import SpaceExhausted
from hpo.problem.space import Params, Space, key


@dataclass(frozen=True)
class Suggestion:
    """A configuration that a strategy proposes, and why.

    Args:
        params: The configuration in canonical form.
        why: JSON values: at least `role`, one of initial, exploit, explore, feasibility, replicate, fallback.
        fitted: What the next fit may start from. It is stored with the suggestion, so that a replay needs no memory.

    Example:
        >>> import hpo
        >>> suggestion = hpo.strategies.Suggestion({"x": 0.5}, {"role": "initial"})
        >>> suggestion.why["role"]
        'initial'
    """

    params: Params
    why: Mapping[str, Any]
    fitted: Mapping[str, Any] = field(default_factory=dict)


def distinct(proposals: Iterable[Params], taken: Set[str], n: int) -> list[Params]:
    """The first `n` proposals that are neither taken nor repeated; fewer when they run out."""
    out: dict[str, Params] = {}
    for params in proposals:
        if len(out) == n:
            break
        if (name := key(params)) not in taken:
            out.setdefault(name, params)
    return list(out.values())


def random_distinct(space: Space, taken: Set[str], n: int, rng: np.random.Generator) -> list[Params]:
    """Up to `n` random configurations not in `taken`; where draws keep hitting taken ones in a finite space, the rest
    of the space is listed. Raises SpaceExhausted when nothing is left."""
    if space.is_finite and space.size(4 * (len(taken) + n)) is not None:
        left = distinct(space.enumerate(), taken, 4 * (len(taken) + n))
        out = [left[i] for i in rng.permutation(len(left))[:n]]
    else:
        draws = (params for _ in itertools.repeat(None, 200) for params in space.sample(rng, n))
        out = distinct(draws, taken, n)
        if not out and space.is_finite:
            out = distinct(space.enumerate(), taken, n)
    if not out:
        raise exhausted(len(taken))
    return out


def missing(points: list[Params], space: Space, taken: Set[str], n: int, rng: np.random.Generator) -> list[Params]:
    """Random configurations that make `points` `n`, or as many as there are. Raises SpaceExhausted when that leaves
    none at all."""
    if len(points) == n:
        return []
    try:
        return random_distinct(space, taken | set(map(key, points)), n - len(points), rng)
    except SpaceExhausted:
        if not points:
            raise
        return []


def exhausted(n_taken: int) -> SpaceExhausted:
    """The error that says every configuration has been given out."""
    return SpaceExhausted(
        f"all {n_taken} configurations of the space have been tried or are in flight. "
        "Widen the space, or enqueue a configuration again to measure its noise"
    )

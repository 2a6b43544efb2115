"""What every adapter can do, and what it is told."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.contenders.spec import Params, Spec

NOT_THE_PARAMS = ("infra", "preempted")
"""Failures of the machines. Peers have no word for them: a user tells a peer nothing of such a trial."""


@dataclass(frozen=True)
class Opening:
    """What a run starts with. `budget` evaluations in batches of `q` are known to those that must plan for them."""

    spec: Spec
    seed: int
    budget: int
    q: int


@dataclass(frozen=True)
class Proposal:
    """A configuration to evaluate, and what the library needs to recognize it."""

    params: Params
    handle: Any = None


@dataclass(frozen=True)
class Result:
    """How an evaluation ended: with `values`, or with a `failure` of some kind."""

    params: Params
    values: dict[str, float] | None
    failure: str | None = None


class Adapter(ABC):
    """An optimizer at work on one problem. All its randomness comes from the seed it was opened with.

    `results` are kept by the worker: all that has been told or added so far, this one included.
    """

    def __init__(self, opening: Opening) -> None:
        self.opening = opening
        self.spec = opening.spec
        self.results: list[Result] = []

    @abstractmethod
    def ask(self, n: int) -> Sequence[Proposal]:
        """Up to `n` configurations to evaluate, none when there is nothing more to suggest."""

    @abstractmethod
    def tell(self, proposal: Proposal, result: Result) -> None:
        """How the evaluation of a proposal ended."""

    @abstractmethod
    def add(self, result: Result) -> None:
        """A result, with values, of a configuration that was not asked for."""

    def recommend(self) -> Params | None:
        """The configuration to deploy now: the best feasible one observed, None while there is none."""
        return best_feasible(self.spec, self.results)

    def close(self) -> None:  # noqa: B027  nothing to give back is the rule
        """Give back what the run holds outside memory."""


def best_feasible(spec: Spec, results: Sequence[Result]) -> Params | None:
    """Params of the least loss observed among the feasible; None when there is none, or several objectives."""
    if len(spec.objectives) > 1:
        return None
    feasible = [(spec.losses(r.values), r.params) for r in results if r.values and spec.is_feasible(r.values)]
    return min(feasible, key=lambda pair: pair[0])[1] if feasible else None

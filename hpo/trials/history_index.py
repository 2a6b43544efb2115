"""HistoryIndex: answers to a History's queries, maintained trial by trial: O(log n) a trial instead of O(n) an ask."""

from __future__ import annotations

import copy
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence, Set
from typing import Any

from hpo.problem.metrics import is_feasible
from hpo.problem.problem import Problem
from hpo.trials.history import History, counts_as_started, has_result, needs_no_further_trial
from hpo.trials.trial import Trial, TrialState

_GROUPS = {
    "waiting": (TrialState.WAITING,),
    "in_flight": (TrialState.WAITING, TrialState.RUNNING),
    "failed": (TrialState.FAILED,),
}


class Taken(Set[str]):
    """The first `n` keys of a list that only grows, as a set: taking it costs the same however many there are."""

    def __init__(self, keys: list[str], places: dict[str, int]) -> None:
        self._keys, self._places, self._n = keys, places, len(keys)

    def __contains__(self, name: object) -> bool:
        return self._places.get(name, self._n) < self._n  # type: ignore[call-overload, no-any-return]

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys[: self._n])

    def __len__(self) -> int:
        return self._n

    @classmethod
    def _from_iterable(cls, names: Iterable[str]) -> frozenset[str]:  # type: ignore[override]
        return frozenset(names)


class HistoryIndex:
    """Equal to what the properties of the same name of `History` find by themselves."""

    def __init__(self, problem: Problem, trials: Iterable[Trial] = ()) -> None:
        self._metrics = problem.metrics
        self._groups: dict[str, list[Trial]] = {name: [] for name in (*_GROUPS, "completed", "feasible")}
        self._takers: Counter[str] = Counter()
        self._keys: list[str] = []
        self._places: dict[str, int] = {}
        self._n_started = 0
        self._known: dict[str, Any] = {}
        for trial in trials:
            self.put(None, trial)

    def copy(self) -> HistoryIndex:
        """Another one as of now."""
        other = copy.copy(self)
        other._groups = {name: list(group) for name, group in self._groups.items()}
        other._takers, other._keys, other._places = self._takers.copy(), list(self._keys), dict(self._places)
        other._known = dict(self._known)
        return other

    def put(self, before: Trial | None, now: Trial) -> None:
        """A trial has been opened (`before` is None), or has made a step."""
        for name in self._groups:
            was, belongs = before is not None and self._is_in(before, name), self._is_in(now, name)
            if was or belongs:
                group = self._groups[name]
                place = bisect_left(group, now.number, key=lambda trial: trial.number)
                group[place : place + was] = [now] if belongs else []
                self._known.pop(name, None)
        change = needs_no_further_trial(now) - (before is not None and needs_no_further_trial(before))
        if change:
            self._take(now.key, change)
        self._n_started += counts_as_started(now) - (before is not None and counts_as_started(before))

    def history(self, problem: Problem, seed: int, trials: Sequence[Trial], fitted: Any, as_of: str) -> History:
        """The history of these trials, which are those of this index, with all answers at hand."""
        for name, group in self._groups.items():
            if name not in self._known:
                self._known[name] = tuple(group)
        history = History(problem, seed, tuple(trials), fitted, as_of)
        vars(history).update(self._known, n_started=self._n_started, taken=Taken(self._keys, self._places))
        return history

    def _take(self, name: str, change: int) -> None:
        self._takers[name] += change
        if not self._takers[name]:  # those who hold the list must not see it shrink
            del self._takers[name]
            self._keys = [other for other in self._keys if other != name]
            self._places = {other: place for place, other in enumerate(self._keys)}
        elif name not in self._places:
            self._places[name] = len(self._keys)
            self._keys.append(name)

    def _is_in(self, trial: Trial, group: str) -> bool:
        if group == "completed":
            return has_result(trial)
        if group == "feasible":
            return has_result(trial) and not trial.set_aside and is_feasible(self._metrics, trial.values)
        return trial.state in _GROUPS[group]

"""Ask: one request for trials, until it is served.

Each process that asks alone suggests and then looks, in the transaction that stores it, whether another has asked
meanwhile. Where others ask too, it stands in a queue, and the first in it suggests while the rest wait: so nobody
suggests in vain, and whoever takes longest is served like the others. A suggestion that was made in one's turn, or for
which the time was over, is stored even if others were served meanwhile, as long as it is another configuration than
theirs. What is suggested in a moment is suggested inside of the transaction.
"""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from functools import partial

from hpo.common.randomness import generator
from hpo.errors import HpoError, SettingsError
from hpo.storage.base import Lease, Log
from hpo.strategies import Grid, Random, Sobol, Strategy
from hpo.strategies.base import AnytimeStrategy
from hpo.strategies.registry import to_json
from hpo.study.ask_queue import QueuePlace
from hpo.study.new_events import asked
from hpo.study.offer import Offer
from hpo.study.study_log import StudyLog
from hpo.trials.deadline import Deadline
from hpo.trials.events import Draft, StudyState
from hpo.trials.history import History
from hpo.trials.trial import Trial

Suggest = Callable[[History, int, int], Sequence[Draft]]
"""Makes drafts of at most n new trials from a history and the last event that it saw: (history, n, saw)."""


@dataclass(eq=False)
class Ask:
    """For at most `n` trials: those that wait, then new ones. See `Study.ask` and `Study.claim`.

    Waiting trials with numbers in `later` are left. `is_quick` says whether a suggestion made now takes so little time that
    it may be made inside of a transaction; from `ends` on (`time.perf_counter`) no turn is waited for.
    """

    study_log: StudyLog
    n: int
    owner: str
    suggest: Suggest
    is_quick: Callable[[], bool]
    request: str = ""
    ends: float = math.inf
    lease: float | None = None
    within: Callable[[History], float] | None = None
    later: Collection[int] = ()
    _offer: Offer | None = None
    _is_served: bool = False
    _ahead: int = 0
    """How many are to be served before."""
    _place: QueuePlace = field(init=False)

    def __post_init__(self) -> None:
        self._place = QueuePlace(self.request or uuid.uuid4().hex)

    def trials(self, *, is_first: bool = False) -> list[Trial]:
        """What was given out, once it is stored. With `is_first` this request was never used before."""
        if self.request and not is_first and (found := self.study_log.answered(self.request)):
            return found
        with self.study_log.asking if self.ends == math.inf else nullcontext(), self._leaving():
            while True:
                is_inside = self.is_quick() and self.within is None  # which might itself look into the storage
                self._offer = None if is_inside else self._prepared()
                written = self.study_log.write(self._serve, self.request)
                if written or self._is_served:
                    return self.study_log.given_out(written)
                self._pause()

    def _prepared(self) -> Offer:
        """Suggested outside of the transaction, in its turn where others ask too."""
        history, saw, last_ask = self.study_log.seen()
        most = self._room(history)
        is_shared = self._place.is_taken or self.study_log.was_shared or self.study_log.is_shared(last_ask)
        if is_shared and len(self._waiting(history)) < most and not self.is_quick():
            self._await_turn()
            history, saw, last_ask = self.study_log.seen()
            most = self._room(history)
        with self._place.kept(self.study_log.renew):
            return self._offered(history, saw, last_ask, most)

    def _await_turn(self) -> None:
        while not self._is_late():
            self.study_log.write(self._stand)
            if not self._ahead:
                return
            self._pause()

    def _serve(self, study_state: StudyState, log: Log) -> list[Draft]:
        """What is given out; nothing, but a place in the queue, where it is not this one's turn or another has asked
        meanwhile."""
        self._is_served, offer, most = False, self._offer, self.n
        needs_turn = bool(offer.new) if offer else len(self._waiting(study_state.history())) < most
        if needs_turn and not self._is_late() and self._place.ahead(log, self.is_quick()):
            return self._stand(study_state, log)
        if offer and not offer.fits(study_state):
            offer = offer.kept(study_state) if self._place.is_taken or self._is_late() else None
            if offer:
                most = self._room(study_state.history())
            elif not self.is_quick():
                return self._stand(study_state, log)
        if offer is None:
            history = study_state.history()
            offer = self._offered(history, study_state.seq, study_state.last_ask, self._room(history))
        drafts = offer.drafts(self.owner)[:most]
        if self.lease is not None:
            until = log.time() + self.lease
            log.put([Lease(number, attempt, self.owner, until) for number, attempt in offer.attempts(drafts)])
        self.study_log.was_shared = self.study_log.is_shared(study_state.last_ask)
        self._place.leave(log)
        self._is_served = True
        return drafts

    def _stand(self, _: StudyState, log: Log) -> list[Draft]:
        self._ahead = self._place.take(log, self.is_quick())
        return []

    def _offered(self, history: History, saw: int, last_ask: int, most: int) -> Offer:
        waiting = self._waiting(history)[:most]
        n_new = most - len(waiting)
        return Offer(history, last_ask, waiting, self.suggest(history, n_new, saw) if n_new else ())

    def _waiting(self, history: History) -> Sequence[Trial]:
        return [trial for trial in history.waiting if trial.number not in self.later]

    def _room(self, history: History) -> int:
        return self.n if self.within is None else max(0, int(min(self.n, self.within(history))))

    def _is_late(self) -> bool:
        return time.perf_counter() >= self.ends

    def _pause(self) -> None:
        time.sleep(max(0.0, min(self._place.pause(self._ahead), self.ends - time.perf_counter())))

    @contextmanager
    def _leaving(self) -> Iterator[None]:
        """Whoever goes without being served lets the others pass."""
        try:
            yield
        except BaseException:
            if self._place.is_taken:
                with suppress(HpoError), self.study_log.transaction() as log:
                    self._place.leave(log)
            raise


_QUICK_KINDS, _QUICK_SECONDS = (Grid, Random, Sobol), 0.02
"""Strategies without a model, and how long their suggestions may compute to be made inside of a transaction."""


class Asker:
    """What asks of one study have in common: its log, its strategy, and how long that takes for a suggestion."""

    def __init__(self, study_log: StudyLog, seed: int, strategy: Callable[[], Strategy]) -> None:
        """strategy: gives the strategy; raises SettingsError where it is not installed."""
        self._log, self._seed, self._strategy = study_log, seed, strategy
        self._seconds_each = math.inf
        """Of computing, that a suggestion took last time."""

    def ask(
        self,
        n: int,
        owner: str,
        *,
        request: str = "",
        ends: float = math.inf,
        lease: float | None = None,
        within: Callable[[History], float] | None = None,
        later: Collection[int] = (),
        is_first: bool = False,
    ) -> list[Trial]:
        """At most `n` trials, once they are stored; see `Ask` and its fields."""

        def is_quick() -> bool:
            with suppress(SettingsError):  # a strategy that is not installed is not missed where trials wait
                if type(self._strategy()) in _QUICK_KINDS:
                    return n * self._seconds_each <= _QUICK_SECONDS
                return time.perf_counter() >= ends and isinstance(self._strategy(), AnytimeStrategy)
            return False

        suggest = partial(self._suggested, owner=owner, ends=ends)
        ask = Ask(self._log, n, owner, suggest, is_quick, request, ends, lease, within, later)
        return ask.trials(is_first=is_first)

    def _suggested(self, history: History, n: int, saw: int, *, owner: str, ends: float = math.inf) -> list[Draft]:
        first, strategy = len(history.trials), self._strategy()
        rng, begun = generator(self._seed, "suggest", first), time.thread_time()
        if ends < math.inf and isinstance(strategy, AnytimeStrategy):
            suggestions = strategy.suggest_within(history, n, rng, Deadline(ends - time.perf_counter()))
        else:
            suggestions = strategy.suggest(history, n, rng)
        self._seconds_each = (time.thread_time() - begun) / n
        name = to_json(strategy)
        return [asked(first + i, s, name, saw, (first, n), owner) for i, s in enumerate(suggestions)]

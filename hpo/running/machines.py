"""Machines: which of them lose the trials they are given, when a run starts the next one, and when there is no hope.

A fault of the machines blames no trial. After each in a row the run waits longer before it starts another; a place that
has lost trials is left alone for a while, longer each time. A loss counts against its trial only where an earlier one is
known to have been its own: others have run well at that place since, and no other trial was lost there.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from hpo.common.text import counted, shown
from hpo.errors import listing
from hpo.executors import Outcome
from hpo.trials.formatting import duration
from hpo.trials.trial import RETRIED_KINDS

SHORTEST, LONGEST = 0.5, 60.0
"""Seconds from a loss to the next start: after the first in a row, and at most."""
BANS = (10.0, 60.0, 300.0)
"""Seconds for which nothing is started at a place after so many losses in a row there; then twice as long each time."""
LONGEST_BAN = 3600.0
HOPELESS = 12
"""Losses in a row after which a run ends, if they have gone on for long enough."""
HOPELESS_SECONDS = 600.0
_LATE = 60.0
"""Seconds: what is lost sooner was lost by a machine that cannot start it, and would soon have lost all others too."""
_RARE = 4
"""Others that end well for each that is lost, at the least, where a loss may be attributed to its trial."""
_TOLD = 3
"""Losses in a row after which a person is told."""
_REASON = 160


@dataclass
class _Row:
    """Losses in a row. One more try is an attempt that was handed over after the last loss was seen: those that were under
    way by then tell nothing new."""

    tries: int = 0
    began: float = math.inf
    seen: float = -math.inf
    """When the last loss was."""
    handed: float = -math.inf
    """When the latest attempt that was lost had been handed over."""
    numbers: set[int] = field(default_factory=set)
    """The trials."""

    def add(self, number: int, handed: float, now: float) -> bool:
        """One more loss; whether it is one more try."""
        is_try = handed > self.seen or not self.tries
        if not self.tries:
            self.began = now
        self.tries += is_try
        self.seen = now
        self.handed = max(self.handed, handed)
        self.numbers.add(number)
        return is_try


@dataclass
class _Machine(_Row):
    until: float = -math.inf
    """When something may be started there again."""


class Machines:
    """What a run has seen of them. Times are those of `clock`, the pool's."""

    def __init__(self, clock: Callable[[], float], patience: float) -> None:
        """patience: seconds after which trials that never start are given up, where others have run well before."""
        self._clock, self._patience = clock, patience
        self._handed: dict[str, float] = {}
        """When the tasks in flight were handed over, by id."""
        self._row = _Row()
        self._places: dict[str, _Machine] = {}
        self._lost: Counter[int] = Counter()
        """How often, by number of the trial."""
        self._n_well = 0
        self._own: set[int] = set()
        """Trials whose last loss was their own."""
        self._proved: set[int] = set()
        """Trials of which a loss was their own once."""
        self.suspects: set[int] = set()
        """Trials that were lost since others were started: those go first, to show whether they fare better there."""
        self._pause = 0.0
        """Seconds between two starts while machines are under suspicion."""
        self._not_before = -math.inf
        self._is_probed = False
        """Whether something was started since the last loss."""
        self._last = Outcome(id="", kind="infra")
        self._has_started = False
        self._news: list[str] = []
        self._is_told, self._told_at = False, -math.inf
        """Whether a person was told of the losses in a row, and when that was last."""

    # -- what happens ---------------------------------------------------------------------------------------------

    def started(self, tasks: Mapping[str, int]) -> None:
        """These have been handed over: tasks by id, each with the number of its trial."""
        now = self._clock()
        self._handed.update(dict.fromkeys(tasks, now))
        if set(tasks.values()) - self.suspects:
            self.suspects = set()
        if self._pause:
            self._is_probed, self._not_before = True, now + self._pause

    def ended(self, number: int, outcome: Outcome, kind: str | None, message: str) -> bool:
        """How a task of trial `number` ended, by what kind of failure, if any. Whether the attempt counts."""
        handed = self._handed.pop(outcome.id, -math.inf)
        if kind == "cancelled":
            return True
        if kind not in RETRIED_KINDS:
            self._work_again(outcome.place, handed)
            return True
        counts = outcome.started_at is not None and self._is_to_blame(number, outcome)
        self._own.discard(number)
        self._lost[number] += 1
        self.suspects.add(number)
        self._lose(number, outcome, handed, message or str(kind))
        return counts

    def _is_to_blame(self, number: int, outcome: Outcome) -> bool:
        """Whether the trial was lost before where others ran well, and few others are lost at all. Where no others are left
        to show that, whether it alone is lost again, after a while."""
        is_rare = _RARE * (self._lost.total() - self._lost[number]) <= self._n_well
        is_alone = self._row.numbers == {number} and (outcome.seconds >= _LATE or number in self._proved)
        return is_rare and (number in self._own or (is_alone and self._n_well > 0))

    def _work_again(self, place: str, handed: float) -> None:
        self._n_well += 1
        if self._is_told:
            self._news.append("trials run again")
        self._is_told = False
        self._row, self._pause, self._not_before = _Row(), 0.0, -math.inf
        there = self._places.get(place)
        if there is not None and handed >= there.handed:  # else it tells nothing of what is given to it now
            if len(there.numbers) == 1:
                self._own |= there.numbers
                self._proved |= there.numbers
            if there.tries >= _TOLD and place:
                self._news.append(f"machine {place} runs trials again")
            del self._places[place]

    def _lose(self, number: int, outcome: Outcome, handed: float, message: str) -> None:
        now, self._last, self._reason = self._clock(), outcome, _short(message)
        if not self._row.tries:
            self._has_started = False
        self._has_started |= outcome.started_at is not None
        if self._row.add(number, handed, now):
            # the next has to live for longer, to prove anything; and some losses are known late, as those of Slurm's jobs
            lived = next((seconds for seconds in (now - handed, outcome.seconds) if seconds < _LATE), 0.0)
            self._pause = min(max(2.0 * self._pause, SHORTEST, 1.5 * lived), LONGEST)
            is_new = self._row.tries > _TOLD or now - self._told_at >= LONGEST
            if _is_told(self._row.tries) and is_new and not outcome.place:
                self._is_told, self._told_at = True, now
                self._news.append(f"{self._words()}; they are not to blame, and the next is tried {self._when(now)}")
        self._is_probed, self._not_before = False, now + self._pause
        if outcome.started_at is None and not outcome.place:
            return
        there = self._places.setdefault(outcome.place, _Machine())
        if there.add(number, handed, now) and outcome.place:
            n, longest = there.tries, LONGEST_BAN if outcome.seconds < _LATE else BANS[-1]
            length = BANS[n - 1] if n <= len(BANS) else min(BANS[-1] * 2.0 ** (n - len(BANS)), longest)
            there.until = now + length
            if _is_told(n):
                self._news.append(
                    f"machine {outcome.place}: {n} trials in a row were lost ({self._reason}); no trial is started there "
                    f"for {duration(length)}"
                )

    # -- what follows ---------------------------------------------------------------------------------------------

    def room(self) -> float:
        """How many tasks may be started now: as many as there is room for while machines work; one at a time after a loss,
        and a pause that grows with each in a row and shrinks with each start that lives through it."""
        if self._pause and self._is_probed and self._clock() >= self._not_before:
            self._is_probed = False
            self._pause = self._pause / 2.0 if self._pause > SHORTEST else 0.0
        if not self._pause:
            return math.inf
        return 0 if self._clock() < self._not_before else 1

    @property
    def is_pausing(self) -> bool:
        """Whether nothing may be started before `due`."""
        return self._pause > 0 and self._clock() < self._not_before

    def due(self) -> float:
        """When something changes by itself: a pause is over, or a place is tried again."""
        now = self._clock()
        times = [self._not_before, *(place.until for place in self._places.values())]
        return min((at for at in times if at > now), default=math.inf)

    def avoided(self) -> frozenset[str]:
        """Places where nothing is to be started now."""
        now = self._clock()
        return frozenset(name for name, place in self._places.items() if place.until > now)

    def news(self) -> list[str]:
        """What a person should be told since the last call."""
        news, self._news = self._news, []
        return news

    def words(self) -> str:
        """`no start for 32 s: 7 trials in a row were lost (No space left on device)`, and the places that are left out; the
        empty string where all is well."""
        now = self._clock()
        pause = f"no start for {duration(self._not_before - now)}: {self._words()}" if self.is_pausing else ""
        bad = {name: place.until for name, place in self._places.items() if place.until > now and place.tries >= _TOLD}
        left_out = (
            f"left out: {listing((f'{name} for {duration(at - now)}' for name, at in bad.items()), 3)}" if bad else ""
        )
        return " | ".join(filter(None, [pause, left_out]))

    def hopeless(self) -> str:
        """Why there is no hope, or nothing: so many losses in a row, over so long, and nothing has run well since. Trials
        that never started cost nothing: where others ran before, they are tried for as long as an outage is borne."""
        for_long = self._patience if self._n_well and not self._has_started else HOPELESS_SECONDS
        lasted = self._clock() - self._row.began
        if self._row.tries < HOPELESS or lasted < for_long:
            return ""
        places = sorted(name for name in self._places if name)
        where = f", at {listing(places)}" if places else ""
        return (
            f"{self._words()} within {duration(lasted)}{where}, and none ended well: the machines are at fault, or what "
            "starts trials there"
        )

    def _words(self) -> str:
        verb = "was" if self._row.tries == 1 else "were"
        return f"{counted(self._row.tries, 'trial')} in a row {verb} lost ({self._reason})"

    def _when(self, now: float) -> str:
        return f"in {duration(self._pause)}, later ones more slowly" if self._pause < LONGEST else "once a minute"


def _short(message: str) -> str:
    line = shown(message.strip().splitlines()[0]) if message.strip() else "no reason given"
    return line if len(line) <= _REASON else f"{line[: _REASON - 3]}..."


def _is_told(n: int) -> bool:
    """The third, and whenever they have doubled."""
    return n % _TOLD == 0 and (n // _TOLD) & (n // _TOLD - 1) == 0

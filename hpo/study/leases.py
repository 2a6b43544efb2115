"""Leases: the trials that drivers hold while they run them.

A driver is whatever runs trials of a study: `hpo.run`, `hpo worker`, a program of yours. It claims trials, renews its hold
on them, and tells how they ended. Trials of a driver that no longer answers are handed back.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from hpo.boundary.public import public_members
from hpo.common.redact import masked, redact_all
from hpo.common.scalars import whole
from hpo.errors import SettingsError
from hpo.problem.metrics import Results
from hpo.storage.base import Lease, Log
from hpo.storage.retry import retrying
from hpo.study.asking import Asker
from hpo.study.new_events import MAX_DEATHS, handed_back, outrun, said, took, unseen
from hpo.study.provenance import provenance
from hpo.study.study_log import StudyLog
from hpo.study.telling import telling
from hpo.trials.events import Draft, StudyState
from hpo.trials.history import History
from hpo.trials.trial import Trial, TrialState


@public_members
class Leases:
    """Of one study: `study.leases`. Safe to use from many threads and processes, as the study is."""

    def __init__(self, study_log: StudyLog, asker: Asker, facts: Mapping[str, Any]) -> None:
        self._log, self._asker, self._facts = study_log, asker, facts

    def join(
        self,
        owner: str,
        command: Sequence[str | Sequence[str]] = (),
        *,
        reason: str = "",
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        """Record a driver that will run trials: its code, machine and versions. Secrets in a command line are not
        stored.

        Args:
            owner: The name of the driver.
            command: The command it runs. Empty: it calls a function.
            reason: Why it runs.
            settings: The settings of its run. None: none are recorded.
        """
        facts = {**provenance(reason=reason), "data": self._facts.get("data", "")}
        data = {"owner": owner, "command": masked(command), "facts": facts, "settings": redact_all(settings or {})}
        self._log.write(lambda *_: [Draft("joined", None, data)])

    def claim(
        self,
        n: int,
        owner: str,
        *,
        lease: float,
        within: Callable[[History], float] | None = None,
        later: Collection[int] = (),
        request: str = "",
        is_first: bool = False,
    ) -> list[Trial]:
        """Up to `n` trials for a driver that will run them: as `Study.ask`, with a lease.

        The driver must `renew` each trial before its lease is over; else `reclaim` gives it to another.

        Args:
            n: The most trials.
            owner: The name of the driver.
            lease: Seconds by the storage's clock.
            within: Says how many more trials may start, given the history. Nobody else gets a trial between its answer
                and these trials, so drivers together never start more. None: no limit.
            later: Numbers of waiting trials that are not given out.
            request: As for `Study.ask`.
            is_first: Whether the request was never made before, so that no stored answer is looked for.
        """
        count = whole(n)
        if count is None:
            raise SettingsError(f"claim({n!r}): give the number of trials as a whole number")
        return self._asker.ask(
            count, owner, lease=lease, within=within, later=later, request=request, is_first=is_first
        )

    def renew(self, trials: Iterable[Trial], owner: str, lease: float) -> list[Trial]:
        """Hold on to claimed trials.

        Args:
            trials: The trials.
            owner: The name of the driver.
            lease: Seconds from now.

        Returns:
            The trials that are lost and should be stopped: another driver has taken them, or they have ended.
        """
        trials = list(trials)
        held = {trial.number: trial.attempt for trial in trials}
        kept = retrying(lambda _: self._log.renew(owner, held, lease))
        return [trial for trial in trials if trial.number not in kept]

    def adopt(self, trials: Iterable[Trial], owner: str, lease: float) -> list[Trial]:
        """Watch over running trials in place of the drivers that had them; their attempts go on.

        Args:
            trials: The trials.
            owner: The name of the new driver.
            lease: Seconds from now.

        Returns:
            The trials that are still as given. The others have been taken, or have ended.
        """
        trials = list(trials)

        def decide(study_state: StudyState, log: Log) -> list[Draft]:
            mine = [trial for trial in trials if _same_attempt(study_state.trials[trial.number], trial)]
            log.put([Lease(trial.number, trial.attempt, owner, log.time() + lease) for trial in mine])
            return [Draft("adopted", trial.number, {"owner": owner}) for trial in mine]

        return self._log.trials_of(self._log.write(decide))

    def held(self) -> frozenset[int]:
        """Numbers of the trials whose lease has not run out."""

        def look(_: bool) -> frozenset[int]:
            with self._log.transaction() as log:
                now = log.time()
                return frozenset(lease.number for lease in log.leases() if lease.until >= now)

        return retrying(look)

    def reclaim(self, dead: Collection[str] = (), living: Iterable[Trial] = ()) -> list[Trial]:
        """Hand back the trials whose lease has run out.

        Args:
            dead: Drivers that are known to have died; their trials are handed back at once.
            living: Trials that are known to run; they are kept.

        Returns:
            The trials that were handed back. They wait, or have failed once ten drivers lost them.
        """
        spared = {(trial.number, trial.attempt) for trial in living}

        def decide(study_state: StudyState, log: Log) -> list[Draft]:
            now, over, idle, extra = log.time(), [], [], []
            leases = {lease.number: lease for lease in log.leases() if lease.number >= 0}  # below 0: who asks
            for lease in leases.values():
                trial = study_state.trials[lease.number]
                if trial.state is not TrialState.RUNNING or trial.attempt != lease.attempt:
                    idle.append(lease.number)
                    extra += outrun(trial, lease)
                elif lease.until < now and (lease.number, lease.attempt) not in spared:
                    over.append(lease.number)
            log.drop([*idle, *over])
            running = [t for t in study_state.trials if dead and t.state is TrialState.RUNNING]
            lost = [t for t in running if t.owner in dead and (t.number, t.attempt) not in spared]
            unheard = [t for n in over if (t := study_state.trials[n]).owner not in dead]
            died = [(t, handed_back(t, "infra", "its driver died", most=MAX_DEATHS)) for t in lost]
            silence = "its driver was not heard of any more"
            silent = [(t, handed_back(t, "infra", silence, most=MAX_DEATHS)) for t in unheard]
            return [
                *(unseen(draft, t, leases.get(t.number), now) for t, draft in died),
                *(unseen(draft, t, leases.get(t.number), now, may_run=True) for t, draft in silent),
                *extra,
            ]

        return self._log.trials_of([event for event in self._log.write(decide) if event.kind != "extra"])

    def tell(self, results: Sequence[tuple[Trial, Results, float | None]]) -> list[Trial | Exception]:
        """Record several results, mostly in one durable step, where `Study.tell` takes one for each.

        Args:
            results: Of each the trial, what was measured, and the seconds that the attempt took, if known.

        Returns:
            Of each the trial as it then is, or the error that `Study.tell` would raise.

        Raises:
            StorageError: What was stored before is found when it is told again.
        """
        changes = [
            (trial.number, telling(trial.number, values, trial.attempt, seconds)) for trial, values, seconds in results
        ]
        return [now if isinstance(now, Exception) else said(now) for now in self._log.change_all(changes)]

    def bill(self, trial: Trial, seconds: float | None) -> Trial:
        """Record how long an attempt took whose trial has gone on without it. Only what is paid for changes.

        Args:
            trial: The trial, as the driver of that attempt knows it.
            seconds: How long it took. None: not known.
        """
        return self._log.change(trial.number, lambda _, current, __: took(current, trial.attempt, seconds))

    @property
    def known(self) -> History:
        """The history as the last step of this study object found it: what others have done since then may be missing."""
        return self._log.known()


def _same_attempt(now: Trial, seen: Trial) -> bool:
    return now.state is TrialState.RUNNING and (now.attempt, now.owner) == (seen.attempt, seen.owner)

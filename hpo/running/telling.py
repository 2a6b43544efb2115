"""Telling: how a run writes down in its study how tasks ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from hpo.common.redact import redact
from hpo.errors import ResultConflict, ResultError, TrialStateError, listing
from hpo.executors import Outcome
from hpo.running.objective import Failure, Reading, fault_of, result_of
from hpo.running.shutdown import Shutdown
from hpo.study.study import Study
from hpo.trials.trial import Trial, TrialState


class Teller:
    """Each method may be called again where the storage did not answer: what was stored is not stored twice, and nothing is
    said before it is stored."""

    def __init__(self, study: Study, say: Callable[[str], None], shutdown: Shutdown, *, is_command: bool) -> None:
        self._study, self._say, self._shutdown, self._is_command = study, say, shutdown, is_command
        self.fault: ResultError | None = None
        """The first result that broke its contract."""
        self.stopped: list[Trial] = []
        self._stored: dict[str, Trial] = {}
        """By task, the trials whose results are stored already."""
        self._is_log_said = False
        """Whether it was said which names in a command's output are taken for log."""

    def tell_together(self, ended: Sequence[tuple[Trial, Outcome]]) -> None:
        """Store what several trials have brought in one durable step, for `tell` to find. All but plain results is left to
        `tell`."""
        readings: dict[str, Reading] = {}
        for _, outcome in ended:
            with suppress(ResultError):
                if outcome.value is not None and outcome.kind is None and outcome.reported is None:
                    result = self._read(outcome.value)
                    if isinstance(result, Reading):
                        readings[outcome.id] = result
        plain = [(trial, outcome) for trial, outcome in ended if outcome.id in readings]
        if len(plain) < 2:
            return
        answers = self._study.leases.tell([(trial, readings[o.id].values, o.seconds) for trial, o in plain])
        for (_, outcome), now in zip(plain, answers, strict=True):
            if isinstance(now, Trial):
                self._stored[outcome.id] = now

    def tell(self, trial: Trial, outcome: Outcome, *, counts: bool) -> Trial:
        """The trial as it is then. counts: whether a loss by the machines is one of those it may have."""
        try:
            return self._told(trial, outcome, counts)
        except (TrialStateError, ResultConflict) as error:  # somebody has ended it by hand: what they said stays
            now = self._study.leases.bill(trial, outcome.seconds)
            self._say(f"what trial {trial.number} brought is not recorded: {error}")
            return now

    def end(self, trial: Trial, reason: str, seconds: float | None = None) -> Trial:
        """Of a trial without a result, unless another attempt has taken its place or has ended it."""
        now = self._study.trials[trial.number]
        if now.state is not TrialState.RUNNING or now.attempt != trial.attempt:
            return self._study.leases.bill(trial, seconds)
        if self._shutdown.hand_back:
            now = self._study.requeue(trial, reason, seconds=seconds)
        else:
            now = self._study.cancel(trial, reason, seconds=seconds)
        self.stopped.append(now)
        return now

    def _told(self, trial: Trial, outcome: Outcome, counts: bool) -> Trial:
        seconds = outcome.seconds
        if outcome.kind == "cancelled":
            return self.end(trial, self._shutdown.stopping or outcome.message or "cancelled", seconds)
        if outcome.reported is not None and (late := self._reported(trial, outcome)):
            return late
        if outcome.kind is not None:
            return self._study.fail(trial, outcome.kind, _reason(outcome), seconds=seconds, counts=counts)
        assert outcome.value is not None
        try:
            result = self._read(outcome.value)
            if isinstance(result, Failure):
                now = self._study.fail(trial, result.kind, result.message, seconds=seconds, counts=counts)
            elif outcome.id in self._stored:
                now = self._stored.pop(outcome.id)
            else:
                now = self._study.tell(trial, result.values, seconds=seconds)
        except ResultConflict:
            raise
        except ResultError as error:
            now = self.end(trial, str(error), seconds)
            self.fault = self.fault or error
            return now
        if outcome.message:
            self._say(f"trial {trial.number}: {outcome.message}")
        if not isinstance(result, Failure) and result.ignored and not self._is_log_said:
            self._is_log_said = True
            self._say(f"taken for log, as no metrics of the problem: {listing(result.ignored)}")
        return now

    def _read(self, value: Mapping[str, Any]) -> Reading | Failure:
        return result_of(value, self._study.leases.known.problem.metrics, is_command=self._is_command)

    def _reported(self, trial: Trial, outcome: Outcome) -> Trial | None:
        """The trial with what its command had reported before its time was over; None where that is no whole result."""
        try:
            result = result_of(outcome.reported or {}, self._study.problem.metrics, is_command=True)
            if isinstance(result, Failure):
                return None
            told = self._study.tell(trial, result.values, seconds=outcome.seconds)
        except ResultConflict:
            raise
        except ResultError:
            return None
        note = f"trial {trial.number} was {outcome.message}; what it had reported by then counts"
        self._study.note(note)
        self._say(note)
        return told


def failure_of(outcome: Outcome, *, is_command: bool) -> tuple[str | None, str]:
    """The kind of failure and its words, those of TrialFailed too; no kind where a task ended well."""
    if is_command or outcome.value is None:
        return outcome.kind, outcome.message
    if fault := fault_of(outcome.value):
        return "infra", fault
    failed = outcome.value.get("failed")
    return (failed[0], failed[1]) if failed else (None, outcome.message)


def _reason(outcome: Outcome) -> str:
    """What the executor says, and the last line the training wrote where that says more."""
    last = redact(outcome.log_tail.strip().rsplit("\n", 1)[-1])[:300]
    return outcome.message if not last or last in outcome.message else f"{outcome.message}: {last}"

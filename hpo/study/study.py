"""Study: the whole optimization of one problem.

It is one class, since it is the one object that users hold; each method says what is written, and other modules decide it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, overload

from hpo.boundary.public import public_members
from hpo.common.frozen import frozen
from hpo.common.scalars import whole
from hpo.errors import MetricError, MissingExtra, SettingsError, StudyNotFound, TrialNotFound, did_you_mean, listing
from hpo.problem.json_format import metric_to_json
from hpo.problem.metrics import Metric, Results
from hpo.problem.problem import Problem
from hpo.storage import Storage, open_storage
from hpo.storage.base import Log, StudyRecord
from hpo.storage.open_storage import missing_file
from hpo.strategies import Strategy
from hpo.strategies.registry import from_json
from hpo.study.asking import Asker
from hpo.study.leases import Leases
from hpo.study.new_events import (
    accepted,
    checked_seconds,
    failed_again,
    handed_back,
    opened,
    said,
    took,
)
from hpo.study.replay import Replay
from hpo.study.replay import replay as replayed
from hpo.study.study_log import Look, StudyLog
from hpo.study.telling import telling
from hpo.trials.events import Draft, Event, StudyState, check_step
from hpo.trials.history import History, summary
from hpo.trials.results import checked_result, compared, on_data
from hpo.trials.trial import FAILURE_KINDS, Trial, TrialState

if TYPE_CHECKING:
    import pandas as pd


@public_members
class Study:
    """One optimization: ask for configurations, tell what was measured. Made by `open_study`.

    Safe to use from many threads; any number of processes may share its storage. Everything is in the storage's log
    before a call returns, so opening the study again goes on where it stopped. Pickled or copied, a study in a file or
    on a server is opened again by its name and URL, without the URL's password; one in memory raises a TypeError.

    Example:
        >>> import hpo
        >>> problem = hpo.Problem(hpo.Space({"x": (0.0, 1.0)}), [hpo.Objective("y")])
        >>> study = hpo.open_study("parabola", problem, storage=":memory:", seed=1)
        >>> for _ in range(8):
        ...     trial = study.ask()
        ...     ended = study.tell(trial, -trial.params["x"] ** 2)
        >>> len(study.trials), study.best.value > -0.01
        (8, True)
    """

    def __init__(self, record: StudyRecord, storage: Storage, strategy: Strategy | None = None) -> None:
        self._record = record
        self._facts: Mapping[str, Any] = frozen(record.facts)
        self._storage = storage
        self._strategy = strategy
        self._log = StudyLog(record, storage)
        self._asker = Asker(self._log, self.seed, lambda: self.strategy)

    # -- what it is -----------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The name it is stored under."""
        return self._record.name

    @property
    def problem(self) -> Problem:
        """The problem, with the limits as last edited."""
        return self.history.problem

    @property
    def seed(self) -> int:
        """The seed all randomness of this study derives from."""
        seed: int = self._record.facts["seed"]
        return seed

    @property
    def facts(self) -> Mapping[str, Any]:
        """Who made the study, when, why and with what code; the seed and the strategy."""
        return self._facts

    @property
    def storage(self) -> Storage:
        """Where it is stored."""
        return self._storage

    @property
    def strategy(self) -> Strategy:
        """What suggests: as given, else the stored one, which is made when it is first needed. Raises SettingsError where
        that one is not installed."""
        if self._strategy is None:
            self._strategy = from_json(self.facts.get("strategy"))
        return self._strategy

    @property
    def leases(self) -> Leases:
        """For drivers: what runs trials of this study, and holds them meanwhile. `hpo.run` is one."""
        return Leases(self._log, self._asker, self.facts)

    # -- the loop -------------------------------------------------------------------------------------------------

    @overload
    def ask(self, n: None = None, *, owner: str = "", max_seconds: float | None = None, request: str = "") -> Trial: ...
    @overload
    def ask(self, n: int, *, owner: str = "", max_seconds: float | None = None, request: str = "") -> list[Trial]: ...
    def ask(
        self, n: int | None = None, *, owner: str = "", max_seconds: float | None = None, request: str = ""
    ) -> Trial | list[Trial]:
        """The next trial to run, or a list of them: distinct, and chosen with all trials in flight in mind.

        Waiting trials (enqueued, or to be run again) come first. Where other processes ask too, each has its turn to
        suggest.

        Args:
            n: None for one trial; a number for a list of at most that many.
            owner: A name of the driver that will run them. Empty: nobody's.
            max_seconds: About how long the answer may take, the wait for the turn included. Work for which there is no
                time is skipped in named steps (`why["skipped"]`: reused, screened, spread), and a replay skips the
                same. None: no limit.
            request: A text of your choice. Asking again with the same one gives the same trials: for callers that may
                lose an answer. Empty: each ask gives new trials.

        Raises:
            SpaceExhausted: Every configuration of a finite space has been given out.
            SettingsError: An argument is invalid.
        """
        count = 1 if n is None else whole(n)
        if count is None or count < 1:
            raise SettingsError(f"ask({n!r}): ask() gives one trial, ask(8) a list of up to eight")
        if max_seconds is not None and not max_seconds > 0:
            raise SettingsError(f"ask(max_seconds={max_seconds!r}): give the seconds the answer may take, more than 0")
        ends = math.inf if max_seconds is None else time.perf_counter() + max_seconds
        trials = self._asker.ask(count, owner, request=request, ends=ends)
        return trials if n is not None else trials[0]

    def tell(
        self,
        trial: Trial | int,
        values: Results,
        *,
        replace: bool = False,
        reason: str = "",
        seconds: float | None = None,
    ) -> Trial:
        """Record a result. Telling the same values again changes nothing.

        A result counts whichever attempt of the trial it comes from. If another attempt has brought one before, it is
        kept in the log and only its time is charged. `notes` of the trial say what of the result was dropped, and why
        it is set aside.

        Args:
            trial: The trial, or its number.
            values: A number or `Measurement` for each metric of the problem; tracked metrics may be missing. Where one
                metric is required, it may stand alone.
            replace: Whether to correct a result that is stored.
            reason: Why, for a correction.
            seconds: How long the attempt took; budgets of time charge for it. None: the time since the trial was given
                out.

        Raises:
            ResultError: The result breaks the contracts of the metrics. Nothing is recorded.
            TrialNotFound: There is no such trial.
        """
        attempt = trial.attempt if isinstance(trial, Trial) else None
        number = _number(trial)
        return said(self._log.change(number, telling(number, values, attempt, seconds, replace=replace, reason=reason)))

    def fail(
        self,
        trial: Trial | int,
        kind: str = "error",
        message: str = "",
        *,
        seconds: float | None = None,
        counts: bool = True,
    ) -> Trial:
        """Record that a trial gave no result.

        oom, diverged, timeout, crash and error are attributed to the params: the models learn to avoid such regions.
        infra and preempted are attributed to the machines: nothing is learned, and the trial waits to be run again, up
        to three times. Once another attempt has taken over, or has brought a result, the failure of an earlier one
        changes nothing but the bill.

        Args:
            trial: The trial, or its number.
            kind: One of the kinds above.
            message: What happened.
            seconds: How long the attempt took. None: not known.
            counts: False for a failure of the machines that is none of the trial's three: others were lost there too,
                or the attempt never started.

        Raises:
            SettingsError: There is no such kind.
            TrialNotFound: There is no such trial.
            TrialStateError: The trial has ended otherwise.
        """
        number = _number(trial)
        _check_kind(kind)

        def decide(_: Problem, current: Trial, __: Look) -> list[Draft]:
            if isinstance(trial, Trial) and trial.attempt != current.attempt:
                return took(current, trial.attempt, seconds)
            if isinstance(trial, Trial) and current.kind == kind:
                return []
            check_step(current, TrialState.FAILED)  # one that was cancelled by hand stays so
            draft = handed_back(current, kind, message, seconds, counts=counts)
            if draft.kind == "requeued":
                check_step(current, TrialState.WAITING)
            return [draft]

        return self._log.change(number, decide)

    def cancel(self, trial: Trial | int, reason: str = "", *, seconds: float | None = None) -> Trial:
        """End a trial that will not be run, or not to its end. Its configuration may be suggested again.

        Args:
            trial: The trial, or its number. A `Trial` that has been given out again since is left alone.
            reason: Why.
            seconds: How long the attempt took. None: not known.

        Raises:
            TrialStateError: The trial has ended already.
        """
        return self._step(trial, TrialState.CANCELLED, "cancelled", reason, seconds)

    def requeue(self, trial: Trial | int, reason: str = "", *, seconds: float | None = None) -> Trial:
        """Have a trial run again, as its next attempt; the next ask gives it out.

        For a running trial whose driver is gone, and for one that failed by a fault that has been fixed.

        Args:
            trial: The trial, or its number. A `Trial` that has been given out again since is left alone.
            reason: Why.
            seconds: How long the attempt took. None: not known.

        Raises:
            TrialStateError: The trial has a result.
        """
        return self._step(trial, TrialState.WAITING, "requeued", reason, seconds)

    def requeue_failed(self, reason: str = "", *, kind: str | None = None) -> list[Trial]:
        """Have failed trials run again; the next asks give them out first. Until then they count in no budget of
        trials.

        Args:
            reason: Why.
            kind: Only failures of this kind. None: all.

        Returns:
            The trials.

        Raises:
            SettingsError: There is no such kind.
        """
        if kind is not None:
            _check_kind(kind)
        return self._log.trials_of(self._log.write(lambda study_state, _: failed_again(study_state, reason, kind)))

    def enqueue(self, params: Mapping[str, Any], note: str = "") -> Trial:
        """Put a configuration of your own at the head of the queue.

        Args:
            params: A value for each active parameter.
            note: A remark.

        Raises:
            ParamsError: The params do not belong to the space. The message names every fault.
        """
        written = self._log.write(lambda study_state, _: [opened(study_state, params, "enqueued", {"note": note})])
        return self._log.trials_of(written)[0]

    def add(self, params: Mapping[str, Any], values: Results, note: str = "", *, data: str = "") -> Trial:
        """Record a result from elsewhere: production, an earlier study, a colleague.

        Args:
            params: A value for each active parameter.
            values: What was measured, as for `tell`.
            note: Where it comes from.
            data: A name of the data it was measured on, as in `open_study`. A result for other data than the study's is
                kept and set aside: it is never an answer, and the models do not learn from it. Empty: the same data.

        Raises:
            ParamsError: The params do not belong to the space.
            ResultError: The result breaks the contracts of the metrics.
        """
        if not isinstance(data, str):
            raise SettingsError(f'add(data={data!r}): name the data by a text, such as hpo.fingerprint("train.csv")')

        def decide(study_state: StudyState, _: Log) -> list[Draft]:
            metrics = study_state.problem.metrics
            checked = on_data(checked_result(metrics, values, "the added result"), data, self.facts.get("data", ""))
            checked = compared(checked, metrics, study_state.trials)
            facts = {"note": note, "data": data} if data else {"note": note}
            return [opened(study_state, params, "added", {**checked.to_json(), **facts})]

        return said(self._log.trials_of(self._log.write(decide))[0])

    def accept(self, trial: Trial | int, *, reason: str) -> Trial:
        """Let a result that was set aside count as it is, among the answers and for the models.

        If the result is wrong, `tell` the right one with `replace=True` instead.

        Args:
            trial: The trial, or its number.
            reason: Why the result is right.

        Raises:
            TrialStateError: The trial has no result.
            SettingsError: There is no reason.
        """
        if not isinstance(reason, str) or not reason.strip():
            raise SettingsError('accept: why the result is right belongs into the log: accept(trial, reason="...")')
        return self._log.change(_number(trial), lambda _, current, __: accepted(current, reason))

    # -- answers --------------------------------------------------------------------------------------------------

    @property
    def history(self) -> History:
        """Everything known now, frozen."""
        return self._log.history()

    @property
    def trials(self) -> tuple[Trial, ...]:
        """All trials in order of number."""
        return self.history.trials

    @property
    def best(self) -> Trial:
        """The best feasible trial. Raises NoFeasibleTrial while there is none; see `closest`."""
        return self.history.best

    @property
    def recommended(self) -> Trial:
        """The trial to deploy when measurements are noisy: the best by the models' means, with every limit probably met.
        Without noise, `best` is what it says. Raises NoFeasibleTrial like `best`."""
        from hpo.bayes.recommend import recommended

        history = self.history
        return recommended(history) if history.best and self.problem.objectives else history.best

    def closest(self) -> Trial:
        """The trial that misses the limits by least."""
        return self.history.closest()

    @property
    def pareto_front(self) -> tuple[Trial, ...]:
        """The feasible trials that no other dominates."""
        return self.history.pareto_front

    def to_frame(self) -> pd.DataFrame:
        """One row a trial: number, state, `param.*`, `metric.*`, `ok.*`, seconds, role. Needs pandas."""
        try:
            import pandas as pd
        except ImportError as error:
            raise MissingExtra("to_frame needs pandas: pip install pandas. study.trials works without") from error
        return pd.DataFrame(self.history.records())

    # -- the record -----------------------------------------------------------------------------------------------

    def origin(self, trial: Trial) -> Mapping[str, Any]:
        """Where a trial was run: `facts` of the driver that had it, and its `command`; if none is known, those of the
        study's creation.

        Args:
            trial: The trial.
        """
        joined = [e.data for e in self.events() if e.kind == "joined" and e.data["owner"] == trial.owner]
        return joined[-1] if joined else {"owner": trial.owner, "command": [], "facts": self.facts}

    def edit_metric(self, metric: Metric, *, reason: str) -> Problem:
        """Change a metric's limits, range, unit, description or owner. The edit is logged.

        Feasibility is judged anew. A range counts for results to come.

        Args:
            metric: The whole metric as it is to become; its role and goal stay.
            reason: Why.

        Returns:
            The problem with its new limits.

        Raises:
            MetricError: The role or goal would change, the metric is invalid, or there is no reason.
            NotFound: There is no metric of this name.
        """
        if not isinstance(metric, Metric):
            raise MetricError(
                f"edit_metric({metric!r}): give the whole metric as it is to become: Constraint(name, upper=...)"
            )
        if not reason.strip():
            raise MetricError(f'metric {metric.name!r}: an edit needs a reason: edit_metric(..., reason="...")')

        def decide(study_state: StudyState, _: Log) -> list[Draft]:
            old = study_state.problem.metric(metric.name)
            if type(old) is not type(metric) or getattr(old, "goal", None) != getattr(metric, "goal", None):
                raise MetricError(
                    f"metric {metric.name!r}: its role and goal are what the trials were measured for and cannot change "
                    f"(stored {old!r}). Make a new study"
                )
            study_state.problem.with_metric(metric)
            return (
                [Draft("edited", None, {"metric": metric_to_json(metric), "reason": reason})] if old != metric else []
            )

        self._log.write(decide)
        return self.problem

    def note(self, text: str) -> None:
        """Keep a remark with the study. Nothing follows from it.

        Args:
            text: What was found, decided, or went wrong.
        """
        if not isinstance(text, str) or not text.strip():
            raise SettingsError(f"note({text!r}): a note needs a text")
        self._log.write(lambda *_: [Draft("noted", None, {"text": text})])

    def events(self) -> list[Event]:
        """The log: every step ever recorded, in order."""
        return self._log.events()

    def replay(self, *, trust: bool = False) -> Replay:
        """Derive every suggestion again from what its ask saw, and say where the first one differs.

        Args:
            trust: Whether every module may be imported that the log names, whoever wrote it. False: a strategy of your
                own is found if the study was opened with one of its kind.

        Returns:
            A `Replay`: `is_identical`, `n_checked`, `first_difference`, `stored`, `derived`.

        Raises:
            SettingsError: A strategy is not found.
        """
        strategy_of = partial(from_json, given=self._strategy, trust=trust)
        return replayed(self._log.first_problem, self.seed, self.events(), strategy_of)

    def __repr__(self) -> str:
        return f"<Study {self.name!r}: {summary(self.history)}>"

    def __reduce__(self) -> tuple[Callable[..., Study], tuple[str, object, str, Strategy | None]]:
        """Pickled and copied as its name and its storage's URL, and opened again there: the copy is the same study.
        Passwords of a URL are left out. Raises TypeError for a study in memory, which no other process can reach."""
        url = self._storage.url
        if url == ":memory:":
            raise TypeError(
                f"study {self.name!r} lives in the memory of this process, so it can be neither pickled nor copied. Keep "
                f'it in a file: open_study({self.name!r}, ..., storage="hpo.db"); or pass on study.history, a value'
            )
        return _reopened, (self.name, self.facts.get("id"), url, self._strategy)

    # -- inside ---------------------------------------------------------------------------------------------------

    def _step(self, trial: Trial | int, state: TrialState, kind: str, reason: str, seconds: float | None) -> Trial:
        number = _number(trial)

        def decide(_: Problem, current: Trial, __: Look) -> list[Draft]:
            if isinstance(trial, Trial) and trial.attempt != current.attempt:
                return took(current, trial.attempt, seconds)
            check_step(current, state)
            data = {"reason": reason, "seconds": checked_seconds(seconds)}
            may_run = seconds is None and current.state is TrialState.RUNNING and current.owner
            return [Draft(kind, number, {**data, "may_run": True} if may_run else data)]

        return self._log.change(number, decide)


def _reopened(name: str, id: object, url: str, strategy: Strategy | None) -> Study:
    """The study of this name and id. Raises StudyNotFound where it is gone."""
    storage = None if missing_file(url) else open_storage(url)
    record = storage.load(name) if storage else None
    if storage is None or record is None or record.facts.get("id") != id:
        raise StudyNotFound(f"the study {name!r} that was pickled is no longer in {url}; open another with open_study")
    return Study(record, storage, strategy)


def _check_kind(kind: object) -> None:
    if kind not in FAILURE_KINDS:
        hint = did_you_mean(str(kind), FAILURE_KINDS)
        raise SettingsError(f"failure kind {kind!r} is not one of {listing(FAILURE_KINDS)}.{hint}")


def _number(trial: Trial | int) -> int:
    if isinstance(trial, Trial):
        return trial.number
    number = whole(trial)
    if number is None:
        raise TrialNotFound(f"{trial!r} is no trial; give a trial, or its number as an int")
    return number

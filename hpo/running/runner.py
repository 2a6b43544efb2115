"""hpo.run: its arguments, its errors, and how it ends. The loop itself is in `run_loop`."""

from __future__ import annotations

import sys

from hpo.boundary.public import public
from hpo.errors import ExecutorError, ResultError, SettingsError
from hpo.executors import Executor, Inline
from hpo.running.budget import Budget
from hpo.running.display import Display, Show, display_of
from hpo.running.heartbeat import LEASE
from hpo.running.objective import Objective, check_objective
from hpo.running.outage import OUTAGE
from hpo.running.run_loop import RunLoop
from hpo.running.run_result import Run, interrupt
from hpo.running.trial_limits import NOTICE, TrialLimits
from hpo.study.study import Study
from hpo.trials.formatting import duration


@public
def run(
    study: Study,
    objective: Objective | None = None,
    *,
    budget: Budget,
    executor: Executor | None = None,
    timeout: float | None = None,
    memory: int | None = None,
    cpus: float | None = None,
    gpus: int = 0,
    lease: float = LEASE,
    notice: float = NOTICE,
    idle: float | None = None,
    outage: float | str = OUTAGE,
    progress: bool | Show | Display | None = None,
) -> Run:
    """Run trials of `study` until `budget` is spent.

    Several runs, on several machines, may share a study. Trials that a killed run left running are run again: those of
    this machine at once, those of another when their lease is over.

    A first Ctrl-C starts nothing more and lets the running trials finish. A second cancels them. A third does not wait
    for them to clean up. The run then raises KeyboardInterrupt, whose attribute `run` is what would have been returned.
    On an executor whose tasks outlive their driver, a first Ctrl-C or SIGTERM leaves them running, and the next run
    takes them back.

    Args:
        study: The study.
        objective: Called with each trial. It returns a mapping of metric name to number or `Measurement`, or one of
            these alone where the problem requires one metric. It may raise `TrialFailed` to say why there is no result.
            Any other exception is a failure of kind error; NaN and infinity are one of kind diverged. None: the
            executor runs a command.
        budget: When to stop.
        executor: Where trials run. None: one after another in this thread.
        timeout: Seconds that a trial may take. Needs an executor that runs trials in processes of their own.
        memory: Bytes that a trial may use. Needs such an executor too.
        cpus: CPUs for each trial, for executors that assign them.
        gpus: GPUs for each trial, for executors that assign them.
        lease: Seconds without a sign of life after which another run may take over the trials of this one.
        notice: Seconds that running trials have after SIGTERM, which a preempted machine sends. Then they are ended and
            handed back, to be run again.
        idle: Seconds to wait with nothing to run while other drivers hold trials that they may hand back. None: one
            lease.
        outage: Seconds, or text like "2h", for which the run goes on while the storage does not answer. Trials go on,
            and their results are kept until they can be stored; nothing new is started. For so long it also tries to
            start trials that a scheduler refuses, if others ran before.
        progress: None shows a line on a terminal and in a notebook, and elsewhere a line for each trial that ends, on
            standard error. False shows nothing. A function is called instead, in this thread, with each step.

    Returns:
        How the run ended; the fields of `Run` are below.

    Raises:
        ResultError: A result breaks the contracts of the metrics. The trials in flight have ended by then.
        ExecutorError: A trial failed by a bug of the program (a NameError, a missing command) before any had a result;
            the first ten trials all failed; or machines lost twelve trials in a row over ten minutes, which wait to be
            run again.
        StorageError: The storage did not answer for longer than `outage`. The message names a file with the results
            that could not be stored.
        SettingsError: An argument is invalid, or the executor cannot enforce the budget.

    Example:
        >>> import hpo
        >>> problem = hpo.Problem(hpo.Space({"x": (0.0, 1.0)}), [hpo.Objective("y")])
        >>> study = hpo.open_study("parabola", problem, storage=":memory:", seed=1)
        >>> ended = hpo.run(study, lambda trial: -trial.params["x"] ** 2, budget=hpo.Budget(trials=8), progress=False)
        >>> ended.completed, ended.failed
        (8, 0)
    """
    if not isinstance(study, Study):
        raise SettingsError(
            f"run: the first argument is a study, as open_study makes it, and is a {type(study).__name__} here. Write "
            "hpo.run(study, objective, ...)"
        )
    if not isinstance(budget, Budget):
        trials = budget if isinstance(budget, int) else 60
        raise SettingsError(f"run(budget={budget!r}): give a Budget, such as hpo.Budget(trials={trials})")
    patience = lease if idle is None else idle
    limits = TrialLimits(
        timeout=timeout, memory=memory, cpus=cpus, gpus=gpus, lease=lease, notice=notice, idle=patience, outage=outage
    )
    executor = executor or Inline()
    _check(objective, executor)
    budget = budget.priced(cpus, gpus)
    with display_of(progress, budget, sys.stderr) as display:
        loop = RunLoop(study, objective, budget, limits, display)
        try:
            ended = loop.run(executor)
        except (KeyboardInterrupt, ResultError, ExecutorError) as stop:
            raise stop.with_traceback(None)  # noqa: B904 - the same one, without the frames in between
        if not loop.interrupts.count:
            display.end(f"ended after {duration(ended.seconds)}: {ended.reason}")
    if loop.interrupts.count:
        raise interrupt(study, ended, loop.announcer.shown())
    return ended


def _check(objective: Objective | None, executor: object) -> None:
    """Raise SettingsError where the executor or the objective is none."""
    if isinstance(executor, type) or not callable(getattr(executor, "start", None)):
        raise SettingsError(f"run(executor={executor!r}): give an executor, such as hpo.executors.Processes(4)")
    if objective is not None:
        check_objective(objective)
    elif not getattr(executor, "command", None):
        raise SettingsError(f"run: no objective; {executor!r} calls one: run(study, objective, ...)")

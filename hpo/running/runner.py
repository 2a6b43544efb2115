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
    """Run trials of `study` on `executor` (in this thread by default) until `budget` is spent.

    objective: called with each trial; None for executors that run a command. It may raise TrialFailed(kind) to say
        why there is no result; any other exception is a failure of kind error; NaN or infinity, of kind diverged.
    timeout, memory: seconds and bytes per trial; need an isolated executor.
    cpus, gpus: per trial, for executors that deal them out.
    lease: seconds after which another driver may take over the trials of this one, when it is not heard of any more.
    notice: seconds that running trials have after SIGTERM, which a preempted machine sends; then they are ended and
        handed back, to be run again.
    idle: seconds to wait with nothing to run while other drivers hold trials that they may hand back; by default one
        lease.
    outage: seconds, or text like "2h", for which the run goes on while the storage does not answer: what runs goes on, what
        has ended is kept until it can be stored, nothing is started. For so long it also tries trials that never start
        (a scheduler that refuses them), where others ran before.
    progress: by default a line that is kept up to date on a terminal (standard error) and in a notebook, elsewhere a plain
        line on standard error for each trial that ends; False for nothing. A function is called in this thread with each
        trial that ends and with each message, and nothing else is shown.

    A first Ctrl-C asks for nothing more and lets running trials end; a second cancels them, and a third does not wait for
    them to clean up. Either way no trial is left running, and the run raises KeyboardInterrupt when it is over; its
    attribute `run` is the Run. Where trials outlive their driver, the first Ctrl-C and SIGTERM leave them, and the next
    run takes them back. Trials that a killed run left running are run again: those of this machine first of all, those of
    another when their lease is over. Several runs, on several machines, may share a study.

    Raises ResultError when a result breaks the metrics' contracts, after the trials in flight have ended; ExecutorError
    when a trial fails by a bug of the program (a NameError, a command that does not exist) and none has a result yet, and
    when the first ten trials all fail, and when machines lose all that they are given, twelve trials in a row and for ten
    minutes; those wait then, to be run again. StorageError when the storage does not answer for longer than `outage`;
    results that it did not take are in a file that the message names. SettingsError when the executor cannot enforce
    the budget.
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

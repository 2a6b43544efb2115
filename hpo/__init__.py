"""Joint Bayesian hyperparameter optimization under several metrics, thresholds and constraints.

    import hpo

    problem = hpo.Problem(
        hpo.Space({"lr": hpo.Float(1e-5, 1e-1, log=True), "layers": hpo.Int(1, 4)}),
        [hpo.Objective("accuracy"), hpo.Constraint("latency_ms", upper=5.0, unit="ms")],
    )
    study = hpo.open_study("digits", problem)
    hpo.run(study, train, budget=hpo.Budget(trials=40))

Names are loaded when they are first used: importing this package imports nothing heavy.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hpo import errors as errors
    from hpo import executors as executors
    from hpo import report as report
    from hpo import storage as storage
    from hpo import strategies as strategies
    from hpo import testing as testing
    from hpo.errors import HpoError as HpoError
    from hpo.errors import NoFeasibleTrial as NoFeasibleTrial
    from hpo.errors import SpaceExhausted as SpaceExhausted
    from hpo.errors import TrialFailed as TrialFailed
    from hpo.problem.measurement import Measurement as Measurement
    from hpo.problem.metrics import Constraint as Constraint
    from hpo.problem.metrics import Objective as Objective
    from hpo.problem.metrics import Tracked as Tracked
    from hpo.problem.parameters import Categorical as Categorical
    from hpo.problem.parameters import Float as Float
    from hpo.problem.parameters import Int as Int
    from hpo.problem.problem import Problem as Problem
    from hpo.problem.space import Space as Space
    from hpo.running.budget import Budget as Budget
    from hpo.running.one_call import maximize as maximize
    from hpo.running.one_call import minimize as minimize
    from hpo.running.runner import run as run
    from hpo.running.simulate import simulate as simulate
    from hpo.study.manage import back_up as back_up
    from hpo.study.manage import copy_study as copy_study
    from hpo.study.manage import delete_study as delete_study
    from hpo.study.manage import rename_study as rename_study
    from hpo.study.open_study import open_study as open_study
    from hpo.study.provenance import fingerprint as fingerprint
    from hpo.study.study import Study as Study
    from hpo.trials.history import History as History
    from hpo.trials.trial import Trial as Trial
    from hpo.trials.trial import TrialState as TrialState

__version__ = "0.1.0"

_HOME = {
    "Budget": "running.budget",
    "Categorical": "problem.parameters",
    "Constraint": "problem.metrics",
    "Float": "problem.parameters",
    "History": "trials.history",
    "HpoError": "errors",
    "Int": "problem.parameters",
    "Measurement": "problem.measurement",
    "NoFeasibleTrial": "errors",
    "Objective": "problem.metrics",
    "Problem": "problem.problem",
    "Space": "problem.space",
    "SpaceExhausted": "errors",
    "Study": "study.study",
    "Tracked": "problem.metrics",
    "Trial": "trials.trial",
    "TrialFailed": "errors",
    "TrialState": "trials.trial",
    "back_up": "study.manage",
    "copy_study": "study.manage",
    "delete_study": "study.manage",
    "fingerprint": "study.provenance",
    "maximize": "running.one_call",
    "minimize": "running.one_call",
    "open_study": "study.open_study",
    "rename_study": "study.manage",
    "run": "running.runner",
    "simulate": "running.simulate",
}
_ROOMS = ("errors", "executors", "report", "storage", "strategies", "testing")

__all__ = [*_HOME, *_ROOMS, "__version__"]  # noqa: PLE0604


if not TYPE_CHECKING:  # which would take any name then

    def __getattr__(name: str) -> Any:
        if name in _ROOMS:
            return importlib.import_module(f"hpo.{name}")
        if name not in _HOME:
            from hpo.boundary.public import no_name

            try:
                raise no_name(__name__, name, sys._getframe(1))
            except (AttributeError, ImportError) as error:
                error.__traceback__ = None  # it ends at the line of the user
                raise
        value = getattr(importlib.import_module(f"hpo.{_HOME[name]}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted(__all__)

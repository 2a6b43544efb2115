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
    from hpo.budget import Budget as Budget
    from hpo.capacity import simulate as simulate
    from hpo.errors import HpoError as HpoError
    from hpo.errors import NoFeasibleTrial as NoFeasibleTrial
    from hpo.errors import SpaceExhausted as SpaceExhausted
    from hpo.errors import TrialFailed as TrialFailed
    from hpo.history import History as History
    from hpo.measurement import Measurement as Measurement
    from hpo.metrics import Constraint as Constraint
    from hpo.metrics import Objective as Objective
    from hpo.metrics import Tracked as Tracked
    from hpo.one_call import maximize as maximize
    from hpo.one_call import minimize as minimize
    from hpo.opening import open_study as open_study
    from hpo.parameters import Categorical as Categorical
    from hpo.parameters import Float as Float
    from hpo.parameters import Int as Int
    from hpo.problem import Problem as Problem
    from hpo.provenance import fingerprint as fingerprint
    from hpo.runner import run as run
    from hpo.space import Space as Space
    from hpo.studies import back_up as back_up
    from hpo.studies import copy_study as copy_study
    from hpo.studies import delete_study as delete_study
    from hpo.studies import rename_study as rename_study
    from hpo.study import Study as Study
    from hpo.trial import Trial as Trial
    from hpo.trial import TrialState as TrialState

__version__ = "0.1.0"

_HOME = {
    "Budget": "budget",
    "Categorical": "parameters",
    "Constraint": "metrics",
    "Float": "parameters",
    "History": "history",
    "HpoError": "errors",
    "Int": "parameters",
    "Measurement": "measurement",
    "NoFeasibleTrial": "errors",
    "Objective": "metrics",
    "Problem": "problem",
    "Space": "space",
    "SpaceExhausted": "errors",
    "Study": "study",
    "Tracked": "metrics",
    "Trial": "trial",
    "TrialFailed": "errors",
    "TrialState": "trial",
    "back_up": "studies",
    "copy_study": "studies",
    "delete_study": "studies",
    "fingerprint": "provenance",
    "maximize": "one_call",
    "minimize": "one_call",
    "open_study": "opening",
    "rename_study": "studies",
    "run": "runner",
    "simulate": "capacity",
}
_ROOMS = ("errors", "executors", "report", "storage", "strategies", "testing")

__all__ = [*_HOME, *_ROOMS, "__version__"]  # noqa: PLE0604


if not TYPE_CHECKING:  # which would take any name then

    def __getattr__(name: str) -> Any:
        if name in _ROOMS:
            return importlib.import_module(f"hpo.{name}")
        if name not in _HOME:
            from hpo.boundary import no_name

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

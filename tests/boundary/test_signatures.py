"""Calls that do not fit a signature: what they say, to the letter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import hpo
from hpo import executors, strategies

PROBLEM = hpo.Problem(hpo.Space({"x": hpo.Float(0.0, 1.0)}), [hpo.Objective("y")])
STUDY = hpo.open_study("s", PROBLEM, storage=":memory:", seed=0)
RUN = "Write hpo.run(study, objective, budget=hpo.Budget(trials=20))"
FLOAT = "Write hpo.Float(0.0, 1.0), or hpo.Float(1e-5, 1e-1, log=True)"
CONSTRAINT = 'Write hpo.Constraint("latency_ms", upper=5.0, unit="ms")'
TELL = 'Write study.tell(trial, {"accuracy": 0.93})'
METRICS = 'Write metrics=[hpo.Objective("accuracy"), hpo.Constraint("latency_ms", upper=5.0)]'

SAID: list[tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any], str]] = [
    (hpo.run, (STUDY,), {"n_trials": 50}, "an unexpected keyword argument 'n_trials'. Write budget=hpo.Budget(trials=50)"),
    (
        hpo.run,
        (STUDY,),
        {"n_trials": 50, "n_jobs": 4},
        "unexpected keyword arguments 'n_trials', 'n_jobs'. Write budget=hpo.Budget(trials=50). Write "
        "executor=hpo.executors.Processes(4)",
    ),
    (hpo.run, (STUDY,), {"gpu": 1}, "an unexpected keyword argument 'gpu'. Did you mean 'gpus'?"),
    (hpo.run, (STUDY,), {}, f"missing 1 required keyword-only argument: 'budget'. {RUN}"),
    (hpo.run, (STUDY, len, 20), {}, f"takes only study, objective without a name. {RUN}"),
    (hpo.Budget, (60,), {}, 'takes nothing without a name. Write hpo.Budget(trials=60), or hpo.Budget(wall="2h")'),
    (hpo.Budget, (), {"n_trials": 60}, "an unexpected keyword argument 'n_trials'. Write trials=60"),
    (hpo.Float, (1, 2, "log"), {}, f"takes only low, high without a name. {FLOAT}"),
    (hpo.Float, (), {"log": True}, f"missing 2 required positional arguments: 'low' and 'high'. {FLOAT}"),
    (hpo.Float, (0, 1), {"q": 0.1}, "an unexpected keyword argument 'q'. Write step=0.1"),
    (hpo.Int, (1, 8), {"q": 2}, "an unexpected keyword argument 'q'. Write step=2"),
    (hpo.Objective, (), {"direction": "maximize"}, "an unexpected keyword argument 'direction'. Write goal='maximize'"),
    (hpo.Constraint, ("x",), {"max": 5}, "an unexpected keyword argument 'max'. Write upper=5"),
    (hpo.Constraint, ("x", "<= 5"), {}, f"takes only name without a name. {CONSTRAINT}"),
    (hpo.Problem, (PROBLEM.space,), {"objectives": []}, f"an unexpected keyword argument 'objectives'. {METRICS}"),
    (STUDY.ask, (), {"n_points": 4}, "an unexpected keyword argument 'n_points'. Write study.ask(4)"),
    (STUDY.tell, (0.9,), {}, "missing 1 required positional argument: 'values'. " + TELL),
    (
        STUDY.tell,
        (0,),
        {"accuracy": 0.9},
        "an unexpected keyword argument 'accuracy'. It takes trial, values, replace, reason, seconds. "
        + TELL,
    ),
    (STUDY.leases.claim, (1,), {}, "missing 1 required positional argument: 'owner'"),
    (STUDY.events, (1,), {}, "takes no arguments"),
    (STUDY.events, (), {"last": 1}, "an unexpected keyword argument 'last'. It takes no arguments"),
    (STUDY.leases.reclaim, (), {"x": 1}, "an unexpected keyword argument 'x'. It takes dead, living"),
    (strategies.Random, (), {"seed": 1}, "an unexpected keyword argument 'seed'. The seed belongs to the study: "
     "hpo.open_study(..., seed=1)"),
    (executors.Processes, (), {"n_jobs": 4}, "an unexpected keyword argument 'n_jobs'. Write slots=4"),
    (hpo.open_study, ("s",), {"direction": "x" * 99}, "an unexpected keyword argument 'direction'. The goal belongs to the "
     'metric: hpo.Objective("accuracy", goal=...)'),
]  # fmt: skip


@pytest.mark.parametrize(("function", "args", "kwargs", "said"), SAID)
def test_a_call_that_does_not_fit_says_what_to_write(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], said: str
) -> None:
    with pytest.raises(TypeError) as caught:
        function(*args, **kwargs)
    name = function.__qualname__
    verb = "" if said.startswith(("takes", "missing")) else "got "
    assert str(caught.value) == f"{name}() {verb}{said}"

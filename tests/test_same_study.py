"""One definition of a study, on every executor: nothing in it says where it runs.

Slurm and Ray take part where `.ci/run` has them: in `tests/servers/slurm.sh run`, and with HPO_TEST_RAY in a namespace.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import hpo
from hpo.executors import Dask, Executor, Futures, Inline, Processes, Ray, Slurm, Threads
from hpo.strategies import Sobol
from hpo.trials.trial import TrialState
from tests.servers import slurm

TRIALS = 10


def train(trial: hpo.Trial) -> Mapping[str, Any]:
    """Fails on a tenth of the space, and measures two things elsewhere."""
    x, kind = trial.params["x"], trial.params["kind"]
    if x > 0.9:
        raise hpo.TrialFailed("diverged", f"x = {x:.3f}")
    return {"y": hpo.Measurement(x * (1.0 - x) + (kind == "b"), sem=0.01), "size": 10.0 * x}


def define(where: Path) -> hpo.Study:
    space = hpo.Space({"x": hpo.Float(0.0, 1.0), "kind": hpo.Categorical(["a", "b"])})
    problem = hpo.Problem(space, [hpo.Objective("y"), hpo.Constraint("size", upper=8.0)])
    return hpo.open_study("same", problem, storage=where, seed=5, strategy=Sobol())


@contextmanager
def on_slurm(folder: Path) -> Iterator[Executor]:
    with slurm.cluster():
        yield Slurm(folder / "shared", 2)


def plain(executor: Executor) -> Callable[[Path], Any]:
    @contextmanager
    def given(_: Path) -> Iterator[Executor]:
        yield executor

    return given


def pools() -> Futures:
    from concurrent.futures import ProcessPoolExecutor

    return Futures(lambda: ProcessPoolExecutor(2), slots=2)


needs_slurm = pytest.mark.skipif(not os.environ.get("HPO_TEST_SLURM"), reason="HPO_TEST_SLURM is not set")
needs_ray = pytest.mark.skipif(not os.environ.get("HPO_TEST_RAY"), reason="HPO_TEST_RAY is not set")


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(plain(Inline()), id="inline"),
        pytest.param(plain(Threads(2)), id="threads"),
        pytest.param(plain(Processes(2)), id="processes"),
        pytest.param(plain(pools()), id="futures"),
        pytest.param(plain(Dask(slots=2)), id="dask"),
        pytest.param(plain(Ray(slots=2)), id="ray", marks=needs_ray),
        pytest.param(on_slurm, id="slurm", marks=needs_slurm),
    ],
)
def test_the_same_study_runs_unchanged(given: Callable[[Path], Any], tmp_path: Path) -> None:
    study, alone = define(tmp_path / "hpo.db"), define(tmp_path / "alone.db")
    hpo.run(alone, train, budget=hpo.Budget(trials=TRIALS))
    with given(tmp_path) as executor:
        ended = hpo.run(study, train, budget=hpo.Budget(trials=TRIALS), executor=executor)
    assert ended.reason == f"{TRIALS} trials, the budget, have been run"
    assert (ended.stopped, ended.left) == ((), ())
    told = [(t.params, t.values, t.kind, t.message) for t in study.trials]
    assert told == [(t.params, t.values, t.kind, t.message) for t in alone.trials]
    assert {t.state for t in study.trials} == {TrialState.COMPLETED, TrialState.FAILED}
    assert study.best.params == alone.best.params
    assert study.replay().is_identical

"""Forks of a process whose threads ask and tell: no child hangs, and nothing is lost or doubled."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import hpo
from hpo.errors import StorageError
from hpo.storage import SqlStorage
from hpo.strategies import Random
from hpo.trials.trial import TrialState

FORKS = 20
THREADS = 6
SERVER = os.environ.get("HPO_TEST_PG", "")
PROBLEM = hpo.Problem(hpo.Space({"x": hpo.Float(0.0, 1.0)}), [hpo.Objective("y")])

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


@pytest.fixture(params=["sqlite", "postgresql"])
def study(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[hpo.Study]:
    if request.param == "postgresql" and not SERVER:
        pytest.skip("HPO_TEST_PG names no PostgreSQL server")
    name = f"forked-{tmp_path.name}-{os.getpid()}"
    with closing(SqlStorage(SERVER if request.param == "postgresql" else tmp_path / "hpo.db")) as storage:
        yield hpo.open_study(name, PROBLEM, storage=storage, seed=1, strategy=Random())


def child(study: hpo.Study) -> int:
    """Forked, it asks and tells once. Gives its exit code: 0, or 7 where it was refused."""
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    code = 1
    try:
        signal.alarm(60)
        study.tell(study.ask(), {"y": -1.0})
        code = 0
    except StorageError as error:
        code = 7 if "forked while" in str(error) else 1
    finally:
        os._exit(code)


def test_forks_while_many_threads_use_the_study(study: hpo.Study) -> None:
    done, told, errors = threading.Event(), Counter[int](), list[BaseException]()

    def task() -> None:
        try:
            while not done.is_set():
                trial = study.ask()
                study.tell(trial, {"y": float(trial.number)})
                told[trial.number] += 1
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=task) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    try:
        codes = Counter(child(study) for _ in range(FORKS))
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert errors == []
    assert set(codes) <= {0, 7}
    assert child(study) == 0, "now nothing is in use"
    trials = study.trials
    assert [trial.number for trial in trials] == list(range(len(trials)))
    assert set(told.values()) == {1}
    assert all(trials[number].values["y"].value == number for number in told)
    of_children = [trial for trial in trials if trial.values and trial.values["y"].value == -1.0]
    assert len(of_children) == codes[0] + 1
    assert all(trial.state in (TrialState.COMPLETED, TrialState.RUNNING) for trial in trials)
    counted = Counter(event.number for event in study.events() if event.kind == "told")
    assert set(counted.values()) == {1}

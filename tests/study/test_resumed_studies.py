"""Studies that are opened again, beside others, far behind the log, or from a pickle."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

import hpo
from hpo import errors
from hpo.strategies import Random
from tests.study.studies import GOOD, problem, study


def test_resuming(tmp_path: Path) -> None:
    file = tmp_path / "hpo.db"
    s = hpo.open_study("mnist", problem(), storage=file, seed=5, author="ada", reason="faster serving")
    s.tell(s.ask(), GOOD)
    again = hpo.open_study("mnist", storage=file)
    assert (again.seed, len(again.trials), again.problem) == (5, 1, problem())
    assert (again.facts["author"], again.facts["reason"]) == ("ada", "faster serving")
    assert again.problem.hash == problem().hash
    with pytest.raises(errors.DefinitionChanged) as info:
        hpo.open_study("mnist", problem(goal="minimize", latency=12.0), storage=file)
    sent = pickle.loads(pickle.dumps(info.value))
    assert (str(sent), sent.differences) == (str(info.value), info.value.differences)
    assert info.value.differences == (
        "accuracy.goal: stored maximize, given minimize",
        "latency_ms.upper: stored 15.0, given 12.0",
    )
    assert str(info.value).startswith(
        "study 'mnist' is stored with another definition: accuracy.goal: stored maximize,"
    )
    with pytest.raises(errors.DefinitionChanged, match="seed: stored 5, given 6"):
        hpo.open_study("mnist", problem(), storage=file, seed=6)
    with pytest.raises(errors.StudyNotFound, match=r"Did you mean 'mnist'\? It has: mnist$"):
        hpo.open_study("mnst", storage=file)


def test_two_studies_of_one_storage_share_nothing_and_two_objects_of_one_study_everything(tmp_path: Path) -> None:
    file = tmp_path / "hpo.db"
    a, b = (hpo.open_study("one", problem(), storage=file, seed=1) for _ in range(2))
    other = hpo.open_study("two", problem(), storage=file, seed=1)
    trials = [x.ask() for x in (a, b, a, b)]
    assert [t.number for t in trials] == [0, 1, 2, 3]
    assert len({tuple(t.params.values()) for t in trials}) == 4
    b.tell(trials[0], GOOD)
    assert a.trials[0].state is hpo.TrialState.COMPLETED
    assert other.trials == ()


def test_a_study_far_behind_the_log_decides_as_one_that_has_read_it(tmp_path: Path) -> None:
    s = hpo.open_study("s", problem(), storage=tmp_path / "hpo.db", seed=1, strategy=Random())
    opened = [hpo.open_study("s", storage=tmp_path / "hpo.db") for _ in range(9)]
    trials = s.ask(30, owner="a")
    s.edit_metric(hpo.Constraint("latency_ms", upper=5.0, unit="ms"), reason="a newer phone")
    told = s.tell(trials[0], GOOD)
    again = s.requeue(trials[1])

    assert opened[0].tell(trials[0], GOOD) == told, "the same again changes nothing"
    with pytest.raises(errors.ResultConflict, match=r"already has accuracy=0\.9"):
        opened[0].tell(0, {**GOOD, "accuracy": 0.8})
    late = opened[1].tell(trials[1], GOOD)
    assert (late.state, late.attempt, again.attempt) == (hpo.TrialState.COMPLETED, 1, 2)
    assert opened[2].fail(trials[2], "oom", "full").kind == "oom"
    assert opened[3].fail(trials[3], "infra").state is hpo.TrialState.WAITING
    assert opened[3].fail(trials[3], "infra").attempt == 2, "of an attempt that is over"
    assert opened[4].cancel(4, "enough").state is hpo.TrialState.CANCELLED
    with pytest.raises(errors.TrialStateError):
        opened[4].cancel(0)
    assert opened[5].tell(5, {**GOOD, "accuracy": 0.7}, seconds=2.0).seconds == 2.0
    corrected = opened[5].tell(5, {**GOOD, "accuracy": 0.6}, replace=True, reason="typing error")
    assert corrected.values["accuracy"].value == 0.6
    with pytest.raises(errors.TrialNotFound, match="the study has 0-29"):
        opened[6].cancel(30)
    with pytest.raises(errors.MissingMetric):
        opened[7].tell(7, {"accuracy": 0.9})
    assert all(each.trials == s.trials for each in opened)
    assert s.trials[1] == late
    assert s.trials[5] == corrected
    assert opened[8].problem.metric("latency_ms") == hpo.Constraint("latency_ms", upper=5.0, unit="ms")


def test_a_copy_of_a_study_is_the_same_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    s = hpo.open_study("s", problem(), storage="h.db", seed=1, strategy=Random())
    other = hpo.open_study("s", storage="h.db", strategy=hpo.strategies.Sobol())
    s.ask()
    monkeypatch.chdir("/")
    for again in (pickle.loads(pickle.dumps(s)), copy.copy(s), copy.deepcopy(s)):
        n = len(s.trials)
        assert (again.name, again.seed, again.trials) == (s.name, s.seed, s.trials)
        assert again.ask().number == n
        assert len(s.trials) == n + 1
    assert pickle.loads(pickle.dumps(other)).ask().why == other.ask().why, "the strategy it was opened with goes along"
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert pool.submit(asked_there, s).result() == len(s.trials) - 1


def asked_there(s: hpo.Study) -> int:
    """The number of a trial asked for in another process."""
    return s.ask().number


def test_a_study_in_memory_can_be_neither_pickled_nor_copied() -> None:
    s = study()
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(
            TypeError, match=r"^study 'mnist' lives in the memory of this process.* storage=\"hpo\.db\""
        ):
            attempt(s)
    assert pickle.loads(pickle.dumps(s.history)).problem == s.problem


def test_a_pickled_study_that_is_gone_is_not_another_of_its_name(tmp_path: Path) -> None:
    s = hpo.open_study("s", problem(), storage=tmp_path / "h.db", seed=1)
    pickled = pickle.dumps(s)
    s.storage.close()
    (tmp_path / "h.db").unlink()
    with pytest.raises(errors.StudyNotFound, match="the study 's' that was pickled is no longer in"):
        pickle.loads(pickled)
    assert list(tmp_path.iterdir()) == []
    hpo.open_study("s", problem(), storage=tmp_path / "h.db", seed=1)
    with pytest.raises(errors.StudyNotFound):
        pickle.loads(pickled)

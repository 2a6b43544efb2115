"""Claims of one driver, and the tasks that it makes of its trials."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

import hpo
from hpo.errors import ConnectionLost, SpaceExhausted
from hpo.executors import Task
from hpo.running.starting import Starter
from hpo.running.trial_limits import TrialLimits
from hpo.storage import MemoryStorage
from hpo.storage.base import Log
from hpo.storage.retry import patient
from hpo.strategies import Random

LIMITS = TrialLimits(timeout=5.0, memory=1 << 30, cpus=2.0, gpus=1)


class Deaf(MemoryStorage):
    """Of the next `n_lost` transactions what is written is stored, and the answer gets lost."""

    n_lost = 0

    @contextmanager
    def transaction(self, study: int) -> Iterator[Log]:
        """As ever, until the end."""
        with super().transaction(study) as log:
            yield log
        if self.n_lost:
            self.n_lost -= 1
            raise ConnectionLost("the answer got lost")


def opened(space: hpo.Space | None = None, storage: MemoryStorage | None = None) -> hpo.Study:
    problem = hpo.Problem(space or hpo.Space({"x": hpo.Float(0, 1)}), [hpo.Objective("y")])
    return hpo.open_study("s", problem, storage=storage or MemoryStorage(), seed=1, strategy=Random())


def starter(study: hpo.Study, *, is_command: bool = False) -> Starter:
    return Starter(study, "me", LIMITS, is_command=is_command)


def test_a_task_of_an_objective_carries_the_trial() -> None:
    study = opened()
    (trial,) = starter(study).claimed(1, lambda _: 9, ())
    payload = {"number": 0, "params": dict(trial.params), "seed": trial.seed, "attempt": 1, "why": dict(trial.why)}
    assert starter(study).task(trial) == Task(
        id="s-0-1", payload=payload, timeout=5.0, memory=1 << 30, cpus=2.0, gpus=1, env={}
    )


def test_a_task_of_a_command_has_params_and_two_variables() -> None:
    study = opened()
    (trial,) = starter(study).claimed(1, lambda _: 9, ())
    task = starter(study, is_command=True).task(trial)
    assert task.payload == dict(trial.params)
    assert task.env == {"HPO_TRIAL": "0", "HPO_SEED": str(trial.seed)}


def test_the_time_that_a_budget_pays_for_takes_the_place_of_the_timeout() -> None:
    study = opened()
    it = starter(study)
    it.timeout = 2.0
    assert it.task(it.claimed(1, lambda _: 9, ())[0]).timeout == 2.0


def test_ids_tell_attempts_apart() -> None:
    study = opened()
    it = starter(study)
    (first,) = it.claimed(1, lambda _: 9, ())
    study.requeue(first)
    (second,) = it.claimed(1, lambda _: 9, ())
    assert [it.id(first), it.id(second)] == ["s-0-1", "s-0-2"]


def test_what_is_claimed_is_held_and_no_more_than_there_is_room_for() -> None:
    study = opened()
    trials = starter(study).claimed(3, lambda history: 2 - len(history.trials), ())
    assert [(trial.number, trial.owner) for trial in trials] == [(0, "me"), (1, "me")]
    assert study.leases.held() == {0, 1}


def test_suspects_are_left_while_there_are_others_and_room_is_kept_for_them() -> None:
    study = opened()
    suspect = study.enqueue({"x": 0.5})
    asked: list[float] = []

    def room(history: hpo.History) -> float:
        asked.append(3 - history.n_started)
        return asked[-1]

    assert [trial.number for trial in starter(study).claimed(9, room, {suspect.number})] == [1, 2]
    assert asked == [3], "one claim was enough"


def test_where_there_are_no_others_a_suspect_is_claimed() -> None:
    study = opened()
    suspect = study.enqueue({"x": 0.5})
    assert [trial.number for trial in starter(study).claimed(1, lambda _: 1, {suspect.number})] == [suspect.number]


def test_nor_are_there_others_in_a_space_that_is_used_up() -> None:
    study = opened(hpo.Space({"n": hpo.Int(1, 2)}))
    study.add({"n": 2}, {"y": 1.0})
    suspect = study.enqueue({"n": 1})
    it = starter(study)
    assert [trial.number for trial in it.claimed(1, lambda _: 9, {suspect.number})] == [suspect.number]
    with pytest.raises(SpaceExhausted):
        it.claimed(1, lambda _: 9, ())


def test_what_was_claimed_when_the_answer_got_lost_comes_with_the_next_call() -> None:
    storage = Deaf()
    study = opened(storage=storage)
    it = starter(study)
    storage.n_lost = 1
    with patient(0.0), pytest.raises(ConnectionLost):
        it.claimed(2, lambda _: 9, ())
    assert len(study.trials) == 2
    assert [trial.number for trial in it.claimed(2, lambda _: 9, ())] == [0, 1]
    assert [trial.number for trial in it.claimed(2, lambda _: 9, ())] == [2, 3], "and then others"


def test_of_those_what_another_holds_by_now_or_has_ended_is_left() -> None:
    storage = Deaf()
    study = opened(storage=storage)
    it = starter(study)
    storage.n_lost = 1
    with patient(0.0), pytest.raises(ConnectionLost):
        it.claimed(3, lambda _: 9, ())
    study.requeue(0)
    study.leases.claim(1, "another", lease=60.0)
    study.tell(1, {"y": 1.0})
    assert [trial.number for trial in it.claimed(3, lambda _: 9, ())] == [2]

"""What a told result becomes, decided without a storage; and several results in one step."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import hpo
from hpo.errors import ResultConflict, ResultError, TrialNotFound
from hpo.storage import SqlStorage
from hpo.strategies import Random
from hpo.study.telling import telling
from hpo.trials.trial import Trial, TrialState

PROBLEM = hpo.Problem(hpo.Space({"x": hpo.Float(0.0, 1.0)}), [hpo.Objective("y", range=(0.0, 9.0))])
RUNNING = Trial(number=3, seed=1, params={"x": 0.5}, state=TrialState.RUNNING, attempt=2)


def test_by_default_it_is_the_present_attempt() -> None:
    (draft,) = telling(3, {"y": 1.0}, seconds=2.0)(PROBLEM, RUNNING, lambda _: [])
    assert (draft.kind, draft.number, draft.data["attempt"], draft.data["seconds"]) == ("told", 3, 2, 2.0)


def test_an_earlier_attempt_may_bring_it() -> None:
    (draft,) = telling(3, {"y": 1.0}, 1)(PROBLEM, RUNNING, lambda _: [])
    assert draft.data["attempt"] == 1


def test_others_are_read_only_where_a_leap_is_possible() -> None:
    looks: list[bool] = []
    unbounded = hpo.Problem(PROBLEM.space, [hpo.Objective("y")])

    def look(is_all_read: bool) -> list[Trial]:
        looks.append(is_all_read)
        return []

    telling(3, {"y": 1.0})(PROBLEM, RUNNING, look)
    assert looks == [False]
    telling(3, {"y": 1.0})(unbounded, RUNNING, look)
    assert looks == [False, False, True]


def test_a_result_is_replaced_where_there_is_one() -> None:
    done = replace(RUNNING, state=TrialState.COMPLETED, values={"y": hpo.Measurement(1.0)})
    decide = telling(3, {"y": 2.0}, replace=True, reason="typing error")
    (draft,) = decide(PROBLEM, done, lambda _: [])
    assert (draft.kind, draft.data["reason"]) == ("corrected", "typing error")
    assert decide(PROBLEM, RUNNING, lambda _: [])[0].kind == "told"


def test_several_results_at_once(tmp_path: Path) -> None:
    """Each with its own answer; what cannot be told stops no other."""
    with closing(SqlStorage(tmp_path / "hpo.db")) as storage:
        study = hpo.open_study("several", PROBLEM, storage=storage, seed=1, strategy=Random())
        a, b, c, d = study.ask(4)
        study.tell(d, {"y": 4.0})
        before = commits(tmp_path / "hpo.db")
        answers = study.leases.tell(
            [(a, {"y": 1.0}, 2.0), (b, {"z": 1.0}, None), (c, {"y": 3.0}, None), (d, {"y": 5.0}, None)]
        )
        assert commits(tmp_path / "hpo.db") == before + 1
        assert [type(answer) for answer in answers][1:] == [type(answers[1]), Trial, ResultConflict]
        assert isinstance(answers[1], ResultError)
        assert answers[0] == study.trials[a.number]
        assert [t.state.value for t in study.trials] == ["completed", "running", "completed", "completed"]
        assert study.trials[a.number].seconds == 2.0
        assert study.leases.tell([(a, {"y": 1.0}, 2.0)]) == [study.trials[a.number]], "told twice, stored once"
        assert len(study.events()) == 7
        (answer,) = study.leases.tell([(replace(a, number=9), {"y": 1.0}, None)])
        assert isinstance(answer, TrialNotFound)


def commits(path: Path) -> int:
    """How often the file was changed, by anybody."""
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("SELECT count(DISTINCT at) FROM event").fetchone()[0])

"""A signal may come between any two steps of a run, in the middle of a write too: nothing is lost or left half done."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

import hpo
from hpo.running.signals import Interrupts
from hpo.strategies import Random
from hpo.trials.trial import TrialState


def study(where: str | Path) -> hpo.Study:
    problem = hpo.Problem(hpo.Space({"x": hpo.Float(0, 1)}), [hpo.Objective("y")])
    return hpo.open_study("signals", problem, storage=where, seed=1, strategy=Random())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("commit", range(1, 9))
def test_a_signal_right_after_a_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, commit: int, number: signal.Signals
) -> None:
    s, said, commits = study(tmp_path / "s.db"), [""], 0
    original = sa.Connection.commit

    def then_signal(self: sa.Connection) -> None:
        nonlocal commits
        original(self)
        is_watched = getattr(signal.getsignal(number), "__module__", "") == "hpo.running.signals"
        commits += is_watched and threading.current_thread() is threading.main_thread()
        if commits == commit:
            commits += 1
            os.kill(os.getpid(), number)

    monkeypatch.setattr(sa.Connection, "commit", then_signal)
    try:
        ended = hpo.run(
            s, lambda t: {"y": t.params["x"]}, budget=hpo.Budget(trials=9), progress=lambda p: said.append(p.message)
        )
    except KeyboardInterrupt as stop:
        assert number == signal.SIGINT
        ended = stop.run  # type: ignore[attr-defined]
    else:
        assert number == signal.SIGTERM
    assert ended.interrupted
    assert any("interrupted" in words or "terminated" in words for words in said)
    assert {t.state for t in s.trials} <= {TrialState.COMPLETED}


def test_a_signal_within_a_training_is_answered_at_once() -> None:
    """In this thread the training runs, so nobody else could say it before its end."""
    s, said = study(":memory:"), [""]

    def train(trial: hpo.Trial) -> dict[str, Any]:
        os.kill(os.getpid(), signal.SIGINT)
        assert "waiting for 1 running trial to end" in said[-1]
        return {"y": 1.0}

    with pytest.raises(KeyboardInterrupt, match=r"^interrupted; 1 result is in memory$"):
        hpo.run(s, train, budget=hpo.Budget(trials=3), progress=lambda p: said.append(p.message))
    assert [t.state for t in s.trials] == [TrialState.COMPLETED]


def test_a_second_one_waits_for_a_wait_and_a_third_for_nothing() -> None:
    said: list[str] = []
    interrupts = Interrupts(said.append)
    with interrupts.watched(lambda: "once", lambda: "go"):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        assert said == []
        with pytest.raises(KeyboardInterrupt), interrupts.waiting():
            pytest.fail("it is interrupted before it waits")
        assert said == ["once"]
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_what_comes_while_something_is_said_is_said_after_it() -> None:
    said: list[str] = []

    def say(words: str) -> None:
        if words == "once":
            os.kill(os.getpid(), signal.SIGTERM)
        said.append(words)

    interrupts = Interrupts(say)
    with interrupts.watched(lambda: "once", lambda: "go"), interrupts.waiting():
        os.kill(os.getpid(), signal.SIGINT)
    assert said == ["once", "go"]

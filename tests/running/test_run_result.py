"""How a run ended, and what an interrupted one says."""

from __future__ import annotations

from pathlib import Path

import pytest

import hpo
from hpo.running.run_result import Run, interrupt
from hpo.strategies import Random


def study(n: int, where: str | Path = ":memory:") -> hpo.Study:
    """With `n` results."""
    problem = hpo.Problem(hpo.Space({"x": hpo.Float(0, 1)}), [hpo.Objective("y")])
    s = hpo.open_study("s", problem, storage=where, seed=1, strategy=Random())
    for _ in range(n):
        s.tell(s.ask(), {"y": 1.0})
    return s


@pytest.mark.parametrize(
    ("n", "is_stored", "words"),
    [
        (0, False, "interrupted; no trial has a result yet"),
        (1, False, "interrupted; 1 result is in memory"),
        (2, False, "interrupted; 2 results are in memory"),
        (0, True, "interrupted; no trial has a result yet. To go on, run study 's' again"),
        (1, True, "interrupted; 1 result is stored. To go on, run study 's' again"),
        (2, True, "interrupted; 2 results are stored. To go on, run study 's' again"),
    ],
)
def test_an_interrupt_says_what_there_is_and_how_to_go_on(tmp_path: Path, n: int, is_stored: bool, words: str) -> None:
    s, ended = study(n, tmp_path / "hpo.db" if is_stored else ":memory:"), Run("interrupted", 1.5, interrupted=True)
    raised = interrupt(s, ended, s.history)
    assert type(raised) is KeyboardInterrupt
    assert str(raised) == words
    assert raised.run is ended  # type: ignore[attr-defined]
    s.storage.close()


def test_counts_of_trials_are_not_compared() -> None:
    assert Run("done", 1.0, completed=3, failed=1) == Run("done", 1.0)
    assert Run("done", 1.0) != Run("done", 2.0)
    assert (Run("done", 1.0).completed, Run("done", 1.0).failed, Run("done", 1.0).interrupted) == (0, 0, False)

"""What a run holds: started, found, lost, ended, told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hpo.errors import StorageError
from hpo.executors import Outcome, Task
from hpo.running.in_flight import InFlight
from hpo.trials.trial import Trial, TrialState

TRIALS = [Trial(number=n, params={"x": float(n)}, state=TrialState.RUNNING, seed=n, attempt=1) for n in range(4)]


def started(*numbers: int) -> InFlight:
    """Holding these, by ids like "t2"."""
    flight = InFlight()
    flight.start([Task(id=f"t{n}", payload={}) for n in numbers], [TRIALS[n] for n in numbers])
    return flight


def test_what_has_ended_is_held_until_it_is_told() -> None:
    flight = started(0, 1)
    outcome = Outcome(id="t1", value={})
    assert flight.arrive(outcome) is TRIALS[1]
    flight.ended.append((outcome, True))
    assert (flight.n_live, set(flight.held)) == (1, {"t0", "t1"})
    flight.forget("t1")
    assert (flight.n_live, set(flight.held), list(flight.ended)) == (1, {"t0"}, [])


def test_an_outcome_may_come_before_it_is_known_whose_it_is() -> None:
    flight = InFlight()
    flight.find({"t0": TRIALS[0], "t1": TRIALS[1]})
    assert flight.arrive(Outcome(id="t0", value={})) is TRIALS[0]
    assert set(flight.held) == {"t0"}
    flight.adopt(["t1"])
    assert (set(flight.held), flight.lost, flight.found) == ({"t0", "t1"}, set(), {})


def test_what_was_found_and_is_another_drivers_is_watched_and_not_told() -> None:
    flight = InFlight()
    flight.find({"t0": TRIALS[0], "t1": TRIALS[1]})
    flight.adopt(["t0"])
    assert (set(flight.held), flight.lost) == ({"t0", "t1"}, {"t1"})


def test_what_another_driver_runs_anew_is_to_be_ended_here_and_what_it_watches_is_not() -> None:
    flight = started(0, 1, 2)
    now = [TRIALS[0], replace(TRIALS[1], attempt=2), *TRIALS[2:]]
    assert flight.lose({"t0", "t1", "not of this run"}, lambda: now) == ["t1"]
    assert flight.lost == {"t0", "t1"}
    assert flight.lose((), lambda: pytest.fail("nothing to look for")) == []


def test_a_storage_that_is_away_is_asked_again() -> None:
    def away() -> list[Trial]:
        raise StorageError("away")

    flight = started(0)
    with pytest.raises(StorageError):
        flight.lose({"t0"}, away)
    assert flight.lost == {"t0"}
    assert flight.lose((), lambda: [replace(TRIALS[0], attempt=2)]) == ["t0"]


def test_what_cannot_be_told_is_held_no_more() -> None:
    flight = started(0, 1)
    outcome = Outcome(id="t0", kind="oom")
    flight.ended.append((outcome, False))
    assert flight.take_untold() == [(TRIALS[0], outcome)]
    assert (set(flight.held), list(flight.ended)) == ({"t1"}, [])

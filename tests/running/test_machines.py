"""Machines that lose the trials they are given: none of them is spent, few starts are wasted, and somebody is told."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest

import hpo
from hpo.errors import ExecutorError
from hpo.executors import Failures, Lognormal, Outcome, Sick, Simulated
from hpo.running.machines import Machines
from hpo.running.progress import Progress
from hpo.strategies import Random
from hpo.trials.trial import Trial, TrialState

MANY = int(os.environ.get("HPO_BAD_MACHINES", "6"))
PROBLEM = hpo.Problem(hpo.Space({"x": hpo.Float(0, 1)}), [hpo.Objective("y")])


def measure(trial: Trial) -> dict[str, float]:
    return {"y": trial.params["x"]}


class Ran:
    """A run on simulated machines, of which some are sick, and what came of it."""

    def __init__(
        self, *sick: Sick, slots: int = 20, seconds: Any = 600.0, trials: int = 200, train: Any = measure
    ) -> None:
        self.study = hpo.open_study("sick", PROBLEM, storage=":memory:", seed=0, strategy=Random())
        self.said: list[str] = []
        self.delays: list[str] = []
        self.error = ""
        executor = Simulated(slots, seconds, failures=Failures(sick=sick))
        try:
            ended = hpo.run(self.study, train, budget=hpo.Budget(trials=trials), executor=executor, progress=self._show)
            self.seconds = ended.seconds
        except ExecutorError as error:
            self.error = str(error)
        self.states = Counter(trial.state for trial in self.study.trials)
        starts = sum(event.kind in ("asked", "started") for event in self.study.events())
        self.wasted = starts - self.states[TrialState.COMPLETED]

    def _show(self, step: Progress) -> None:
        self.said.append(step.message)
        self.delays.append(step.delay)


@pytest.mark.parametrize(
    ("sick", "seconds", "wasted"),
    [
        (Sick(workers=range(10)), 600.0, 90),
        (Sick(workers=range(10)), 2.0, 30),
        (Sick(workers=range(10), since=1000.0), Lognormal(600.0, 0.5), 110),
        (Sick(workers=range(10), since=1000.0, until=5000.0), Lognormal(600.0, 0.5), 80),
        (Sick(workers=range(10), since=1000.0, after=30.0), Lognormal(600.0, 0.5), 110),
        (Sick(workers=range(19)), 600.0, 19 * (8 + 34)),  # each a few times at first, then once an hour
    ],
)
def test_sick_machines_spend_no_trial_and_few_starts(sick: Sick, seconds: Any, wasted: int) -> None:
    ran = Ran(sick, seconds=seconds)
    assert ran.states == {TrialState.COMPLETED: 200}
    assert ran.wasted <= wasted
    assert ran.study.replay().is_identical


def test_one_of_two_machines_slows_the_other_down_hardly() -> None:
    ran = Ran(Sick(workers=[0], since=10.0), slots=2, seconds=2.0, trials=40)
    assert ran.states == {TrialState.COMPLETED: 40}
    assert ran.wasted <= 4
    assert ran.seconds <= 10.0 + 2.0 * 31


def test_a_sick_machine_is_named_left_out_and_tried_again() -> None:
    ran = Ran(Sick(workers=[3], since=1000.0, until=5000.0), slots=4, trials=60)
    bad = "machine worker 3: 3 trials in a row were lost (No space left on device); no trial is started there for 5 min"
    assert bad in ran.said
    assert any("left out: worker 3 for " in delay for delay in ran.delays)
    assert "machine worker 3 runs trials again" in ran.said
    assert ran.said.index(bad) < ran.said.index("machine worker 3 runs trials again")
    assert ran.states == {TrialState.COMPLETED: 60}


def test_a_scheduler_that_refuses_for_an_hour_spends_no_trial() -> None:
    ran = Ran(Sick(since=1500.0, until=5100.0, starts=False, message="QOS policy"))
    assert ran.states == {TrialState.COMPLETED: 200}
    assert ran.wasted <= 20 + 10 + 60, "those in flight, those of the first minutes, and one a minute"
    assert ran.seconds <= 6000.0 + 3600.0 + 120.0
    assert (
        "3 trials in a row were lost (QOS policy); they are not to blame, and the next is tried in 2.0 s, later ones more "
        "slowly" in ran.said
    )
    assert "trials run again" in ran.said
    assert not any(trial.earlier_seconds for trial in ran.study.trials), "what did not start bills nothing"


@pytest.mark.parametrize("sick", [Sick(), Sick(starts=False), Sick(since=1500.0), Sick(workers=range(20), after=40.0)])
def test_where_all_machines_lose_all_the_run_ends_and_the_trials_wait(sick: Sick) -> None:
    ran = Ran(sick)
    assert not ran.states.keys() - {TrialState.COMPLETED, TrialState.WAITING}
    assert ran.states[TrialState.WAITING] >= 20
    assert ran.wasted <= 60
    n = ran.states[TrialState.WAITING]
    assert "trials in a row were lost (No space left on device) within " in ran.error
    assert (
        f"{n} trials wait to be run again. The run stops here. Mend the machines and run it again, to go on"
        in ran.error
    )
    assert ("at worker 0, " in ran.error) == sick.starts
    hpo.run(ran.study, measure, budget=hpo.Budget(trials=200), executor=Simulated(20, 600.0), progress=False)
    assert {trial.state for trial in ran.study.trials} == {TrialState.COMPLETED}


def breaks(trial: Trial) -> dict[str, float]:
    if trial.number == 7:
        raise hpo.TrialFailed("infra", "it takes the machine down")
    return measure(trial)


@pytest.mark.parametrize(("slots", "trials"), [(20, 200), (4, 40), (1, 20), (1, 8)])
def test_a_trial_that_takes_down_every_machine_fails_in_the_end(slots: int, trials: int) -> None:
    ran = Ran(slots=slots, trials=trials, train=breaks)
    assert ran.states == {TrialState.COMPLETED: trials - 1, TrialState.FAILED: 1}
    trial = ran.study.trials[7]
    assert (trial.kind, trial.attempt - trial.uncounted) == ("infra", 3)
    assert trial.attempt <= 5


def test_it_fails_in_this_thread_too() -> None:
    study = hpo.open_study("here", PROBLEM, storage=":memory:", seed=0, strategy=Random())
    ended = hpo.run(study, breaks, budget=hpo.Budget(trials=10), progress=False)
    assert (ended.completed, ended.failed) == (9, 1)


@pytest.mark.parametrize("seed", range(MANY))
def test_whatever_is_sick_when_no_trial_is_spent_and_all_complete(seed: int) -> None:
    dice = random.Random(seed)
    slots = dice.choice([2, 5, 20, 60])
    sick = []
    for _ in range(dice.randint(1, 4)):
        since = dice.choice([0.0, dice.uniform(0.0, 4000.0)])
        sick.append(
            Sick(
                workers=dice.sample(range(1, slots), dice.randint(1, slots - 1)),  # the first one is always well
                since=since,
                until=dice.choice([float("inf"), since + dice.uniform(1.0, 8000.0)]),
                after=dice.choice([0.0, 1.0, 50.0]),
                starts=dice.random() < 0.8,
            )
        )
    ran = Ran(*sick, slots=slots, seconds=dice.choice([2.0, 60.0, Lognormal(600.0, 1.0)]), trials=120)
    assert ran.error == ""
    assert ran.states == {TrialState.COMPLETED: 120}
    assert ran.wasted <= 12 * slots + 120


def machines(patience: float = 43200.0) -> tuple[Machines, Callable[[float], None]]:
    now = [0.0]
    return Machines(lambda: now[0], patience), lambda at: now.__setitem__(0, at)


def lose(seen: Machines, numbers: Sequence[int], place: str = "", started_at: float | None = 1.0) -> list[bool]:
    seen.started({str(number): number for number in numbers})
    return [
        seen.ended(n, Outcome(id=str(n), kind="infra", place=place, started_at=started_at), "infra", "gone")
        for n in numbers
    ]


def test_pauses_double_and_are_over_when_a_trial_ends_by_its_own_fault() -> None:
    seen, go_to = machines()
    pauses = []
    for number in range(9):
        go_to(seen.due() if seen.is_pausing else 0.0)
        assert seen.room() >= 1
        before = seen._clock()
        lose(seen, [number])
        pauses.append(seen.due() - before)
    assert pauses == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    assert seen.room() == 0
    assert seen.words() == "no start for 60 s: 9 trials in a row were lost (gone)"
    seen.started({"w": 11})
    seen.ended(11, Outcome(id="w", kind="oom"), "oom", "too large")
    assert (seen.room(), seen.words()) == (float("inf"), "")


def test_what_was_under_way_when_the_first_was_lost_is_one_more_loss_and_no_more_tries() -> None:
    seen, _ = machines()
    lose(seen, range(30), "rack")
    assert seen.due() == 0.5
    assert seen.hopeless() == ""
    assert seen.news() == []


def test_a_start_that_lives_through_the_pause_halves_it() -> None:
    seen, go_to = machines()
    for at in (0.0, 1.0, 3.0):
        go_to(at)
        lose(seen, [int(at)])
    rooms = []
    for at in (5.0, 7.0, 8.0, 8.5):
        go_to(at)
        rooms.append(seen.room())
        seen.started({f"w{at}": 9})
    assert rooms == [1, 1, 1, float("inf")]


def test_losses_that_are_known_late_are_waited_for_before_more_is_started() -> None:
    seen, go_to = machines()
    for number in range(8):
        seen.started({str(number): number})
    go_to(6.0)  # as long as it takes to learn that Slurm has lost jobs, which never started
    for number in range(8):
        seen.ended(number, Outcome(id=str(number), kind="infra", place="n1"), "infra", "gone")
    assert seen.due() == 6.0 + 9.0
    go_to(15.0)
    assert seen.room() == 1
    seen.started({"8": 8})
    go_to(21.0)
    assert seen.room() == 0
    seen.ended(8, Outcome(id="8", kind="infra", place="n2"), "infra", "gone")
    go_to(38.5)
    assert seen.room() == 0
    go_to(39.0)
    assert seen.room() == 1


def test_a_place_is_left_out_longer_each_time_and_no_result_elsewhere_clears_it() -> None:
    seen, go_to = machines()
    at = 0.0
    for length in (10.0, 60.0, 300.0, 600.0, 1200.0, 2400.0, 3600.0, 3600.0):
        go_to(at)
        assert seen.avoided() == frozenset()
        lose(seen, [int(at)], "n7")
        seen.started({"other": 99})
        seen.ended(99, Outcome(id="other", value={}, place="n8"), None, "")
        assert seen.avoided() == {"n7"}
        at += length
    go_to(at)
    seen.started({"w": 5})
    go_to(at + 1.0)
    seen.ended(5, Outcome(id="w", value={}, place="n7"), None, "")
    assert "machine n7 runs trials again" in seen.news()


def test_a_result_of_what_was_started_before_does_not_clear_a_place() -> None:
    seen, go_to = machines()
    seen.started({"long": 50})
    for n, at in enumerate((100.0, 200.0, 300.0)):
        go_to(at)
        lose(seen, [n], "n7")
    seen.ended(50, Outcome(id="long", value={}, place="n7"), None, "")
    assert seen.avoided() == {"n7"}


def test_what_never_starts_is_given_up_late_where_others_ran_and_soon_where_none_did() -> None:
    for has_worked, patience in ((False, 600.0), (True, 43200.0)):
        seen, go_to = machines()
        if has_worked:
            seen.started({"w": 50})
            seen.ended(50, Outcome(id="w", value={}), None, "")
        at, over = 0.0, 0.0
        while not over:
            go_to(at)
            lose(seen, [int(at)], started_at=None)
            over = at if seen.hopeless() else 0.0
            at += 30.0
        assert over == patience

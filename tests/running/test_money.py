"""Money: whatever becomes of drivers and in whatever order they are heard of, what ran is billed once.

Beside the study there is a world of drivers that are cut off, sleep and die, and of tasks of which the world knows how long
they ran. All that is checked is computed from that, never from the study.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

import hpo
from hpo.errors import TrialStateError
from hpo.problem.json_format import problem_to_json
from hpo.storage import MemoryStorage
from hpo.storage.stored_event import stamp
from hpo.strategies import Random
from hpo.trials.trial import TrialState

LEASE, LIMIT, RATE, RESERVE, CAP = 10.0, 40.0, 0.5, 20.0, 150.0
PROBLEM = hpo.Problem(hpo.Space({"x": hpo.Float(0, 1)}), [hpo.Objective("y"), hpo.Tracked("price")])
BY_RATE = hpo.Budget(cost=CAP, reserve=RESERVE, cost_of=RATE)
BY_TIME = hpo.Budget(worker_seconds=CAP / RATE, trial_seconds=LIMIT)
BY_PRICE = hpo.Budget(cost=CAP, reserve=RESERVE, cost_of="price")
BY_START = hpo.Budget(cost=CAP, reserve=RESERVE)
BUDGETS = (BY_RATE, BY_TIME, BY_PRICE, BY_START)


@dataclass
class Clock:
    """That of the storage."""

    now: float = 1.8e9

    def time(self) -> float:
        return self.now


def opened() -> hpo.Study:
    """Without a look at who makes it, which takes longer than all that is done here."""
    storage = MemoryStorage()
    return hpo.Study(storage.create("m", problem_to_json(PROBLEM), {"seed": 1}), storage, Random())


def bills(study: hpo.Study) -> list[float]:
    """What is spent of each budget, in the same unit."""
    history = study.history
    return [b.worked(history) * RATE if b is BY_TIME else b.spent(history) for b in BUDGETS]


@dataclass
class Task:
    """One attempt, as the world knows it."""

    trial: hpo.Trial
    length: float
    begun: float
    ran: float = 0.0
    is_heard: bool = False
    """Whether the study was told how long it took."""
    heard_of: float = 0.0
    """When its lease was renewed last."""
    ended_at: float = math.inf
    """When somebody ended it by hand."""
    seen_dead: float = math.inf
    brought: float | None = None
    """Its price, where it brought a result."""

    @property
    def lease_end(self) -> float:
        return self.heard_of + LEASE

    def billed(self, of: float) -> float:
        """What it costs that it was last heard of at the time `of`."""
        return min(LIMIT, of - self.begun)


@dataclass
class Driver:
    name: str
    tasks: list[Task] = field(default_factory=list)
    is_cut_off: bool = False
    is_asleep: bool = False
    is_dead: bool = False

    @property
    def is_reachable(self) -> bool:
        return not (self.is_cut_off or self.is_asleep or self.is_dead)


class World(RuleBasedStateMachine):
    """Three hosts, a driver on each; a driver that is dead is followed by another."""

    @initialize(skew=st.sampled_from([-3600.0, 0.0, 3600.0]))
    def begin(self, skew: float) -> None:
        self.clock, self.patch = Clock(), pytest.MonkeyPatch()
        self.patch.setattr("hpo.storage.memory.time", self.clock)
        self.patch.setattr("hpo.storage.stored_event.now", lambda: stamp(self.clock.now + skew))
        self.study = opened()
        self.drivers = [Driver(f"host{i}:1") for i in range(3)]
        self.tasks: list[Task] = []
        self.overdrawn = 0.0
        """What was billed for less, being unheard of for longer than it could run, and was heard of after all."""

    def teardown(self) -> None:
        if hasattr(self, "patch"):
            self.patch.undo()

    # -- what drivers do ------------------------------------------------------------------------------------------

    @rule(i=st.integers(0, 2), n=st.integers(1, 3), quarters=st.integers(1, 160))
    def claim(self, i: int, n: int, quarters: int) -> None:
        driver = self.drivers[i]
        if not driver.is_reachable or len(driver.tasks) >= 3:
            return
        for trial in self.study.leases.claim(n, driver.name, lease=LEASE, within=self._room):
            task = Task(trial, quarters / 4, self.clock.now, heard_of=self.clock.now)
            driver.tasks.append(task)
            self.tasks.append(task)

    @rule(seconds=st.sampled_from([0.25, 1.0, 4.0, 11.0, 30.0, 36000.0]))
    def wait(self, seconds: float) -> None:
        self.clock.now += seconds
        for driver in self.drivers:
            if not driver.is_asleep and not driver.is_dead:
                for task in driver.tasks:
                    task.ran = min(task.length, task.ran + seconds)

    @rule(i=st.integers(0, 2))
    def beat(self, i: int) -> None:
        driver = self.drivers[i]
        if not driver.is_reachable:
            return
        lost = self.study.leases.renew([task.trial for task in driver.tasks], driver.name, LEASE)
        for task in list(driver.tasks):
            if task.trial not in lost:
                task.heard_of = self.clock.now
            elif task.ran < task.length:  # it is stopped
                self._hear(driver, task, self.study.leases.bill)

    @rule(
        i=st.integers(0, 2),
        how=st.sampled_from(["tell", "tell", "price", "oom", "infra", "cancel"]),
        y=st.sampled_from([0.0, 1.0]),
    )
    def end(self, i: int, how: str, y: float) -> None:
        driver = self.drivers[i]
        for task in [task for task in driver.tasks if task.ran >= task.length and driver.is_reachable]:
            if how in ("tell", "price"):
                price = {"price": min(RESERVE, RATE * task.ran)} if how == "price" else {}
                task.brought = price.get("price")
                self._hear(driver, task, self._telling({"y": y, **price}))
            elif how == "cancel":
                self._hear(driver, task, lambda t, s: self.study.cancel(t, "", seconds=s))
            else:
                self._hear(driver, task, lambda t, s: self.study.fail(t, how, seconds=s))

    @rule(i=st.integers(0, 2))
    def reclaim(self, i: int) -> None:
        if self.drivers[i].is_reachable:
            self.study.leases.reclaim()

    # -- what befalls them ----------------------------------------------------------------------------------------

    @rule(i=st.integers(0, 2), what=st.sampled_from(["is_cut_off", "is_asleep"]))
    def strike(self, i: int, what: str) -> None:
        setattr(self.drivers[i], what, not getattr(self.drivers[i], what))

    @rule(i=st.integers(0, 2), is_seen=st.booleans())
    def die(self, i: int, is_seen: bool) -> None:
        """Another takes its place; on the same host it may see that the first is gone."""
        driver = self.drivers[i]
        driver.is_dead = True
        if is_seen:
            for task in driver.tasks:
                task.seen_dead = self.clock.now
        host, n = driver.name.split(":")
        self.drivers[i] = Driver(f"{host}:{int(n) + 1}")
        if is_seen:
            self.study.leases.reclaim({driver.name})

    @rule(by_hand=st.sampled_from(["cancel", "requeue"]), n=st.integers(0, 20))
    def meddle(self, by_hand: str, n: int) -> None:
        running = [t for t in self.study.trials if t.state is TrialState.RUNNING]
        if running:
            trial = running[n % len(running)]
            getattr(self.study, by_hand)(trial.number)
            task = next(w for w in self.tasks if (w.trial.number, w.trial.attempt) == (trial.number, trial.attempt))
            task.ended_at = min(task.ended_at, self.clock.now)

    @rule()
    def night(self) -> None:
        """Nobody is heard of, and in the morning somebody else goes on."""
        for driver in self.drivers:
            driver.is_asleep = True
        self.clock.now += 36000.0
        self.study.leases.reclaim()
        self.clock.now += LIMIT
        self.study.note("good morning")
        trials, as_of = self.study.trials, self.study.history.as_of
        for task in self.tasks:
            attempt = trials[task.trial.number].attempt_of(task.trial.attempt)
            if attempt and not task.is_heard and task.ended_at == task.seen_dead == math.inf:
                assert attempt.billed(LIMIT, as_of) == task.billed(task.lease_end), "no night is paid for"

    # -- what must hold -------------------------------------------------------------------------------------------

    @invariant()
    def each_attempt_is_billed_for_what_ran(self) -> None:
        if not hasattr(self, "study"):
            return
        trials, as_of = self.study.trials, self.study.history.as_of
        assert sum(len(t.attempts) for t in trials) <= len(self.tasks)
        for task in self.tasks:
            attempt = trials[task.trial.number].attempt_of(task.trial.attempt)
            billed = attempt.billed(LIMIT, as_of) if attempt else 0.0
            assert billed <= LIMIT
            if task.is_heard:
                assert billed == task.ran, "once it is heard of, exactly what ran"
            elif task.seen_dead < math.inf:
                ends = (task.lease_end, task.seen_dead, task.ended_at)
                assert task.billed(min(ends)) <= billed <= LIMIT, "no less than until it was heard of last"
            elif self.clock.now < min(task.lease_end, task.ended_at) + LIMIT:
                assert billed == LIMIT, "in full as long as it may run"
            elif billed < LIMIT:
                assert billed in (task.billed(task.lease_end), task.billed(task.ended_at))

    @invariant()
    def no_budget_is_overdrawn(self) -> None:
        if not hasattr(self, "study"):
            return
        history = self.study.history
        for budget in BUDGETS:
            spent = budget.worked(history) * RATE if budget is BY_TIME else budget.spent(history)
            assert spent <= CAP + self.overdrawn + 1e-6
            assert budget.room(history, 0.0).trials >= -self.overdrawn / RESERVE - 1
        started = [task for task in self.tasks if not task.is_heard or task.ran > 0.0 or task.brought is not None]
        assert BY_START.spent(history) == pytest.approx(RESERVE * len(started))
        known = {t.number: t.attempt for t in history.completed}
        prices = [RESERVE if task.brought is None else task.brought for task in started]
        assert BY_PRICE.spent(history) == pytest.approx(sum(prices)), known

    # -- inside ---------------------------------------------------------------------------------------------------

    def _room(self, history: hpo.History) -> float:
        return min(budget.room(history, 0.0).trials for budget in BUDGETS)

    def _telling(self, values: Mapping[str, float]) -> Callable[[hpo.Trial, float], object]:
        return lambda trial, seconds: self.study.tell(trial, values, seconds=seconds)

    def _hear(self, driver: Driver, task: Task, say: Callable[[hpo.Trial, float], object]) -> None:
        """The study hears how an attempt ended, as a run tells it; what somebody has ended by hand stays as it is."""
        driver.tasks.remove(task)
        attempt = self.study.trials[task.trial.number].attempt_of(task.trial.attempt)
        before = attempt.billed(LIMIT, self.study.history.as_of) if attempt else 0.0
        self.overdrawn += RATE * max(0.0, task.ran - before)
        task.is_heard = True
        try:
            say(task.trial, task.ran)
        except TrialStateError:
            self.study.leases.bill(task.trial, task.ran)


TestWorld = World.TestCase
TestWorld.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)

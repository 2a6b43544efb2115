"""StrategyContract: what every strategy must do, as tests to inherit.

class TestMine(StrategyContract):
    def make(self) -> Strategy:
        return Mine(values=3)

Where it ends although the space has more, as a grid does: `covers = False`, and settings with which it makes at least 20
suggestions.
"""

from __future__ import annotations

import json
import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import FrozenInstanceError, is_dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
import pytest

from hpo.errors import SpaceExhausted
from hpo.executors import Processes, Task
from hpo.problem.metrics import Constraint, Objective
from hpo.problem.parameters import Categorical, Float, Int
from hpo.problem.problem import Problem
from hpo.problem.space import Space, key
from hpo.storage import MemoryStorage
from hpo.strategies import Strategy
from hpo.strategies.registry import from_json
from hpo.study.open_study import open_study
from hpo.study.study import Study
from hpo.trials.trial import LEARNED_KINDS, Trial

BATCHES = (1, 3, 5, 2, 4)
"""How many trials are asked for, one time after the other: single ones, and several at once."""

ROLES = ("initial", "exploit", "explore", "feasibility", "replicate", "fallback")
"""What the `role` in `why` may be."""

SPACES: Mapping[str, Space] = {
    "one side": Space({"x": Float(0.0, 1.0)}),
    "all kinds": Space(
        {
            "lr": Float(1e-5, 1.0, log=True, default=1e-3),
            "drop": Float(0.0, 0.9, step=0.1, default=0.5),
            "layers": Int(1, 12, default=2),
            "width": Int(8, 512, log=True, default=64),
            "kind": Categorical(["a", "1", 1, None, True], default="a"),
            "size": Categorical([1, 2, 4, 8], ordered=True, default=4),
        }
    ),
    "conditions": Space(
        {
            "kind": Categorical(["svm", "tree"]),
            "c": Float(1e-3, 1e3, log=True, active_if={"kind": ["svm"]}),
            "depth": Int(1, 12, active_if={"kind": ["tree"]}),
            "drop": Float(0.0, 0.9, step=0.1),
        },
        constraints=["depth + 10*drop <= 15"],
    ),
    "narrow": Space({"a": Float(0.0, 1.0), "b": Float(0.0, 1.0)}, constraints=["a - b <= 0.0005", "a - b >= -0.0005"]),
    "six": Space({"a": Int(1, 3), "b": Categorical(["x", "y"])}),
}
"""Spaces that careless strategies trip over."""

Ending = Callable[[Study, Trial, np.random.Generator], object]


def tell(study: Study, trial: Trial, rng: np.random.Generator) -> None:
    """A wavy function with noise, and a constraint that about half of the configurations meet."""
    space = study.problem.space
    position = [space[name].position(value) for name, value in trial.params.items()]
    wave = float(np.sin(5.0 * np.array(position)).sum())
    study.tell(trial, {"y": wave + 0.1 * rng.normal(), "c": float(np.mean(position))})


def end(study: Study, trial: Trial, rng: np.random.Generator) -> None:
    """With a result, a failure of its own or of the machine; or not at all."""
    chance = rng.random()
    if chance < 0.6:
        tell(study, trial, rng)
    elif chance < 0.75:
        study.fail(trial, "oom")
    elif chance < 0.8:
        study.fail(trial, "infra")


ENDINGS: Mapping[str, Ending] = {
    "none ends": lambda *_: None,
    "all fail": lambda study, trial, _: study.fail(trial, LEARNED_KINDS[trial.number % len(LEARNED_KINDS)]),
    "none is feasible": lambda study, trial, rng: study.tell(trial, {"y": rng.normal(), "c": 2.0}),
    "all are alike": lambda study, trial, _: study.tell(trial, {"y": 1.0, "c": 0.0}),
}
"""Histories from which little can be learned."""


def opened(strategy: Strategy, space: Space, seed: int = 0) -> Study:
    """A study without trials, of one objective "y" and one constraint "c"."""
    problem = Problem(space, [Objective("y"), Constraint("c", upper=0.5)])
    return open_study("contract", problem, storage=MemoryStorage(), seed=seed, strategy=strategy)


def walked(
    strategy: Strategy, space: Space, batches: Sequence[int] = BATCHES, *, seed: int = 0, ending: Ending = end
) -> Study:
    """A study in which these batches were asked for, until the space was used up, and trials have ended so. Every
    suggestion lay inside the space, and none came twice."""
    study, rng = opened(strategy, space, seed), np.random.default_rng(seed)
    for n in batches:
        try:
            trials = study.ask(n)
        except SpaceExhausted:
            break
        assert 1 <= len(trials) <= n
        for trial in trials:
            assert space.fault(trial.params) is None
            ending(study, trial, rng)
    keys = [key(trial.params) for trial in study.trials]
    assert len(set(keys)) == len(keys), "a configuration was given out twice"
    return study


class StrategyContract(ABC):
    """What every strategy must do, as tests for pytest. Name your class `Test...`, and supply `make`.

    Example:
        >>> import hpo
        >>> class TestMine(hpo.testing.strategies.StrategyContract):
        ...     def make(self):
        ...         return hpo.strategies.Random()
        >>> TestMine().test_it_is_a_frozen_value()
    """

    covers: ClassVar[bool] = True
    """Whether every configuration of a finite space is suggested before it says SpaceExhausted."""

    @abstractmethod
    def make(self) -> Strategy:
        """The strategy, with the same settings each time."""

    # -- a value --------------------------------------------------------------------------------------------------

    def test_it_is_a_frozen_value(self) -> None:
        strategy = self.make()
        assert is_dataclass(strategy)
        assert strategy == self.make()
        with pytest.raises(FrozenInstanceError):
            setattr(strategy, "kept", 1)  # noqa: B010

    def test_its_settings_are_stored_and_read_again(self) -> None:
        study = opened(self.make(), SPACES["one side"])
        assert from_json(study.facts["strategy"], given=self.make()) == self.make()

    # -- suggestions ----------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("seed", [0, 1])
    @pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
    def test_suggestions_are_inside_and_distinct_and_derived_again(self, space: Space, seed: int) -> None:
        again = walked(self.make(), space, seed=seed).replay()
        assert again.is_identical, str(again)

    @pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS)
    def test_it_goes_on_where_little_can_be_learned(self, ending: Ending) -> None:
        study = walked(self.make(), SPACES["all kinds"], ending=ending)
        assert len(study.trials) >= len(BATCHES)
        assert study.replay().is_identical

    def test_each_suggestion_says_why(self) -> None:
        asked = [event for event in walked(self.make(), SPACES["all kinds"]).events() if event.kind == "asked"]
        assert {event.data["why"]["role"] for event in asked} <= set(ROLES)
        assert all(event.data["strategy"]["name"] for event in asked)

    def test_it_answers_where_there_is_no_time(self) -> None:
        study = walked(self.make(), SPACES["all kinds"])
        trials = study.ask(3, max_seconds=1e-6)
        assert 1 <= len(trials) <= 3
        assert all(study.problem.space.fault(trial.params) is None for trial in trials)
        assert study.replay().is_identical

    # -- a function of what it is given ---------------------------------------------------------------------------

    def test_the_same_history_and_randomness_give_the_same_suggestions(self) -> None:
        history = walked(self.make(), SPACES["all kinds"]).history
        first, second = (self.make().suggest(history, 3, np.random.default_rng(7)) for _ in range(2))
        assert first == second
        assert 1 <= len({key(suggestion.params) for suggestion in first} - history.taken) == len(first) <= 3

    def test_another_process_suggests_the_same(self) -> None:
        """Where texts have other hashes."""
        with Processes(1).start(partial(_derived, self.make())) as pool:
            pool.submit(Task(id="elsewhere", payload={}))
            (outcome,) = pool.close()
        assert outcome.message == ""
        assert outcome.value == _derived(self.make(), {})

    def test_it_moves_no_global_randomness(self) -> None:
        before = repr(np.random.get_state()), random.getstate()
        walked(self.make(), SPACES["all kinds"])
        assert (repr(np.random.get_state()), random.getstate()) == before

    # -- the end --------------------------------------------------------------------------------------------------

    def test_a_finite_space_is_given_out_until_nothing_is_left(self) -> None:
        space = SPACES["six"]
        study = opened(self.make(), space)
        with pytest.raises(SpaceExhausted):
            _ask_on(study)
        suggested = {key(trial.params) for trial in study.trials}
        assert len(suggested) == len(study.trials)
        assert suggested <= {key(params) for params in space.enumerate()}
        assert len(suggested) == 6 or not self.covers

    def test_where_all_was_tried_by_others_it_says_so(self) -> None:
        study = opened(self.make(), SPACES["six"])
        for params in SPACES["six"].enumerate():
            study.add(params, {"y": 1.0, "c": 0.0})
        with pytest.raises(SpaceExhausted):
            study.ask()


def _ask_on(study: Study) -> None:
    """At most as often as there are configurations in six, and once more."""
    for _ in range(7):
        study.ask(2)


def _derived(strategy: Strategy, _: Mapping[str, Any]) -> dict[str, Any]:
    """The params that it suggests, one after the other."""
    params = [dict(trial.params) for trial in walked(strategy, SPACES["conditions"]).trials]
    return {"params": json.loads(json.dumps(params))}

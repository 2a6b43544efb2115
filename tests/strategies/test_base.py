"""The two protocols: which strategies are which, and that the annotations hold what is built in."""

from __future__ import annotations

import numpy as np
import pytest

import hpo
from hpo.strategies import Bayesian, Grid, OneAtATime, Random, Sobol, Strategy
from hpo.strategies.base import AnytimeStrategy
from hpo.trials.deadline import SPREAD, Deadline, NoTimeLimit

ALL: list[Strategy] = [Bayesian(), Grid(budget=20), OneAtATime(3), Random(), Sobol()]


@pytest.mark.parametrize("strategy", ALL, ids=repr)
def test_the_one_with_a_model_alone_can_do_with_less_time(strategy: Strategy) -> None:
    assert isinstance(strategy, AnytimeStrategy) == isinstance(strategy, Bayesian)


def test_with_all_the_time_there_is_it_suggests_as_without_a_limit() -> None:
    problem = hpo.Problem(hpo.Space({"x": hpo.Float(0, 1)}), [hpo.Objective("y")])
    study = hpo.open_study("a", problem, storage=":memory:", seed=0, strategy=Bayesian(n_initial=2))
    for _ in range(4):
        study.tell(study.ask(), {"y": 1.0})
    strategy, history = Bayesian(n_initial=2), study.history
    unlimited = strategy.suggest_within(history, 2, np.random.default_rng(1), NoTimeLimit())
    assert unlimited == strategy.suggest(history, 2, np.random.default_rng(1))
    late = strategy.suggest_within(history, 2, np.random.default_rng(1), Deadline(0.0))
    assert [s.why["skipped"] for s in late] == [[SPREAD]] * 2

"""What hpo.testing.strategies asks of every strategy, here in spaces of every kind."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import hpo
from hpo.problem.space import Space, key
from hpo.strategies import Bayesian, Grid, OneAtATime, Random, Sobol, Strategy
from hpo.testing.strategies import walked
from tests.random_spaces import spaces

STRATEGIES = [Bayesian(), Bayesian(n_initial=2), Grid(budget=20), OneAtATime(3), Random(), Sobol()]


@pytest.mark.parametrize("strategy", STRATEGIES, ids=repr)
@given(space=spaces(), batches=st.lists(st.integers(1, 5), min_size=2, max_size=5), seed=st.integers(0, 2**31))
@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.too_slow])
def test_suggestions_are_inside_and_no_two_live_trials_are_alike(
    strategy: Strategy, space: Space, batches: list[int], seed: int
) -> None:
    assert walked(strategy, space, batches, seed=seed).replay().is_identical


@given(space=spaces(most=3), seed=st.integers(0, 2**31))
@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
def test_a_finite_space_is_given_out_completely(space: Space, seed: int) -> None:
    size = space.size(25)
    if size is None:
        return
    study = hpo.open_study("all", hpo.Problem(space, [hpo.Objective("y")]), storage=":memory:", seed=seed)
    rng = np.random.default_rng(seed)
    for _ in range(size):
        trial = study.ask()
        study.tell(trial, {"y": rng.normal()})
    with pytest.raises(hpo.SpaceExhausted):
        study.ask()
    assert len({key(t.params) for t in study.trials}) == size

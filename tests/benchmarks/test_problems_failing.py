"""Problems that fail and problems with noise: how often, of which kind, and what is left."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest

from benchmarks.problems import BY_NAME, FAMILIES
from benchmarks.problems.base import Array, Outcome
from benchmarks.problems.descent import CURVATURE, DESCENT_SPACE, FITTED, GOAL, STEPS, descent_loss
from benchmarks.problems.failing import MEMORY, branin_fails, fails_as, hartmann6_fails, lost_at_random
from benchmarks.problems.formula import uniform
from benchmarks.problems.functions import BRANIN_AT, HARTMANN6_AT
from benchmarks.problems.noisy import log_normal, normal
from benchmarks.problems.scale import entries
from benchmarks.problems.single import BRANIN_SPACE, HARTMANN6_SPACE
from hpo.trials.trial import LEARNED_KINDS, RETRIED_KINDS

SHARES = {"branin_crash": 0.30, "hartmann6_crash": 0.40, "ackley10_crash": 0.37, "mixed_oom": 0.36, "diverge_lr": 0.35}
KINDS = {"branin_crash": "crash", "hartmann6_crash": "crash", "ackley10_crash": "crash", "mixed_oom": "oom"}


@pytest.mark.parametrize("name", list(SHARES))
def test_the_share_that_fails_and_its_kind(name: str) -> None:
    bench, n = BY_NAME[name], 2000
    rng = np.random.default_rng(1)
    outcomes = [bench.evaluate(params, rng) for params in bench.problem.space.sample(rng, n)]
    failures = [o.failure for o in outcomes if o.failure is not None]
    assert len(failures) / n == pytest.approx(SHARES[name], abs=0.05)
    assert set(failures) == {KINDS.get(name, "diverged")} <= set(LEARNED_KINDS)


def test_crashes_take_one_optimum_of_branin_and_no_other() -> None:
    assert branin_fails(BRANIN_AT).tolist() == [False, True, False]
    share = branin_fails(uniform(BRANIN_SPACE, np.random.default_rng(2), 100_000)).mean()
    assert share == pytest.approx(0.30, abs=0.02)


def test_hartmanns_optimum_works_and_lies_near_the_crashes() -> None:
    assert not hartmann6_fails(HARTMANN6_AT)
    assert hartmann6_fails(HARTMANN6_AT + np.array([0, 0, 0.02, 0.02, 0.02, 0]))
    share = hartmann6_fails(uniform(HARTMANN6_SPACE, np.random.default_rng(2), 100_000)).mean()
    assert share == pytest.approx(0.40, abs=0.02)


def test_the_best_that_works_fills_the_memory() -> None:
    at = entries()["mixed_oom"]["at"]
    used = at["batch"] * at["width"] * at["depth"]
    assert 0.98 * MEMORY < used <= MEMORY
    wider = {**at, "width": 2 * at["width"]} if 2 * at["width"] <= 2048 else {**at, "batch": 2 * at["batch"]}
    assert BY_NAME["mixed_oom"].truth(wider)["f"] == math.inf


def test_machines_are_lost_at_random_whatever_the_params() -> None:
    report = lost_at_random(lambda params, values, rng: Outcome(values, seconds=10.0))
    rng = np.random.default_rng(3)
    outcomes = [report({}, {"f": float(i)}, rng) for i in range(4000)]
    lost = [o for o in outcomes if o.values is None]
    assert len(lost) / 4000 == pytest.approx(0.15, abs=5 * np.sqrt(0.15 * 0.85 / 4000))
    assert {o.failure for o in lost} <= set(RETRIED_KINDS)
    assert 4 < np.mean([o.seconds for o in lost]) < 6
    first = {o.failure for o in outcomes[:2000]}
    assert first == {None, "infra"}
    assert all(o.values == {"f": float(i)} for i, o in enumerate(outcomes) if o.values is not None)


def test_lost_machines_leave_the_best_where_it_was() -> None:
    for name in ("hartmann6", "hpolib_protein"):
        assert BY_NAME[f"{name}_infra"].best == BY_NAME[name].best


def test_a_finite_truth_is_reported_as_it_is() -> None:
    rng = np.random.default_rng(0)
    assert fails_as("crash")({}, {"f": 1.0}, rng) == Outcome({"f": 1.0})
    assert fails_as("oom", 0.1)({}, {"f": math.inf}, rng) == Outcome(None, "oom", 0.1)


# -- the training that diverges --------------------------------------------------------------------------------------


def by_matrix(lr: float, momentum: float, decay: float) -> Array:
    """The weights after STEPS steps of a constant rate: powers of the 2 x 2 matrix that moves (w - w_end, v)."""
    end = CURVATURE * FITTED / (CURVATURE + decay)
    out = []
    for curvature, target in zip(CURVATURE, end, strict=True):
        pull = lr * (curvature + decay)
        step = np.array([[1 - pull, momentum], [-pull, momentum]])
        out.append(target + (np.linalg.matrix_power(step, STEPS) @ np.array([-target, 0.0]))[0])
    return np.array(out)


@pytest.mark.parametrize(("lr", "momentum", "decay"), [(0.005, 0.0, 0.1), (0.01, 0.9, 1.0), (0.002, 0.5, 1e-3)])
def test_descent_is_a_linear_recurrence(lr: float, momentum: float, decay: float) -> None:
    expected = np.sum(CURVATURE * (by_matrix(lr, momentum, decay) - GOAL) ** 2) / 2
    assert float(descent_loss(np.array([lr, momentum, decay, 1.0]))) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_descent_diverges_beyond_the_stable_rate(momentum: float) -> None:
    stable = 2 * (1 + momentum) / (CURVATURE.max() + 0.1)
    inside, beyond = descent_loss(np.array([[0.9 * stable, momentum, 0.1, 1.0], [1.3 * stable, momentum, 0.1, 1.0]]))
    assert math.isfinite(inside)
    assert beyond == math.inf
    assert list(DESCENT_SPACE.names) == ["lr", "momentum", "weight_decay", "final_lr"]


# -- noise -----------------------------------------------------------------------------------------------------------


def test_normal_noise_is_as_wide_as_it_says_and_comes_from_the_generator() -> None:
    report = normal(0.5)
    drawn = []
    for seed in range(2000):
        values = report({}, {"f": 1.0}, np.random.default_rng(seed)).values
        assert values is not None
        drawn.append(values["f"])
    assert report({}, {"f": 1.0}, np.random.default_rng(7)).values == {"f": drawn[7]}
    assert np.std(drawn) == pytest.approx(0.5, rel=5 / np.sqrt(2 * 2000))
    assert np.mean(drawn) == pytest.approx(1.0, abs=5 * 0.5 / np.sqrt(2000))


def test_log_normal_noise_multiplies_and_is_right_on_average() -> None:
    report, rng = log_normal(0.3), np.random.default_rng(4)
    drawn = np.array([(report({}, {"f": 100.0}, rng).values or {})["f"] for _ in range(4000)])
    assert np.std(np.log(drawn)) == pytest.approx(0.3, rel=5 / np.sqrt(2 * 4000))
    assert drawn.mean() == pytest.approx(100.0, abs=5 * 31 / np.sqrt(4000))
    assert (drawn > 0).all()


@pytest.mark.parametrize("name", [n for n in FAMILIES["noisy"] if "hpobench" not in n])
def test_noisy_problems_are_noisy_and_their_truth_is_not(name: str) -> None:
    bench = BY_NAME[name]
    params = bench.problem.space.sample(np.random.default_rng(5), 1)[0]
    rng = np.random.default_rng(6)
    kinds = Counter(str(bench.evaluate(params, rng).values) for _ in range(20))
    assert len(kinds) == 20
    assert bench.truth(params) == bench.truth(params)

"""Whole asks: batches of any size, many in flight, several objectives. Distinct, valid, explained, repeatable."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

import hpo
from hpo.problem.encoding import Encoder
from hpo.problem.space import key
from hpo.trials.pareto import hypervolume

Params = Mapping[str, Any]
WHY = {"role", "how", "predicted", "p_meets", "acquisition", "n_seen", "n_in_flight", "nearest", "seed"}
MODEL_ROLES = ("explore", "exploit", "feasibility")


def study_of(problem: hpo.Problem, result: Callable[[Params], dict[str, float]], n: int, seed: int = 0) -> hpo.Study:
    """With `n` results at random configurations."""
    study = hpo.open_study("p", problem, storage=":memory:", seed=seed)
    for params in problem.space.sample(np.random.default_rng(seed), n):
        study.add(params, result(params))
    return study


def only(names: Sequence[str]) -> Callable[[Params], dict[str, float]]:
    return lambda p: {name: value for name, value in mixed_result(p).items() if name in names}


def mixed_result(p: Params) -> dict[str, float]:
    y = p.get("y", 0.5)
    return {
        "gain": p["x"] + 0.1 * p["k"] - (y - 0.3) ** 2 + (p["kind"] == "b") * 0.2,
        "cost": 3 * p["x"] ** 2 + 0.5 * p["k"] + y,
        "size": p["k"] + 2 * p["x"],
        "ratio": 0.2 + 0.6 * p["x"],
    }


def mixed(*metrics: Any) -> hpo.Problem:
    """Categorical, whole, real and conditional parameters under a linear constraint."""
    space = hpo.Space(
        {
            "kind": hpo.Categorical(["a", "b", "c"]),
            "x": hpo.Float(0, 1),
            "k": hpo.Int(1, 9),
            "y": hpo.Float(0, 1, active_if={"kind": ["a", "b"]}),
        },
        constraints=["k + 4*x <= 11"],
    )
    return hpo.Problem(space, metrics)


def plane(seed: int = 0) -> hpo.Study:
    """Real parameters, one objective."""
    problem = hpo.Problem(hpo.Space({"x": hpo.Float(0, 1), "y": hpo.Float(0, 1)}), [hpo.Objective("v")])
    return study_of(problem, lambda p: {"v": -((p["x"] - 0.3) ** 2) - (p["y"] - 0.6) ** 2}, 8, seed)


def one_of_mixed() -> hpo.Study:
    return study_of(mixed(hpo.Objective("gain"), hpo.Constraint("size", upper=8.0)), only(["gain", "size"]), 12)


def several_of_mixed(seed: int = 0) -> hpo.Study:
    problem = mixed(
        hpo.Objective("gain"),
        hpo.Objective("cost", "minimize", threshold=8.0),
        hpo.Constraint("size", upper=8.0),
        hpo.Constraint("ratio", lower=0.1, upper=0.9),
    )
    return study_of(problem, mixed_result, 14, seed)


def nothing_feasible() -> hpo.Study:
    problem = mixed(hpo.Objective("gain"), hpo.Objective("cost", "minimize"), hpo.Constraint("size", upper=-5.0))
    return study_of(problem, only(["gain", "cost", "size"]), 10)


def whole(highest: int) -> hpo.Study:
    """`highest` configurations, six of them tried."""
    problem = hpo.Problem(hpo.Space({"i": hpo.Int(1, highest)}), [hpo.Objective("v")])
    return study_of(problem, lambda p: {"v": -((p["i"] - 0.3 * highest) ** 2.0)}, 6)


STUDIES = [plane, one_of_mixed, several_of_mixed, nothing_feasible]


def assert_distinct(study: hpo.Study) -> None:
    keys = [key(t.params) for t in study.trials]
    assert len(set(keys)) == len(keys)


def assert_explained(study: hpo.Study, batch: list[hpo.Trial]) -> None:
    """Every field is there, for every metric, and finite; each trial of a batch knows how many are before it."""
    problem, n_seen = study.problem, len(study.history.completed)
    first = batch[0].why["n_in_flight"]
    for i, trial in enumerate(batch):
        why = trial.why
        assert set(why) == WHY
        assert why["role"] in MODEL_ROLES
        assert set(why["predicted"]) == {m.name for m in problem.metrics}
        assert set(why["p_meets"]) == {m.name for m in problem.limited}
        assert all(0.0 <= p <= 1.0 for p in why["p_meets"].values())
        assert all(np.isfinite(mean) and sd > 0.0 for mean, sd in why["predicted"].values())
        assert np.isfinite(why["acquisition"])
        assert (why["n_seen"], why["n_in_flight"], why["seed"]) == (n_seen, first + i, study.seed)
        assert study.trials[why["nearest"]].state == hpo.TrialState.COMPLETED


# -- batches ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", STUDIES)
def test_large_batches_are_distinct_valid_and_explained(make: Callable[[], hpo.Study]) -> None:
    study = make()
    for n in (20, 100, 300):  # searched one by one and from a pool; from a pool; from a pool, with many in flight
        batch = study.ask(n)
        assert len(batch) == n
        assert all(study.problem.space.contains(t.params) for t in batch)
        assert_explained(study, batch)
    assert_distinct(study)


@pytest.mark.parametrize("make", STUDIES)
def test_one_by_one_with_many_in_flight_stays_distinct(make: Callable[[], hpo.Study]) -> None:
    study = make()
    study.ask(63)
    for n_in_flight in range(63, 70):  # up to 64 they are averaged over, beyond a pool takes their place
        trial = study.ask()
        assert study.problem.space.contains(trial.params)
        assert trial.why["n_in_flight"] == n_in_flight
    assert_distinct(study)


@pytest.mark.parametrize("seed", range(3))
def test_a_large_batch_is_spread(seed: int) -> None:
    """Half of the pool lies around the best three, down to a hundredth of a hundredth apart; that is not what is picked."""
    study = plane(seed)
    X = Encoder(study.problem.space).encode([t.params for t in study.ask(100)])
    gaps = np.linalg.norm(X[:, None] - X[None], axis=2) + np.eye(len(X))
    assert np.median(gaps.min(axis=1)) > 0.01


@pytest.mark.parametrize("n", [20, 80, 300])
@pytest.mark.parametrize("highest", [30, 60])
def test_a_small_space_is_given_out_to_the_last(highest: int, n: int) -> None:
    study = whole(highest)
    batch = study.ask(n)
    assert len(batch) == min(n, highest - 6)
    assert_distinct(study)
    assert_explained(study, batch)
    if len(study.trials) < highest:
        study.ask(300)
    assert {t.params["i"] for t in study.trials} == set(range(1, highest + 1))
    with pytest.raises(hpo.SpaceExhausted):
        study.ask(2)


@pytest.mark.parametrize("n", [10, 100])
def test_a_space_too_large_to_list_is_given_out_to_the_last(n: int) -> None:
    first = whole(2100)
    by_chance = hpo.open_study("p", storage=first.storage, strategy=hpo.strategies.Random())
    assert len(by_chance.ask(2100 - 6 - 7)) == 2100 - 6 - 7
    study = hpo.open_study("p", storage=first.storage, strategy=hpo.strategies.Bayesian())
    assert len(study.ask(n)) == 7
    assert {t.params["i"] for t in study.trials} == set(range(1, 2101))
    with pytest.raises(hpo.SpaceExhausted):
        study.ask()


@pytest.mark.parametrize("make", [plane, several_of_mixed])
def test_a_batch_of_seventy_replays(make: Callable[[], hpo.Study]) -> None:
    study = make()
    study.ask(3)
    study.ask(70)
    study.ask()
    replay = study.replay()
    assert replay.n_checked == 74
    assert replay.is_identical, str(replay)


@pytest.mark.parametrize("make", [plane, several_of_mixed])
def test_same_seed_same_suggestions_whatever_else_is_drawn(make: Callable[[int], hpo.Study]) -> None:
    first = [t.params for n in (2, 70) for t in make(1).ask(n)]
    np.random.rand(3)
    before = np.random.get_state()[1].tolist()  # type: ignore[index]
    assert [t.params for n in (2, 70) for t in make(1).ask(n)] == first
    assert np.random.get_state()[1].tolist() == before  # type: ignore[index]
    assert [t.params for n in (2, 70) for t in make(2).ask(n)] != first


# -- several objectives -----------------------------------------------------------------------------------------------


def branin_currin(p: Params) -> dict[str, float]:
    """Two objectives to minimize (Belakaria et al. 2019)."""
    x, y = float(p["x"]), float(p["y"])
    u, v = 15 * x - 5, 15 * y
    branin = (v - 5.1 / (4 * np.pi**2) * u**2 + 5 / np.pi * u - 6) ** 2 + 10 * (1 - 1 / (8 * np.pi)) * np.cos(u) + 10
    shrink = 1 - np.exp(-1 / (2 * max(y, 1e-9)))
    currin = shrink * (2300 * x**3 + 1900 * x**2 + 2092 * x + 60) / (100 * x**3 + 500 * x**2 + 4 * x + 20)
    return {"branin": float(branin), "currin": float(currin)}


def square() -> hpo.Problem:
    return hpo.Problem(
        hpo.Space({"x": hpo.Float(0, 1), "y": hpo.Float(0, 1)}),
        [
            hpo.Objective("branin", "minimize", threshold=18.0),
            hpo.Objective("currin", "minimize", threshold=6.0),
        ],
    )


def test_batches_and_trials_in_flight_are_distinct_and_spread() -> None:
    study = several_of_mixed()
    batch = [*study.ask(2), *study.ask(3)]
    assert_distinct(study)
    assert_explained(study, batch)
    assert {t.why["role"] for t in batch} <= {"explore", "exploit"}
    spread = np.ptp(Encoder(study.problem.space).encode([t.params for t in batch]), axis=0)
    assert spread.max() > 0.05


def test_constraints_come_first_until_one_trial_meets_them() -> None:
    study = nothing_feasible()
    assert {t.why["role"] for t in [study.ask(), *study.ask(70)]} == {"feasibility"}
    study.edit_metric(hpo.Constraint("size", upper=8.0), reason="looser")
    assert study.ask().why["role"] in ("explore", "exploit")


def test_limits_are_met_by_what_is_suggested() -> None:
    """A third of the space is beyond the limit; half of what a random search suggests would miss it."""
    problem = mixed(hpo.Objective("gain"), hpo.Objective("cost", "minimize"), hpo.Constraint("size", upper=4.0))
    study = study_of(problem, only(["gain", "cost", "size"]), 16)
    assert study.history.feasible
    sizes = [mixed_result(t.params)["size"] for t in study.ask(10)]
    assert np.mean(np.array(sizes) <= 4.0) >= 0.7
    drawn = [mixed_result(p)["size"] for p in problem.space.sample(np.random.default_rng(0), 200)]
    assert np.mean(np.array(drawn) <= 4.0) < 0.5


def test_failed_trials_are_learned_from() -> None:
    study = study_of(square(), branin_currin, 8)
    for _ in range(3):
        study.fail(study.ask(), "diverged")
    for trial in [study.ask(), *study.ask(70)]:
        assert 0.0 <= trial.why["p_success"] <= 1.0


def test_a_run_covers_more_than_random_search() -> None:
    """With 14 trials, more than the best of ten random searches of as many."""
    reference = np.array([-18.0, -6.0])

    def covered(results: list[dict[str, float]]) -> float:
        return hypervolume(-np.array([[r["branin"], r["currin"]] for r in results]), reference)

    reached, by_chance = [], []
    for seed in range(2):
        study = hpo.open_study(f"run-{seed}", square(), storage=":memory:", seed=seed)
        hpo.run(study, lambda trial: branin_currin(trial.params), budget=hpo.Budget(trials=14))
        reached.append(covered([branin_currin(t.params) for t in study.trials]))
        drawn = study.problem.space.sample(np.random.default_rng(seed), 14 * 5)
        by_chance += [covered([branin_currin(p) for p in drawn[i::5]]) for i in range(5)]
    assert min(reached) > max(by_chance)


def test_a_run_with_several_objectives_replays() -> None:
    study = hpo.open_study("again", square(), storage=":memory:", seed=3)
    hpo.run(study, lambda trial: branin_currin(trial.params), budget=hpo.Budget(trials=7))
    assert [t.why["role"] for t in study.trials].count("initial") < 7
    replay = study.replay()
    assert replay.n_checked == 7
    assert replay.is_identical, str(replay)


@pytest.mark.parametrize("threshold", [None, 1e6])
@pytest.mark.parametrize(
    "u",
    [
        lambda x: 0.0,
        lambda x: float(x > 0.5),
        lambda x: 1e300 * x,
        lambda x: 1e-30 * x,
        lambda x: -1e308 if x < 0.5 else 1e308,
        lambda x: -float(np.exp(600 * x)),
    ],
    ids=["constant", "step", "huge", "tiny", "extreme", "steep"],
)
def test_no_values_make_it_raise(u: Callable[[float], float], threshold: float | None) -> None:
    problem = hpo.Problem(square().space, [hpo.Objective("u", threshold=threshold), hpo.Objective("v", "minimize")])
    study = study_of(problem, lambda p: {"u": u(p["x"]), "v": p["y"]}, 8)
    batch = [study.ask(), *study.ask(2), *study.ask(70)]
    assert {t.why["role"] for t in batch} <= {"explore", "exploit"}
    assert np.isfinite([t.why["acquisition"] for t in batch]).all()
    assert np.isfinite([pair for t in batch for pair in t.why["predicted"].values()]).all()

"""The problems that are held out: against BoTorch's copies, and that they are all that the rule says."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from benchmarks.problems import BY_NAME, FAMILIES, half
from benchmarks.problems import held_out as ours
from benchmarks.problems.base import Array
from benchmarks.problems.formula import limits, placed, uniform
from benchmarks.problems.scale import entries

FUNCTIONS: Mapping[str, tuple[Callable[[Array], Array], str, dict[str, int]]] = {
    "beale": (ours.beale, "Beale", {}),
    "bukin": (ours.bukin, "Bukin", {}),
    "cosine8": (lambda x: -ours.cosine_mixture(x), "Cosine8", {}),
    "drop_wave": (ours.drop_wave, "DropWave", {}),
    "dixon_price5": (ours.dixon_price, "DixonPrice", {"dim": 5}),
    "egg_holder": (ours.egg_holder, "EggHolder", {}),
    "holder_table": (ours.holder_table, "HolderTable", {}),
    "powell8": (ours.powell, "Powell", {"dim": 8}),
    "rastrigin5": (ours.rastrigin, "Rastrigin", {"dim": 5}),
    "shekel4": (ours.shekel, "Shekel", {}),
    "six_hump_camel": (ours.six_hump_camel, "SixHumpCamel", {}),
    "three_hump_camel": (ours.three_hump_camel, "ThreeHumpCamel", {}),
    "gramacy2": (lambda x: ours.gramacy2(x)["f"], "ConstrainedGramacy", {}),
    "hartmann6_ball": (lambda x: ours.hartmann6_ball(x)["f"], "ConstrainedHartmann", {"dim": 6}),
    "keane_bump10": (lambda x: ours.keane_bump(x)["f"], "KeaneBumpFunction", {"dim": 10}),
}
MOVED = ("cosine8", "drop_wave", "powell8", "rastrigin5", "three_hump_camel")
IN_A_FAMILY = (
    *("Ackley", "Branin", "Griewank", "Hartmann", "Levy", "Michalewicz", "Rosenbrock", "StyblinskiTang"),
    *("PressureVessel", "WeldedBeamSO", "TensionCompressionString", "SpeedReducer"),
)
LEFT_OUT = ("AckleyMixed", "Labs", "TrajectoryPlanning", "ConstrainedHartmannSmooth")


def oracle(name: str, arguments: Mapping[str, int]) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from botorch.test_functions import synthetic
    return getattr(synthetic, name)(**arguments)


@pytest.mark.parametrize("name", list(FUNCTIONS))
def test_functions_and_boxes_are_botorchs(name: str) -> None:
    import torch

    function, theirs, arguments = FUNCTIONS[name]
    other, space = oracle(theirs, arguments), BY_NAME[name].problem.space
    np.testing.assert_allclose(np.stack(limits(space)), other.bounds.numpy())
    x = uniform(space, np.random.default_rng(1), 500)
    # BoTorch keeps Hartmann's and Shekel's constants in single precision.
    np.testing.assert_allclose(function(x), other.evaluate_true(torch.tensor(x)).numpy(), rtol=2e-6, atol=1e-9)


@pytest.mark.parametrize("name", ["gramacy2", "hartmann6_ball", "keane_bump10"])
def test_limits_are_botorchs(name: str) -> None:
    import torch

    bench = BY_NAME[name]
    _, theirs, arguments = FUNCTIONS[name]
    x = uniform(bench.problem.space, np.random.default_rng(2), 500)
    expected = (oracle(theirs, arguments).evaluate_slack_true(torch.tensor(x)).numpy() >= 0).all(axis=-1)
    rows = [bench.truth(dict(zip(bench.problem.space.names, row, strict=True))) for row in x.tolist()]
    met = [
        all(
            (c.lower is None or row[c.name] >= c.lower) and (c.upper is None or row[c.name] <= c.upper)
            for c in bench.problem.constraints
        )
        for row in rows
    ]
    assert met == expected.tolist()
    assert 0 < sum(met) < len(met)


@pytest.mark.parametrize("name", MOVED)
def test_what_was_best_in_the_middle_is_moved(name: str) -> None:
    low, high = limits(BY_NAME[name].problem.space)
    u = (np.array(list(entries()[name]["at"].values())) - low) / (high - low)
    np.testing.assert_allclose(u, placed(name, len(low)))


def test_published_optima() -> None:
    published = {"egg_holder": -959.6407, "holder_table": -19.2085, "shekel4": -10.536443, "six_hump_camel": -1.0316}
    for name, value in {**published, "gramacy2": 0.5998, "cosine8": -0.8, "drop_wave": -1.0}.items():
        assert BY_NAME[name].best == pytest.approx(value, abs=1e-4)
    for name in ("beale", "bukin", "dixon_price5", "powell8", "rastrigin5", "three_hump_camel"):
        assert BY_NAME[name].best == pytest.approx(0.0, abs=1e-12)
    # Hartmann6's optimum lies in the ball.
    assert BY_NAME["hartmann6_ball"].best == pytest.approx(BY_NAME["hartmann6"].best, abs=1e-7)


def test_nothing_that_the_rule_names_is_left_out() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from botorch.test_functions import synthetic
    base = synthetic.SyntheticTestFunction
    every = {n for n, c in vars(synthetic).items() if isinstance(c, type) and issubclass(c, base)}
    abstract = {"SyntheticTestFunction", "ConstrainedSyntheticTestFunction"}
    assert every - abstract == {theirs for _, theirs, _ in FUNCTIONS.values()} | {*IN_A_FAMILY, *LEFT_OUT}
    assert {half(name) for name in FAMILIES["held_out"]} == {"validation"}

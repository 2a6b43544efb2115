"""The space as the search sees it: what the space allows, and nothing else."""

import itertools

import numpy as np
import pytest

import hpo
from hpo.bayes.domain import domain_of
from hpo.bayes.kernel import Array
from hpo.bayes.maximize import perturb
from hpo.encoding import Encoder

NAMES = "abc"


def lattice() -> hpo.Space:
    """Many of its points lie on the boundary, where rounding decides on which side."""
    whole = {name: hpo.Int(0, 20) for name in NAMES}
    return hpo.Space({**whole, "z": hpo.Float(0, 1)}, ["0.1*a + 0.2*b + 0.3*c <= 3"])


def test_lattice_points_on_the_boundary_are_inside() -> None:
    space = lattice()
    encoder = Encoder(space)
    points = [{**dict(zip(NAMES, v, strict=True)), "z": 0.5} for v in itertools.product(range(21), repeat=3)]
    inside = domain_of(encoder).contains(encoder.encode(points))
    assert inside.tolist() == [space.contains(p) for p in points]


@pytest.mark.parametrize("best", [{"a": 7, "b": 4, "c": 5}, {"a": 8, "b": 5, "c": 4}])
def test_a_best_configuration_on_the_boundary_is_found(best: dict[str, int]) -> None:
    study = hpo.open_study("edge", hpo.Problem(lattice(), [hpo.Objective("y")]), storage=":memory:", seed=1)
    for _ in range(30):
        trial = study.ask()
        assert study.problem.space.contains(trial.params)
        away = sum((trial.params[name] - best[name]) ** 2 for name in NAMES) / 10 + (trial.params["z"] - 0.5) ** 2
        study.tell(trial, {"y": -away})
    assert {name: study.best.params[name] for name in NAMES} == best


@pytest.mark.parametrize("text", ["1 <= a + b + c <= 1", "0.999 <= a + b + c <= 1"])
def test_the_best_mixture_is_inside_not_on_an_edge(text: str) -> None:
    """Shares that add up to one: there is next to no room around any of them, and all of the simplex between them."""
    space = hpo.Space({name: hpo.Float(0, 1) for name in NAMES}, [text])
    study = hpo.open_study("mixture", hpo.Problem(space, [hpo.Objective("y")]), storage=":memory:", seed=1)
    for _ in range(25):
        trial = study.ask()
        assert space.contains(trial.params)
        study.tell(trial, {"y": -((trial.params["a"] - 0.3) ** 2) - (trial.params["b"] - 0.3) ** 2})
    assert study.best.values["y"].value > -1e-3  # the nearest edge has -0.045


def test_units_however_small_do_not_matter() -> None:
    space = hpo.Space({"a": hpo.Float(0, 1e-9), "b": hpo.Float(0, 1e-9)}, ["a <= b"])
    assert not space.contains({"a": 1e-9, "b": 0.99e-9})
    study = hpo.open_study("tiny", hpo.Problem(space, [hpo.Objective("y")]), storage=":memory:", seed=1)
    for _ in range(15):
        trial = study.ask()
        a, b = 1e9 * trial.params["a"], 1e9 * trial.params["b"]
        assert a <= b + 1e-9
        study.tell(trial, {"y": a - 2 * abs(b - 0.5)})
    assert study.best.values["y"].value > 0.45  # 0.5 where both are 0.5


CONDITIONAL = hpo.Space(
    {
        "kind": hpo.Categorical(["a", "b", "c"]),
        "size": hpo.Categorical([1, 2, 4, 8], ordered=True),
        "depth": hpo.Int(1, 200, log=True, active_if={"kind": ["a", "b"]}),
        "rate": hpo.Float(0, 1, active_if={"kind": ["b"]}),
        "n": hpo.Int(0, 20),
        "one": hpo.Categorical(["only"]),
    },
    ["n + 10*rate <= 22"],
)


def changed(encoder: Encoder, X: Array, to: Array) -> list[set[str]]:
    """Which of the parameters of both rows differ."""
    pairs = zip(encoder.decode(X), encoder.decode(to), strict=True)
    return [{name for name in set(a) & set(b) if a[name] != b[name]} for a, b in pairs]


def test_a_move_changes_one_discrete_parameter_and_stays_in_the_space() -> None:
    for space in (CONDITIONAL, lattice()):
        encoder, rng = Encoder(space), np.random.default_rng(0)
        nearby = domain_of(encoder).nearby
        assert nearby is not None
        X = encoder.encode(space.sample(rng, 300))
        moved = nearby(X, np.full(300, 0.05), rng)
        assert all(space.contains(p) for p in encoder.decode(moved))
        np.testing.assert_array_equal(moved, encoder.snapped(moved))
        names = changed(encoder, X, moved)
        assert max(map(len, names)) == 1
        assert set().union(*names) == {name for name in encoder.levels if name != "one"}
        assert sum(map(len, names)) > 250, "only what a constraint forbids stays"


def test_numbers_move_by_few_levels() -> None:
    encoder, rng = Encoder(hpo.Space({"i": hpo.Int(0, 100)})), np.random.default_rng(0)
    nearby = domain_of(encoder).nearby
    assert nearby is not None
    for i in (0, 50, 100):
        X = encoder.encode([{"i": i}] * 500)
        for size, most in ((0.001, 5), (0.1, 50)):
            away = [abs(p["i"] - i) for p in encoder.decode(nearby(X, np.full(500, size), rng))]
            assert min(away) == 1
            assert most / 5 < max(away) <= most


def test_what_is_near_a_discrete_configuration_is_another_one() -> None:
    encoder = Encoder(hpo.Space({name: hpo.Int(1, 50) for name in "abcd"}))
    incumbents = encoder.encode([dict.fromkeys("abcd", v) for v in (1, 25, 50)])
    near = perturb(incumbents, 512, np.random.default_rng(0), domain_of(encoder))
    copies = (np.abs(near[:, None] - incumbents).max(axis=2) < 1e-9).any(axis=1)
    assert copies.mean() < 0.05, "some return by their second move"
    assert len(np.unique(near, axis=0)) > 200


def test_half_of_what_is_near_a_mixed_configuration_keeps_its_choices() -> None:
    space = hpo.Space({"x": hpo.Float(0, 1), "kind": hpo.Categorical(["a", "b", "c"]), "n": hpo.Int(1, 9)})
    encoder = Encoder(space)
    incumbents = encoder.encode([{"x": 0.5, "kind": "b", "n": 4}])
    near = encoder.decode(perturb(incumbents, 1000, np.random.default_rng(0), domain_of(encoder)))
    kept = [p["kind"] == "b" and p["n"] == 4 for p in near]
    assert 0.4 < np.mean(kept) < 0.65
    assert len({p["x"] for p in near}) == 1000


def test_nothing_is_drawn_for_moves_where_everything_is_continuous() -> None:
    assert domain_of(Encoder(hpo.Space({"x": hpo.Float(0, 1)}))).nearby is None

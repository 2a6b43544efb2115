"""The space as the search sees it: what the space allows, and nothing else."""

import itertools

import pytest

import hpo
from hpo.bayes.domain import domain_of
from hpo.problem.encoding import Encoder

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

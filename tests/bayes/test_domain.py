"""The space as the search sees it: what the space allows, and nothing else."""

import itertools

import pytest

import hpo
from hpo.bayes.domain import domain_of
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

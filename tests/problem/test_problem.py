"""Problems: what cannot be one, and when two are the same."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

import hpo
from hpo.errors import DefinitionChanged, MetricError, NotFound, SpaceError

Y = [hpo.Objective("y")]


def of(choices: list[Any], **more: Any) -> hpo.Problem:
    return hpo.Problem(hpo.Space({"c": hpo.Categorical(choices, **more)}), Y)


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (
            {"x": hpo.Categorical(["a"])},
            "a problem needs a Space, got {'x': Categorical(['a'])}; put its parameters into one: Space({...})",
        ),
        (None, "a problem needs a Space, got None"),
        (["x"], "a problem needs a Space, got ['x']"),
    ],
)
def test_a_problem_needs_a_space(space: Any, message: str) -> None:
    with pytest.raises(SpaceError) as caught:
        hpo.Problem(space, Y)
    assert str(caught.value) == message
    with pytest.raises(SpaceError, match="a problem needs a Space"):
        hpo.Problem(Y, hpo.Space({"x": hpo.Float(0, 1)}))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("stored", "given", "difference"),
    [
        ([0, 1], [False, True], "c.choices: stored 0, 1, given False, True"),
        ([1, 2], [1.0, 2.0], "c.choices: stored 1, 2, given 1.0, 2.0"),
        ([1, 2], ["1", "2"], 'c.choices: stored [1, 2], given ["1", "2"]'),
        ([None], ["None"], 'c.choices: stored [null], given ["None"]'),
    ],
)
def test_values_of_another_type_are_another_definition(stored: list[Any], given: list[Any], difference: str) -> None:
    assert of(stored).differences(of(given)) == [difference]
    assert of(stored).differences(of(stored)) == []
    study = hpo.open_study("s", of(stored), storage=":memory:", seed=1)
    with pytest.raises(DefinitionChanged) as caught:
        hpo.open_study("s", of(given), storage=study.storage)
    assert caught.value.differences == (difference,)
    hpo.open_study("s", of(stored), storage=study.storage)


def test_types_count_in_conditions_too() -> None:
    def space(value: Any) -> hpo.Space:
        return hpo.Space({"c": hpo.Categorical([True, "a"]), "x": hpo.Int(1, 2, active_if={"c": [value]})})

    same, other = hpo.Problem(space(True), Y), hpo.Problem(space("a"), Y)
    assert same.differences(same) == []
    assert same.differences(other) == ["x.active_if: stored {'c': [True]}, given {'c': ['a']}"]


SPACE = hpo.Space({"x": hpo.Float(0, 1)})


@pytest.mark.parametrize(
    ("metrics", "problems"),
    [
        ([], ('a problem needs something to aim at, like Objective("accuracy", goal="maximize")',)),
        (
            [hpo.Tracked("z")],
            ('a problem needs something to aim at, like Objective("accuracy", goal="maximize")',),
        ),
        (
            "accuracy",
            ("'accuracy' is no metric; use Objective, Constraint or Tracked: Objective('accuracy')",),
        ),
        (
            ["y", 3],
            (
                "'y' is no metric; use Objective, Constraint or Tracked: Objective('y')",
                "3 is no metric; use Objective, Constraint or Tracked",
            ),
        ),
        (
            [*Y, hpo.Constraint("y", upper=1), hpo.Tracked("z"), hpo.Tracked("z")],
            ("metric 'y' is defined twice", "metric 'z' is defined twice"),
        ),
    ],
)
def test_metrics_that_cannot_stand_together(metrics: Any, problems: tuple[str, ...]) -> None:
    with pytest.raises(MetricError) as caught:
        hpo.Problem(SPACE, metrics)
    assert caught.value.problems == problems


def test_one_metric_needs_no_list_and_a_constraint_is_enough_to_aim_at() -> None:
    assert hpo.Problem(SPACE, Y[0]).metrics == (Y[0],)  # type: ignore[arg-type]
    limit = hpo.Constraint("c", upper=1)
    assert hpo.Problem(SPACE, limit).constraints == (limit,)  # type: ignore[arg-type]


def test_metrics_by_what_they_are_for() -> None:
    y, t = hpo.Objective("y"), hpo.Objective("t", "minimize", threshold=3)
    c, z = hpo.Constraint("c", upper=1), hpo.Tracked("z")
    problem = hpo.Problem(SPACE, [y, c, z, t])
    assert (problem.objectives, problem.constraints, problem.limited) == ((y, t), (c,), (c, t))


def test_a_metric_is_found_by_its_name() -> None:
    problem = hpo.Problem(SPACE, [*Y, hpo.Constraint("latency", upper=1)])
    assert problem.metric("latency").name == "latency"
    with pytest.raises(NotFound) as caught:
        problem.metric("latenzy")
    assert str(caught.value) == "no metric 'latenzy' (have: y, latency). Did you mean 'latency'?"


def test_a_metric_is_replaced_by_the_one_of_its_name() -> None:
    problem = hpo.Problem(SPACE, [*Y, hpo.Constraint("c", upper=1)])
    changed = problem.with_metric(hpo.Constraint("c", upper=2))
    assert changed.metrics == (Y[0], hpo.Constraint("c", upper=2))
    assert problem.metrics[1] == hpo.Constraint("c", upper=1)
    assert changed.space is problem.space


def test_what_differs_is_told_field_by_field() -> None:
    stored = hpo.Problem(
        hpo.Space({"a": hpo.Float(0, 1), "b": hpo.Int(1, 9), "gone": hpo.Int(1, 2)}, ["a + b <= 5"]),
        [hpo.Objective("y"), hpo.Tracked("old")],
    )
    given = hpo.Problem(
        hpo.Space({"b": hpo.Int(1, 8), "a": hpo.Int(0, 1), "new": hpo.Int(1, 2)}),
        [hpo.Objective("y", "minimize", threshold=2), hpo.Tracked("added")],
    )
    assert stored.differences(given) == [
        "a.type: stored Float, given Int",
        "a.low: stored 0.0, given 0",
        "a.high: stored 1.0, given 1",
        "b.high: stored 9, given 8",
        "parameter 'gone': stored, not given",
        "parameter 'new': given, not stored",
        "y.goal: stored maximize, given minimize",
        "y.threshold: stored nothing, given 2.0",
        "metric 'old': stored, not given",
        "metric 'added': given, not stored",
        "constraints: stored a + b <= 5, given nothing",
    ]


def test_the_hash_is_that_of_the_definition_on_every_machine() -> None:
    """Stored with every study: it may not change."""
    problem = hpo.Problem(hpo.Space({"x": hpo.Float(0, 1), "k": hpo.Int(1, 9)}, ["x + k <= 5"]), Y)
    written = (
        '{"constraints": ["x + k <= 5"], "metrics": {"y": {"goal": "maximize", "role": "Objective"}}, "space": '
        '{"k": {"high": 9, "low": 1, "type": "Int"}, "x": {"high": 1.0, "low": 0.0, "type": "Float"}}}'
    )
    assert problem.hash == hashlib.sha256(written.encode()).hexdigest()[:16]
    assert problem.hash != hpo.Problem(hpo.Space({"x": hpo.Float(0, 1), "k": hpo.Int(1, 9)}), Y).hash

"""Frozen mappings, and the values that are made of them: unchangeable, hashable, and themselves after a journey."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
from collections.abc import Callable
from typing import Any

import pytest

import hpo
from hpo.common.frozen import Frozen
from hpo.problem.linear_constraints import parse


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.__setitem__("a", 2),
        lambda m: m.pop("a"),
        lambda m: m.clear(),
        lambda m: m.update(b=1),
        lambda m: m.setdefault("b", 1),
        lambda m: m.__ior__({"b": 1}),
        lambda m: m.__delitem__("a"),
    ],
)
def test_a_frozen_mapping_refuses_every_change(change: Callable[[Any], object]) -> None:
    frozen = Frozen({"a": 1})
    with pytest.raises(TypeError, match=r"cannot be changed; work on a copy: dict\(\.\.\.\)"):
        change(frozen)
    assert frozen == {"a": 1}


def test_a_frozen_mapping_is_a_dict_in_all_else() -> None:
    frozen = Frozen({"a": 1, "b": 2})
    assert frozen == {"b": 2, "a": 1}
    assert hash(frozen) == hash(Frozen({"b": 2, "a": 1}))
    assert repr(frozen) == "{'a': 1, 'b': 2}"
    assert json.dumps(frozen) == '{"a": 1, "b": 2}'
    for again in (pickle.loads(pickle.dumps(frozen)), copy.deepcopy(frozen)):
        assert again == frozen
        assert type(again) is Frozen


def problem() -> hpo.Problem:
    return hpo.Problem(
        hpo.Space(
            {
                "c": hpo.Categorical([None, 1, "x"], default=None),
                "n": hpo.Int(1, 9, active_if={"c": [1]}),
                "x": hpo.Float(0, 1),
            },
            ["n + x <= 9"],
        ),
        [hpo.Objective("y")],
    )


def test_definitions_cannot_be_changed_inside() -> None:
    space = problem().space
    for mapping in (space.parameters, space["n"].active_if, space.linear[0].coefficients):
        with pytest.raises(TypeError, match="cannot be changed"):
            mapping["x"] = 1  # type: ignore[index]
    given = {"x": hpo.Float(0, 1)}
    held = hpo.Space(given)
    given["y"] = hpo.Float(0, 1)
    assert held.names == ("x",)


def test_equal_definitions_have_equal_hashes() -> None:
    one, other = problem(), problem()
    for a, b in ((one, other), (one.space, other.space), (one.space["n"], other.space["n"])):
        assert a == b
        assert hash(a) == hash(b)
        for again in (pickle.loads(pickle.dumps(a)), copy.deepcopy(a), dataclasses.replace(a)):
            assert again == a
            assert hash(again) == hash(a)
    assert hash(parse("a + b <= 1")[0]) == hash(parse("b + a <= 1")[0])
    assert len({one.space, other.space, hpo.Space({"x": (0, 1)})}) == 2
    names = {"Space": hpo.Space, "Float": hpo.Float, "Int": hpo.Int, "Categorical": hpo.Categorical}
    assert eval(repr(one.space), names) == one.space


def test_a_trial_has_a_hash() -> None:
    study = hpo.open_study("s", problem(), storage=":memory:", seed=1)
    trial = study.ask()
    assert trial in {trial}
    assert hash(pickle.loads(pickle.dumps(trial))) == hash(trial)
    assert len({*study.trials, *study.trials, study.ask()}) == 2

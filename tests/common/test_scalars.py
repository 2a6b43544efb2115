"""Numbers of array libraries: taken as Python's own where they are numbers, refused where they are not."""

from __future__ import annotations

import decimal
import enum
import fractions
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import hpo
from hpo.common.scalars import plain, whole
from hpo.errors import MetricError, NotANumber, NotFinite, ParamsError, SettingsError, SpaceError
from hpo.problem.json_format import problem_from_json, problem_to_json
from hpo.problem.parameters import Categorical, Float, Int
from hpo.problem.space import Space, key
from hpo.trials.results import checked_result

Y = [hpo.Objective("y")]


class OnDevice:
    """A scalar of an accelerator: it has an item, and no array in the memory of this machine."""

    shape = ()

    def __init__(self, value: float) -> None:
        self.value = value

    def item(self) -> float:
        return self.value

    def __float__(self) -> float:
        raise TypeError("copy it to the host first")


class Level(enum.IntEnum):
    LOW = 1


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (np.int64(3), 3),
        (np.uint8(3), 3),
        (np.float64(0.5), 0.5),
        (np.float32(0.5), 0.5),
        (np.bool_(True), True),
        (np.str_("a"), "a"),
        (np.array(3), 3),
        (torch.tensor(0.5), 0.5),
        (np.array([0.5]), 0.5),
        (np.array([[3]]), 3),
        (np.array(["a"]), "a"),
        (np.longdouble(0.5), 0.5),
        (torch.tensor([0.5], requires_grad=True), 0.5),
        (torch.tensor([[True]]), True),
        (OnDevice(0.5), 0.5),
        (decimal.Decimal("0.5"), 0.5),
        (decimal.Decimal(3), 3),
        (decimal.Decimal("1e999999999"), math.inf),
        (fractions.Fraction(1, 2), 0.5),
        (fractions.Fraction(3), 3),
        (fractions.Fraction(10**400), 10**400),
        (Level.LOW, 1),
        (3, 3),
        ("a", "a"),
        (None, None),
    ],
)
def test_scalars_become_pythons_own(given: object, wanted: object) -> None:
    assert plain(given) == wanted
    assert type(plain(given)) is type(wanted)


def test_what_is_no_scalar_stays() -> None:
    for value in (
        [1],
        (),
        {},
        np.array([1, 2]),
        np.array([]),
        object(),
        np.datetime64("2026-01-01"),
        np.float64,
        Level,
    ):
        assert plain(value) is value


def test_whole_numbers_of_every_library() -> None:
    for three in (
        3,
        np.int64(3),
        np.uint8(3),
        np.array([3]),
        torch.tensor(3),
        decimal.Decimal(3),
        fractions.Fraction(3),
    ):
        assert whole(three) == 3
        assert type(whole(three)) is int
    for none in (True, np.bool_(True), 3.0, np.float64(3), fractions.Fraction(7, 2), "3", None, [3], np.array([3, 3])):
        assert whole(none) is None


def test_whole_numbers_of_every_library_are_counts_and_seeds() -> None:
    problem = hpo.Problem(Space({"x": Float(0, 1)}), Y)
    for n in (np.int64(3), np.array([3]), torch.tensor(3), fractions.Fraction(3)):
        any_n: Any = n
        study = hpo.open_study("s", problem, storage=":memory:", seed=any_n, strategy=hpo.strategies.Bayesian(any_n))
        assert (study.seed, study.facts["strategy"]) == (3, {"name": "bayesian", "n_initial": 3})
        assert len(study.ask(any_n)) == len(study.leases.claim(any_n, "me", lease=9.0)) == 3
        assert study.tell(any_n, {"y": 1.0}).number == 3
        assert study.cancel(study.ask(any_n)[0], "enough").state == "cancelled"
        assert hpo.Budget(trials=any_n, wall=any_n).to_json() == {"trials": 3, "wall": 3}
        assert hpo.strategies.Grid({"x": any_n}).levels == {"x": 3}
        assert (hpo.strategies.Grid(any_n).levels, hpo.strategies.OneAtATime(any_n).values) == (3, 3)
        assert (
            hpo.simulate(problem, workers=[any_n], trials=any_n, duration=1.0, repeats=any_n, seed=any_n).repeats == 3
        )
    for no_count in (True, 3.0, "3", 0):
        wrong: Any = no_count
        for refused in (study.ask, hpo.strategies.Bayesian, hpo.strategies.OneAtATime, hpo.strategies.Grid):
            with pytest.raises(SettingsError):
                refused(wrong)
        with pytest.raises(SettingsError, match=r"^budget\.trials: "):
            hpo.Budget(trials=wrong)


def test_params_of_numpy_are_the_same_configuration() -> None:
    space = Space(
        {
            "n": Int(1, 9),
            "x": Float(0, 1),
            "flag": Categorical([True, False]),
            "deep": Int(1, 3, active_if={"flag": [True]}),
            "kind": Categorical(["a", 2]),
        },
        constraints=["n + deep <= 6"],
    )
    python = {"n": 3, "x": 0.5, "flag": True, "deep": 2, "kind": "a"}
    numpy = {"n": np.int64(3), "x": np.float32(0.5), "flag": np.bool_(True), "deep": np.array(2), "kind": np.str_("a")}
    assert space.fault(numpy) is None
    canonical = space.canonical(numpy)
    assert repr(canonical) == repr(python)
    assert key(canonical) == key(python)
    assert space.canonical({**python, "kind": np.int8(2)})["kind"] == 2
    with pytest.raises(ParamsError, match=r"'n \+ deep <= 6' does not hold"):
        space.canonical({**numpy, "n": np.int64(5)})


@pytest.mark.parametrize(
    ("parameter", "value", "fault"),
    [
        (Int(1, 9), np.int64(30), "is outside [1, 9]"),
        (Int(0, 9), np.bool_(True), "is not a whole number"),
        (Int(0, 9), np.float64(3.5), "is not a whole number"),
        (Float(0, 1), np.bool_(True), "is not a number"),
        (Float(0, 1), np.complex128(0.5), "is not a number"),
        (Float(0, 1), np.array([0.5, 0.5]), "is not a number"),
        (Float(0, 1), np.float32("nan"), "is not finite"),
        (Float(0, 1), 10**400, "is outside [0, 1]"),
        (Int(0, 1), 10**400, "is outside [0, 1]"),
        (Categorical([1, 2]), np.bool_(True), "is not one of 1, 2"),
    ],
)
def test_scalars_that_do_not_belong_are_refused(parameter: Any, value: object, fault: str) -> None:
    assert parameter.fault(value) == fault


def test_definitions_of_numpy_are_equal_and_can_be_stored() -> None:
    numpy = Space(
        {
            "n": Int(np.int64(1), np.int32(9), step=np.int64(2), default=np.int64(3)),  # type: ignore[arg-type]
            "x": Float(np.float32(0), np.float64(1), step=np.float32(0.25), default=np.float32(0.5)),  # type: ignore[arg-type]
            "c": Categorical([np.int64(1), np.str_("a"), np.bool_(True)], default=np.int64(1)),  # type: ignore[list-item, arg-type]
            "d": Int(0, 1, active_if={"c": [np.int64(1)]}),  # type: ignore[list-item]
        }
    )
    python = Space(
        {
            "n": Int(1, 9, step=2, default=3),
            "x": Float(0.0, 1.0, step=0.25, default=0.5),
            "c": Categorical([1, "a", True], default=1),
            "d": Int(0, 1, active_if={"c": [1]}),
        }
    )
    assert repr(numpy) == repr(python)
    problem = hpo.Problem(numpy, [hpo.Objective("y", threshold=np.float32(0.5))])  # type: ignore[arg-type]
    assert problem_from_json(problem_to_json(problem)) == problem
    assert hpo.Problem(python, [hpo.Objective("y", threshold=0.5)]).differences(problem) == []
    with pytest.raises(SpaceError, match="is not a whole number"):
        Int(0, np.bool_(True))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "build",
    [lambda: Float(0, 10**400), lambda: Float(0, np.float64("inf")), lambda: hpo.Objective("y", threshold=10**400)],
)
def test_bounds_beyond_64_bits_are_not_finite(build: Callable[[], object]) -> None:
    with pytest.raises((SpaceError, MetricError), match="is not a finite number"):
        build()


@pytest.mark.parametrize(
    "value",
    [
        *(np.float32(0.5), np.float16(0.5), np.longdouble(0.5), np.array(0.5), np.array([0.5]), np.array([[0.5]])),
        *(torch.tensor(0.5), torch.tensor([0.5], requires_grad=True), fractions.Fraction(1, 2), decimal.Decimal("0.5")),
    ],
)
def test_results_of_array_libraries_count(value: Any) -> None:
    for given in (value, hpo.Measurement(value, value)):
        measured = checked_result(Y, {"y": given}, "trial 0").values["y"]
        assert measured.value == 0.5
        assert type(measured.value) is float
        assert measured.sem in (None, 0.5)
    problem = hpo.Problem(Space({"x": Float(0, 1)}), [*Y, hpo.Constraint("c", upper=value), hpo.Tracked("z")])
    study = hpo.open_study("s", problem, storage=":memory:", seed=1)
    hpo.run(study, lambda _: {"y": hpo.Measurement(value, value), "c": value, "z": value}, budget=hpo.Budget(trials=1))
    study.add({"x": value}, {"y": value, "c": value})
    study.tell(study.ask(), {"y": value, "c": hpo.Measurement(value), "z": value})
    assert [list(map(float, t.values.values())) for t in study.trials] == [[0.5] * 3, [0.5] * 2, [0.5] * 3]
    assert [t.notes for t in study.trials] == [()] * 3
    assert study.trials[1].params == {"x": 0.5}


@pytest.mark.parametrize(
    "value",
    [np.complex128(1 + 2j), np.bool_(True), np.array(True), np.str_("1"), np.array("1"), torch.tensor(True), 1j, True],
)
def test_results_that_are_no_real_numbers_are_refused(value: Any) -> None:
    with pytest.raises(NotANumber) as caught:
        checked_result(Y, {"y": value}, "trial 0")
    assert str(caught.value) == (
        f"trial 0: metric 'y' is {value!r} ({type(value).__name__}), not a number. Nothing is recorded"
    )
    with pytest.raises(NotANumber, match="standard error of metric 'y' is"):
        checked_result(Y, {"y": hpo.Measurement(1.0, value)}, "trial 0")


def test_results_beyond_64_bits_are_not_finite() -> None:
    for value in (10**400, -(10**400), fractions.Fraction(10**400)):
        with pytest.raises(NotFinite, match=r"^trial 0: metric 'y' is beyond the largest 64-bit float\. Report a"):
            checked_result(Y, {"y": value}, "trial 0")  # type: ignore[dict-item]
    with pytest.raises(NotFinite, match="metric 'y' is nan"):
        checked_result(Y, {"y": np.float32("nan")}, "trial 0")  # type: ignore[dict-item]


def test_a_study_takes_them() -> None:
    problem = hpo.Problem(Space({"n": Int(1, 9)}), Y)
    study = hpo.open_study("s", problem, storage=":memory:", seed=1)
    trial = study.enqueue({"n": np.int64(3)})
    assert repr(trial.params) == "{'n': 3}"
    assert study.tell(study.ask(), {"y": np.float32(0.5)}).values["y"] == hpo.Measurement(0.5)  # type: ignore[dict-item]

"""Plain Python in place of parameters: what is clear is taken, what is not is refused with what to write."""

from __future__ import annotations

import enum
from typing import Any

import numpy as np
import pytest
import scipy.stats

from hpo.errors import SpaceError
from hpo.problem.parameters import Categorical, Float, Int, Parameter
from hpo.problem.space import Space


class Kernel(enum.Enum):
    RBF = "rbf"
    LINEAR = "linear"


@pytest.mark.parametrize(
    ("given", "parameter"),
    [
        ((1, 8), Int(1, 8)),
        ((np.int64(1), np.int64(8)), Int(1, 8)),
        ((0.0, 1.0), Float(0.0, 1.0)),
        ((0, 1.0), Float(0.0, 1.0)),
        ((np.float32(0.1), 1), Float(0.1, 1.0)),
        (range(8, 257, 8), Int(8, 256, step=8)),
        (range(1, 10, 4), Int(1, 9, step=4)),
        (range(5, 0, -2), Int(1, 5, step=2)),
        (["sgd", "adam"], Categorical(["sgd", "adam"])),
        (("sgd", "adam"), Categorical(["sgd", "adam"])),
        ([True, False], Categorical([True, False])),
        ((True, False), Categorical([True, False])),
        ([0.1, 1.0], Categorical([0.1, 1.0])),
        ([None, 5], Categorical([None, 5])),
        (np.array([1, 2, 4]), Categorical([1, 2, 4])),
        (Kernel, Categorical(["rbf", "linear"])),
        (scipy.stats.uniform(1, 2), Float(1.0, 3.0)),
        (scipy.stats.uniform(loc=0.5), Float(0.5, 1.5)),
        (scipy.stats.loguniform(1e-3, 1e2), Float(1e-3, 1e2, log=True)),
        (scipy.stats.reciprocal(1e-3, 1e2, scale=10), Float(1e-2, 1e3, log=True)),
        (scipy.stats.randint(2, 9), Int(2, 8)),
        (scipy.stats.randint(2, 9, loc=10), Int(12, 18)),
        (Float(0, 1, step=0.1), Float(0, 1, step=0.1)),
    ],
)
def test_what_is_clear_is_taken(given: Any, parameter: Parameter) -> None:
    space = Space({"p": given})
    assert space == Space({"p": parameter})
    assert repr(space["p"]) == repr(parameter)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            (1, 2, 4),
            r"\(1, 2, 4\) could be bounds or choices. Write Int\(1, 2\) or Float\(1, 2\).* \[1, 2, 4\], for choices",
        ),
        ((1e-5, 0.1, "log"), r"Write Float\(1e-05, 0.1, log=True\) for a range; and a list,"),
        ((1, 100, "log"), r"Write Int\(1, 100, log=True\) or Float\(1, 100, log=True\) for a range"),
        ((0.5, 2, 0.5), r"Write Float\(0.5, 2\), with log=True or step=... where wanted, for a range"),
        ((None, 5), "could be bounds or choices"),
        ((1,), "could be bounds or choices"),
        ((), "could be bounds or choices"),
        ((8, 1), r"low=8 is above high=1; did you swap them\? Int\(1, 8\)"),
        (range(3, 4), "holds one number; a parameter has at least two values"),
        (range(0), "holds nothing"),
        ([], "needs at least one choice"),
        ({"a", "b"}, r"A set has no order: write a list, \[...\]"),
        ({"low": 1}, r"Write Float\(low, high\), Int\(low, high\) or Categorical"),
        (
            5,
            r"5 is no parameter. A fixed value is not a parameter: set it in your code, or write .* choices, \[5, ...\]",
        ),
        ("adam", "A fixed value is not a parameter"),
        (None, "A fixed value is not a parameter"),
        (bool, r"Write \[True, False\]"),
        (int, r"Write Int\(1, 8\)"),
        (object(), "It must be a Float, Int or Categorical; or"),
        (np.zeros((2, 2)), "It must be a Float, Int or Categorical; or"),
        (
            scipy.stats.norm(0, 1),
            r"the distribution 'norm' is none that .* Write Float\(low, high\) with bounds of your choice",
        ),
        (scipy.stats.beta(1, 2), r"the distribution 'beta' is none that .* Write Float\(low, high\), with log=True"),
        (scipy.stats.loguniform(1e-3, 1, loc=1), "the distribution 'loguniform' is none that"),
        ([object()], "choices are text, numbers, booleans or None"),
    ],
)
def test_what_is_not_clear_is_refused_in_words(given: Any, message: str) -> None:
    with pytest.raises(SpaceError, match=message) as caught:
        Space({"p": given})
    assert str(caught.value).startswith("parameter 'p': ")


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(SpaceError) as caught:
        Space({"a": (1, 2, 3), "b": (1, 8), "c": {1, 2}, "d e": 5})  # type: ignore[dict-item]
    assert len(caught.value.problems) == 4

from __future__ import annotations

import math

import numpy as np
import pytest

from hpo.errors import ExecutorError
from hpo.executors import Lognormal, Recorded


def test_a_lognormal_has_its_median_and_its_spread() -> None:
    rng = np.random.default_rng(0)
    draws = np.array([Lognormal(600.0, 0.5)({}, rng) for _ in range(4000)])
    # The median of n draws has a standard error of 1.25 sigma / sqrt(n) = 1 % here; the share in one sigma, of 0.7 %.
    assert np.median(draws) == pytest.approx(600.0, rel=0.05)
    inside = np.mean((draws > 600.0 * math.exp(-0.5)) & (draws < 600.0 * math.exp(0.5)))
    assert inside == pytest.approx(0.683, abs=0.03)
    assert Lognormal(600.0, 0.0)({}, rng) == 600.0


def test_recorded_seconds_come_again_each_as_often() -> None:
    rng = np.random.default_rng(0)
    draws = [Recorded([1.0, 2.0, 2.0, 9.0])({}, rng) for _ in range(4000)]
    # A share of 1/4 of 4000 draws has a standard error of 0.7 %.
    assert [draws.count(s) / 4000 for s in (1.0, 2.0, 9.0)] == pytest.approx([0.25, 0.5, 0.25], abs=0.03)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: Lognormal(0.0, 0.5), "Lognormal: median is seconds, above 0, got 0"),
        (lambda: Lognormal(1.0, -0.5), "Lognormal: sigma must be 0 or more, got -0.5"),
        (lambda: Recorded([]), r"Recorded: give one or more seconds, each 0 or more, got \(\)"),
        (lambda: Recorded([1.0, -1.0]), r"got \(1.0, -1.0\)"),
    ],
)
def test_what_cannot_be_is_refused(wrong: object, message: str) -> None:
    with pytest.raises(ExecutorError, match=message):
        wrong()  # type: ignore[operator]

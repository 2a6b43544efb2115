"""Which way a suggestion is chosen, as a table."""

from __future__ import annotations

import numpy as np
import pytest

from hpo.bayes.acquisition.pending import AcquisitionTerms
from hpo.bayes.mode import Mode, mode_of
from hpo.bayes.propose import N_GLANCED
from hpo.bayes.target import AcquisitionTarget

TERMS = AcquisitionTerms(None, -np.inf, [])


def target(*, stall: float = 0.0, n_alternatives: int = 0, is_uninformative: bool = False) -> AcquisitionTarget:
    return AcquisitionTarget(TERMS, False, stall, (TERMS,) * n_alternatives, is_uninformative)


@pytest.mark.parametrize("n_in_flight", [0, 3])
def test_every_other_suggestion_improves_whatever_there_is(n_in_flight: int) -> None:
    full = target(stall=1.0, n_alternatives=2, is_uninformative=True)
    assert {mode_of(number, n_in_flight, full, several=False) for number in (0, 2, 8)} == {Mode.IMPROVE}


@pytest.mark.parametrize(
    ("n_in_flight", "given", "several", "mode"),
    [
        (0, target(), False, Mode.IMPROVE),
        (0, target(stall=1e-9), False, Mode.IMPROVE_OR_EXPLORE),
        (0, target(stall=1.0), True, Mode.IMPROVE),  # hypervolume has no such threshold
        (0, target(stall=1.0, n_alternatives=2), False, Mode.IMPROVE_OR_EXPLORE),
        (1, target(stall=1.0), False, Mode.IMPROVE),  # what is in flight makes its surroundings promise little
        (1, target(stall=1.0, n_alternatives=1), False, Mode.ALTERNATIVE),
        (1, target(n_alternatives=1), True, Mode.ALTERNATIVE),
        (0, target(stall=1.0, is_uninformative=True), False, Mode.SPACE_FILLING),
        (5, target(n_alternatives=2, is_uninformative=True), False, Mode.SPACE_FILLING),
    ],
)
def test_every_second_suggestion_goes_another_way_where_there_is_a_reason(
    n_in_flight: int, given: AcquisitionTarget, several: bool, mode: Mode
) -> None:
    assert mode_of(7, n_in_flight, given, several=several) is mode


def test_the_words_say_from_how_many_points() -> None:
    assert f"the best of {N_GLANCED} space-filling points" in Mode.SPACE_FILLING.value

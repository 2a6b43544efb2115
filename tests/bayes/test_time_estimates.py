"""Estimates of durations: as the docstrings count them, and in the order that decisions rely on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.bayes.gp.fit import LARGE
from hpo.bayes.time_estimates import CostModel

ROWS = st.integers(1, 5000)
MODELS = st.integers(1, 8)


def factorization(n: int) -> float:
    """What two builds of neighboring numbers of models differ by."""
    return CostModel(n, 2).build - CostModel(n, 1).build


def test_a_factorization_takes_a_tenth_of_a_millisecond_and_grows_with_the_square_of_rows() -> None:
    assert factorization(0) == pytest.approx(1e-4)
    assert factorization(1000) == pytest.approx(1e-4 + 0.05)
    assert CostModel(1000, 0).build == pytest.approx(2e-3)


@pytest.mark.parametrize(("cold", "evaluations"), [(True, 120), (False, 15)])
def test_a_search_of_few_rows_evaluates_the_likelihood_under_two_transforms(cold: bool, evaluations: int) -> None:
    expected = 3 * 2 * evaluations * factorization(200)
    assert CostModel(200, 3).search(cold=cold) == pytest.approx(expected)


@pytest.mark.parametrize(("cold", "evaluations"), [(True, 120), (False, 15)])
def test_a_search_of_many_rows_does_so_on_300_and_eight_times_on_all(cold: bool, evaluations: int) -> None:
    expected = 3 * 2 * (evaluations * factorization(300) + 8 * factorization(2000))
    assert CostModel(2000, 3).search(cold=cold) == pytest.approx(expected)


def test_rows_are_many_where_a_fit_takes_them_for_many() -> None:
    assert CostModel(LARGE, 1).search(cold=True) == CostModel(LARGE - 1, 1).search(cold=True)
    assert CostModel(LARGE + 1, 1).search(cold=True) > CostModel(LARGE, 1).search(cold=True)


def test_one_suggestion_and_a_pool_by_their_measurements() -> None:
    """Some 10 ms a suggestion and 20 ms a pool; a model of 1000 rows adds 125 ms to the one, 120 us a candidate to the
    other."""
    assert CostModel(1000, 0).climb == pytest.approx(0.010)
    assert CostModel(1000, 2).climb - CostModel(1000, 1).climb == pytest.approx(0.125)
    assert CostModel(1000, 0).screen(500) == pytest.approx(0.020)
    assert CostModel(1000, 2).screen(500) - CostModel(1000, 1).screen(500) == pytest.approx(500 * 120e-6)


@given(n=ROWS, m=MODELS, candidates=st.integers(1, 10_000))
def test_more_rows_and_more_models_never_take_less(n: int, m: int, candidates: int) -> None:
    def parts(seconds: CostModel) -> list[float]:
        searches = [seconds.search(cold=cold) for cold in (False, True)]
        return [seconds.build, seconds.climb, seconds.screen(candidates), *searches]

    here, rows, models = parts(CostModel(n, m)), parts(CostModel(n + 1, m)), parts(CostModel(n, m + 1))
    assert all(more >= less > 0.0 for less, more in zip(here, rows, strict=True))
    assert all(more > less for less, more in zip(here, models, strict=True))


@given(n=ROWS, m=MODELS)
def test_parts_in_the_order_in_which_they_are_left_out(n: int, m: int) -> None:
    """A search from nothing takes longer than one from the last hyperparameters, and that longer than none."""
    seconds = CostModel(n, m)
    assert seconds.search(cold=True) > seconds.search(cold=False) > seconds.build - 2e-3

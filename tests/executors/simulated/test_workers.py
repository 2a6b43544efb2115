"""Who is idle, against a plain account of the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.executors.simulated.workers import Workers, place_of


def test_the_lowest_number_that_is_idle_comes_first() -> None:
    workers = Workers(3)
    assert [workers.take() for _ in range(4)] == [0, 1, 2, None]
    workers.be_idle(2)
    workers.be_idle(0)
    assert [workers.take() for _ in range(3)] == [0, 2, None]


def test_those_that_join_have_the_next_numbers() -> None:
    workers = Workers(1)
    workers.join(2)
    assert (workers.capacity, [workers.take() for _ in range(4)]) == (3, [0, 1, 2, None])


def test_one_that_died_is_neither_busy_nor_idle_until_it_is_back() -> None:
    workers = Workers(1)
    assert workers.take() == 0
    workers.rest(0)
    assert (workers.busy, workers.take(), workers.capacity) == (set(), None, 1)
    workers.be_idle(0)
    assert workers.take() == 0


def test_places_are_named_and_other_names_are_nobodys() -> None:
    workers = Workers(2)
    assert place_of(17) == "worker 17"
    workers.avoid([place_of(0), "n1", ""])
    assert [workers.take(), workers.take()] == [1, None]


@pytest.mark.parametrize("avoided", [[0, 1], [0, 1, 2]])
def test_a_wish_that_leaves_nobody_is_none(avoided: list[int]) -> None:
    workers = Workers(2)
    workers.avoid([place_of(worker) for worker in avoided])
    assert (workers.capacity, [workers.take(), workers.take()]) == (2, [0, 1])


def test_a_later_wish_takes_the_place_of_an_earlier_one() -> None:
    workers = Workers(3)
    workers.avoid([place_of(0)])
    workers.avoid([place_of(1)])
    assert [workers.take() for _ in range(3)] == [0, 2, None]
    workers.avoid([])
    assert workers.take() == 1


def test_one_that_is_avoided_counts_while_it_works() -> None:
    workers = Workers(2)
    assert workers.take() == 0
    workers.avoid([place_of(0)])
    assert workers.capacity == 2
    workers.be_idle(0)
    assert workers.capacity == 1


@given(st.integers(1, 3), st.lists(st.tuples(st.sampled_from(["take", "end", "join", "avoid"]), st.integers(0, 7))))
def test_any_course_of_events(n: int, steps: list[tuple[str, int]]) -> None:
    """Beside three plain sets."""
    workers, idle, busy, avoided = Workers(n), set(range(n)), set[int](), set[int]()
    for step, i in steps:
        match step:
            case "take":
                free = idle - avoided if len(avoided) < n else idle
                expected = min(free, default=None)
                assert workers.take() == expected
                if expected is not None:
                    idle.remove(expected)
                    busy.add(expected)
            case "end" if i in busy:
                workers.be_idle(i)
                busy.remove(i)
                idle.add(i)
            case "join":
                workers.join(i)
                idle |= set(range(n, n + i))
                n += i
            case "avoid":
                avoided = {worker for worker in range(n) if i >> worker & 1}
                workers.avoid([place_of(worker) for worker in avoided])
        assert workers.busy == busy
        assert workers.capacity == n - (len(avoided - busy) if len(avoided) < n else 0)

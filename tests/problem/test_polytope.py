"""What linear inequalities leave of a box: corners, points between them, and when looking for them is given up."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import threading

import numpy as np
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpo.common.arrays import Array
from hpo.problem import polytope
from hpo.problem.polytope import Polytope
from hpo.testing.executors import await_that

ROUNDING = 1e-7
"""The solver's primal feasibility tolerance, in the units of the rows."""


def made(
    low: list[float],
    high: list[float],
    rows: list[list[float]],
    limit: list[float],
    *,
    unit: list[float] | None = None,
    whole: list[bool] | None = None,
) -> Polytope:
    d = len(low)
    return Polytope(
        np.array(low),
        np.array(high),
        np.ones(d) if unit is None else np.array(unit),
        np.zeros(d, dtype=bool) if whole is None else np.array(whole),
        np.array(rows, dtype=float).reshape(-1, d),
        np.array(limit, dtype=float),
    )


def is_inside(p: Polytope, x: Array) -> bool:
    within = np.all(x >= p.low - ROUNDING) and np.all(x <= p.high + ROUNDING)
    return bool(within and np.all(p.matrix @ x <= p.limit + ROUNDING))


def simplex(d: int) -> Polytope:
    """Shares: at least 0 each, together exactly 1."""
    return made([0.0] * d, [1.0] * d, [[1.0] * d, [-1.0] * d], [1.0, -1.0])


def test_the_corners_of_the_simplex_are_found_and_no_other_points() -> None:
    p = simplex(3)
    for seed in range(8):
        p.draw(np.random.default_rng(seed))
    corners = sorted(map(tuple, np.round(p._vertices, 9).tolist()))
    assert corners == [(0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0)]


def test_draws_are_a_mixture_of_corners_and_a_corner() -> None:
    p = made([0.0, 0.0], [4.0, 4.0], [[1.0, 1.0]], [2.0])  # a triangle with corners at 0 and at 2 on each axis
    corners = [(0.0, 0.0), (0.0, 2.0), (2.0, 0.0)]
    for seed in range(20):
        mixture, corner = p.draw(np.random.default_rng(seed))
        assert is_inside(p, mixture)
        assert tuple(np.round(corner, 9)) in corners
    mixtures = np.array([p.draw(np.random.default_rng(seed))[0] for seed in range(400)])
    np.testing.assert_allclose(mixtures.mean(axis=0), 2 / 3, atol=0.1)  # its center; 4.2 standard errors of 0.47 / 20
    np.testing.assert_allclose(mixtures.std(axis=0), np.sqrt(2) / 3, atol=0.1)  # of the uniform distribution on it


def test_units_and_lower_ends_are_those_of_the_parameters() -> None:
    p = made([10.0, -5.0], [20.0, 5.0], [[1.0, 1.0], [-1.0, -1.0]], [12.0, -12.0], unit=[2.0, 0.5], whole=[True, True])
    for seed in range(10):
        _, corner = p.draw(np.random.default_rng(seed))
        steps = (corner - p.low) / p.unit
        np.testing.assert_allclose(steps, np.rint(steps), atol=1e-6)
        assert corner.sum() == pytest.approx(12.0)
        assert is_inside(p, corner)


@st.composite
def boxes(draw: st.DrawFn) -> Polytope:
    d = draw(st.integers(1, 3))
    low = [float(draw(st.integers(-4, 2))) for _ in range(d)]
    unit = [draw(st.sampled_from([0.5, 1.0, 2.0])) for _ in range(d)]
    high = [a + draw(st.integers(1, 4)) * u for a, u in zip(low, unit, strict=True)]
    rows = [[float(draw(st.integers(-2, 2))) for _ in range(d)] for _ in range(draw(st.integers(1, 3)))]
    limit = [draw(st.integers(-12, 12)) / 2 for _ in rows]
    return made(low, high, rows, limit, unit=unit, whole=[draw(st.booleans()) for _ in range(d)])


@settings(deadline=None)
@given(boxes(), st.integers(0, 2**31))
def test_corners_are_allowed_and_none_is_found_only_where_there_is_none(p: Polytope, seed: int) -> None:
    drawn = p.draw(np.random.default_rng(seed))
    if p.is_whole.all():
        grids = [a + u * np.arange(round((b - a) / u) + 1) for a, b, u in zip(p.low, p.high, p.unit, strict=True)]
        allowed = [x for x in itertools.product(*grids) if np.all(p.matrix @ np.array(x) <= p.limit)]
        assert bool(drawn) == bool(allowed)
        if drawn:
            assert tuple(np.round(drawn[-1] * 2) / 2) in allowed
    if drawn:
        steps = (drawn[-1] - p.low) / p.unit
        np.testing.assert_allclose(steps[p.is_whole], np.rint(steps[p.is_whole]), atol=1e-6)
        assert is_inside(p, drawn[-1])
        assert all(is_inside(p, x) for x in drawn[1:]), "what was moved, too"
        assert is_inside(p, drawn[0]), "mixtures of what is allowed lie between"


def test_where_rounding_leaves_the_inequalities_the_rest_is_moved_back() -> None:
    """A share on a grid of 1 and a free one that makes up the rest: mixtures are on no grid, moved points are."""
    p = made([0.0, 0.0], [3.0, 3.0], [[1.0, 1.0], [-1.0, -1.0]], [3.0, -3.0], whole=[True, False])
    drawn = [p.draw(np.random.default_rng(seed)) for seed in range(20)]
    moved = [points[1] for points in drawn if len(points) == 3]
    assert len(moved) > 15, "nearly no mixture is whole"
    for x in moved:
        assert x[0] == pytest.approx(round(x[0]), abs=1e-6)
        assert x.sum() == pytest.approx(3.0)
    assert {round(x[0]) for x in moved} == {0, 1, 2, 3}


def test_moved_points_are_spread_between_their_ends() -> None:
    """X whole, y + z + x = 3.5 with y and z free: y and z share what x leaves."""
    row = [1.0, 1.0, 1.0]
    p = made([0.0] * 3, [3.0] * 3, [row, [-1.0] * 3], [3.5, -3.5], whole=[True, False, False])
    moved = [points[1] for seed in range(60) if len(points := p.draw(np.random.default_rng(seed))) == 3]
    assert len({round(float(x[1]), 6) for x in moved}) > 0.3 * len(moved)
    assert all(is_inside(p, x) and x.sum() == pytest.approx(3.5) for x in moved)


def test_nothing_is_moved_where_rounding_stays_inside() -> None:
    p = made([0.0, 0.0], [3.0, 3.0], [[1.0, 1.0]], [100.0], whole=[True, False])
    assert all(len(p.draw(np.random.default_rng(seed))) == 2 for seed in range(5))


def test_where_there_are_no_points_none_are_drawn_and_looking_ends() -> None:
    p = made([0.0, 0.0], [1.0, 1.0], [[1.0, 1.0]], [-1.0])
    assert p.draw(np.random.default_rng(0)) == []
    assert p._is_empty
    assert not p.is_spent
    assert p.draw(np.random.default_rng(0)) == []


@pytest.mark.parametrize("spent", ["_nodes_left", "_seconds_left"])
def test_what_has_cost_too_much_is_not_looked_for(spent: str) -> None:
    p = simplex(3)
    setattr(p, spent, 0)
    assert p.is_spent
    assert p.draw(np.random.default_rng(0)) == []
    assert p._vertices == []
    assert not p._is_empty


def test_with_something_left_it_is_looked_for() -> None:
    p = simplex(3)
    p._nodes_left, p._seconds_left = 1, 0.01
    assert not p.is_spent
    assert p.draw(np.random.default_rng(0))


def test_the_nodes_and_the_time_that_a_search_takes_are_counted() -> None:
    weights = np.random.default_rng(1).integers(10, 1000, 30).astype(float)
    half = float(weights[:15].sum())
    p = made([0.0] * 30, [1.0] * 30, [weights.tolist(), (-weights).tolist()], [half, -half], whole=[True] * 30)
    p.draw(np.random.default_rng(0), 1)
    assert p._nodes_left < polytope._MAX_NODES
    assert p._seconds_left < polytope.MAX_SECONDS


def test_at_most_so_many_corners_are_looked_for_in_a_draw_and_twice_as_many_at_all() -> None:
    p = simplex(4)
    for most, sought in ((1, 1), (2, 3), (None, 8), (None, 10), (None, 10)):
        p.draw(np.random.default_rng(0), most)
        assert p._n_sought == sought


def test_a_corner_found_twice_is_kept_once() -> None:
    p = made([0.0], [1.0], [[1.0]], [1.0])
    for seed in range(4):
        p.draw(np.random.default_rng(seed))
    assert sorted(float(z[0]) for z in p._vertices) == [0.0, 1.0]


def test_equal_generators_give_equal_points() -> None:
    one, other = ([p.draw(np.random.default_rng(3)) for p in (simplex(5),)] for _ in range(2))
    np.testing.assert_array_equal(one, other)


def test_an_error_of_the_solver_is_raised_where_its_answer_is_waited_for() -> None:
    p = made([0.0], [1.0], [[1.0]], [1.0, 2.0, 3.0])  # three limits for one row
    with pytest.raises(ValueError, match="shape"):
        p.draw(np.random.default_rng(0))
    assert not [t for t in threading.enumerate() if t.name == "hpo linear programming"]


def test_an_interrupt_is_served_and_nothing_is_printed() -> None:
    weights = ", ".join(str(w) for w in np.random.default_rng(1).integers(10**6, 10**7, 40))
    code = (
        "import numpy as np\nfrom hpo.problem.polytope import Polytope\n"
        f"w = np.array([{weights}], dtype=float)\n"
        "ends = np.zeros(40), np.ones(40)\n"
        "limit = w[:20].sum() * np.array([1.0, -1.0])\n"
        "p = Polytope(*ends, np.ones(40), np.ones(40, dtype=bool), np.vstack([w, -w]), limit)\n"
        "p._nodes_left, p._seconds_left = 10**9, 600.0\n"
        "import psutil, sys; print(psutil.Process().num_threads(), file=sys.stderr, flush=True)\n"
        "p.draw(np.random.default_rng(0))\n"
    )
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code], stdout=pipe, stderr=pipe, text=True) as child:
        assert child.stderr is not None
        n_threads = int(child.stderr.readline())
        process = psutil.Process(child.pid)
        await_that(lambda: process.num_threads() > n_threads, "the solver works")
        os.kill(child.pid, signal.SIGINT)
        out, err = child.communicate(timeout=60)
    assert err.rstrip().endswith("KeyboardInterrupt")
    assert out == ""

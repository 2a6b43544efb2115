"""The best known configuration of one objective: random draws, then descent from the most promising."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy.optimize import minimize

import hpo
from benchmarks.problems.base import Array, BenchProblem

Params = dict[str, Any]
MARGIN = 1e-9
"""Limits are tightened by this share of their size, so that rounding leaves what was found feasible."""


def signed(bench: BenchProblem, values: Mapping[str, float]) -> float:
    """The one objective, to be minimized."""
    objective = bench.problem.objectives[0]
    return -values[objective.name] if objective.goal == "maximize" else values[objective.name]


def slacks(bench: BenchProblem, values: Mapping[str, float], margin: float = 0.0) -> list[float]:
    """How far each limit is kept, as a share of its size (of 1 where it is 0); below 0 where it is broken."""
    out = []
    for metric in bench.problem.limited:
        lower, upper = metric.limits
        if lower is not None:
            out.append((values[metric.name] - lower) / (abs(lower) or 1.0) - margin)
        if upper is not None:
            out.append((upper - values[metric.name]) / (abs(upper) or 1.0) - margin)
    return out


def is_good(bench: BenchProblem, values: Mapping[str, float]) -> bool:
    """Whether the configuration works and every limit is kept."""
    return all(np.isfinite(v) for v in values.values()) and min(slacks(bench, values), default=0.0) >= 0


def along(bench: BenchProblem, start: Params) -> tuple[list[str], Array]:
    """The names of the active real parameters of `start`, and their positions `[k]` in [0, 1]."""
    space = bench.problem.space
    names = [n for n, p in space.parameters.items() if n in start and isinstance(p, hpo.Float) and p.step is None]
    return names, np.array([space[n].position(start[n]) for n in names])


def placed_at(bench: BenchProblem, start: Params, names: Sequence[str], u: Array) -> Params:
    """`start` with the real parameters moved to positions `u [k]`; not rounded, unlike `Float.value_at`."""
    out = dict(start)
    for name, position in zip(names, u, strict=True):
        p = bench.problem.space[name]
        assert isinstance(p, hpo.Float)
        t = min(max(float(position), 0.0), 1.0)
        value = p.low * (p.high / p.low) ** t if p.log else p.low + t * (p.high - p.low)
        out[name] = min(max(value, p.low), p.high)
    return out


def polished(bench: BenchProblem, start: Params) -> Params:
    """`start` after a descent over its real parameters: sequential quadratic programming where there are limits, quasi-
    Newton where there are none, and in the end a simplex, which also copes with training runs that fail."""
    names, _ = along(bench, start)
    if not names:
        return start
    best, best_value = start, signed(bench, bench.truth(start))
    size = abs(best_value) or 1.0

    def value(v: Array) -> float:
        return signed(bench, bench.truth(placed_at(bench, start, names, v))) / size

    def keep(v: Array) -> None:
        nonlocal best, best_value
        candidate = placed_at(bench, start, names, v)
        values = bench.truth(candidate)
        if is_good(bench, values) and signed(bench, values) < best_value:
            best, best_value = candidate, signed(bench, values)

    def room(v: Array) -> Array:
        return np.array(slacks(bench, bench.truth(placed_at(bench, start, names, v)), MARGIN))

    shared: dict[str, Any] = {"bounds": [(0.0, 1.0)] * len(names)}
    if bench.problem.limited:
        shared["constraints"] = [{"type": "ineq", "fun": room}]

    def descend(method: str, times: int, **options: float) -> None:
        for _ in range(times):
            settings = {"method": method, "options": options, **shared}
            keep(minimize(value, along(bench, best)[1], **settings).x)

    if bench.problem.limited:
        descend("SLSQP", 3, maxiter=300, ftol=1e-13)
        return best
    if bench.family != "failing":
        descend("L-BFGS-B", 1, maxiter=500, ftol=1e-15)
    descend("Nelder-Mead", 2 if len(names) <= 10 else 0, maxiter=400 * len(names), xatol=1e-10, fatol=1e-14)
    return best


def neighbors(space: hpo.Space, params: Params) -> list[Params]:
    """Configurations that differ in one discrete parameter: every choice, and whole numbers one step away."""
    out = []
    for name, p in space.parameters.items():
        if name not in params or isinstance(p, hpo.Float):
            continue
        others: Sequence[Any] = (
            p.values()
            if isinstance(p, hpo.Categorical)
            else [v for v in (params[name] - p.step, params[name] + p.step) if p.contains(v)]
        )
        for value in others:
            if value != params[name]:
                whole = {n: q.value_at(0.5) for n, q in space.parameters.items()}
                out.append(space.snapped({**whole, **params, name: value}))
    return out


def climbed(bench: BenchProblem, start: Params) -> Params:
    """`start` polished, then moved to better neighbors, polished each time, until there is none."""
    best = polished(bench, start)
    while True:
        value = signed(bench, bench.truth(best))
        better = [
            (signed(bench, values), i, candidate)
            for i, candidate in enumerate(neighbors(bench.problem.space, best))
            if is_good(bench, values := bench.truth(candidate)) and signed(bench, values) < value
        ]
        if not better:
            return best
        best = polished(bench, min(better)[2])


def draws(
    bench: BenchProblem, sampler: Callable[[np.random.Generator], Params], n: int, enough: int, most: int
) -> tuple[list[Params], Array]:
    """Random configurations that are good, with their signed values: those among the first `n`, and on, where fewer than
    `enough` were good, up to `most` draws."""
    rng = np.random.default_rng(0)
    kept: list[Params] = []
    found: list[float] = []
    for i in range(most):
        if i >= n and len(kept) >= enough:
            break
        params = sampler(rng)
        values = bench.truth(params)
        if is_good(bench, values):
            kept.append(params)
            found.append(signed(bench, values))
    return kept, np.array(found)

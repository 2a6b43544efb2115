"""Hypothesis strategies for spaces: all kinds of parameters, nested conditions, linear constraints."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from hpo.problem.fields import Value
from hpo.problem.parameters import Categorical, Float, Int, Parameter
from hpo.problem.space import Space


@st.composite
def parameters(draw: st.DrawFn, active_if: dict[str, list[Any]] | None = None) -> Parameter:
    """Any parameter, active under `active_if`."""
    when = active_if or {}
    kind = draw(st.sampled_from(["float", "log", "step", "int", "logint", "stepint", "plain", "ordered"]))
    if kind in ("plain", "ordered"):
        pool: list[Value] = ["a", "b", 1, 2.5, True, None, "1"]
        choices = draw(st.lists(st.sampled_from(pool), min_size=1, max_size=4, unique_by=repr))
        choices = [c for i, c in enumerate(choices) if not any(c == o and type(c) is type(o) for o in choices[:i])]
        return Categorical(choices, ordered=kind == "ordered", active_if=when)
    if kind == "float":
        low = draw(st.floats(-1e3, 1e3))
        return Float(low, low + draw(st.floats(1e-3, 1e3)), active_if=when)
    if kind == "log":
        low = 10.0 ** draw(st.integers(-8, 2))
        return Float(low, low * 10.0 ** draw(st.integers(1, 6)), log=True, active_if=when)
    if kind == "step":
        step = draw(st.sampled_from([0.1, 0.25, 0.3, 2.0]))
        return Float(-1.0, -1.0 + step * draw(st.integers(1, 6)), step=step, active_if=when)
    low_int = draw(st.integers(1 if kind == "logint" else -20, 20))
    step_int = draw(st.integers(1, 5)) if kind == "stepint" else 1
    high_int = low_int + step_int * draw(st.integers(1, 40))
    return Int(low_int, high_int, log=kind == "logint", step=step_int, active_if=when)


@st.composite
def spaces(draw: st.DrawFn, constrained: bool = True, most: int = 6) -> Space:
    """A space of up to `most` parameters; later ones may be conditional on earlier ones."""
    made: dict[str, Parameter] = {}
    for i in range(draw(st.integers(1, most))):
        name = draw(st.sampled_from(["", "data.", "model."])) + f"p{i}"
        parents = {n: p for n, p in made.items() if not isinstance(p, Float)}
        when: dict[str, list[Any]] = {}
        if draw(st.booleans()) and parents:
            parent = draw(st.sampled_from(sorted(parents)))
            values = list(parents[parent].values())
            chosen: list[Any] = draw(st.lists(st.sampled_from(values), min_size=1, max_size=3, unique_by=repr))
            when = {parent: chosen}
        made[name] = draw(parameters(active_if=when))
    numeric = [n for n, p in made.items() if not isinstance(p, Categorical)]
    constraints = []
    if constrained and len(numeric) >= 2 and draw(st.booleans()):
        a, b = numeric[:2]
        pa, pb = made[a], made[b]
        assert not isinstance(pa, Categorical)
        assert not isinstance(pb, Categorical)
        share = draw(st.floats(0.3, 0.9))
        bound = pa.low + pb.low + share * (pa.high - pa.low + pb.high - pb.low)
        constraints.append(f"{a} + {b} <= {bound!r}" if bound >= 0 else f"{a} + {b} <= 0 - {-bound!r}")
    return Space(made, constraints)

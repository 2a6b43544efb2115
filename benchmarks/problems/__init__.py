"""The problems by name and by family, and which half of the suite each belongs to."""

from typing import Literal

from benchmarks.problems.base import BenchProblem as BenchProblem
from benchmarks.problems.constrained import CONSTRAINED
from benchmarks.problems.failing import FAILING
from benchmarks.problems.held_out import HELD_OUT
from benchmarks.problems.mixed import MIXED
from benchmarks.problems.noisy import NOISY
from benchmarks.problems.several import SEVERAL
from benchmarks.problems.single import SINGLE

BY_NAME: dict[str, BenchProblem] = {
    bench.name: bench for bench in (*SINGLE, *MIXED, *CONSTRAINED, *SEVERAL, *NOISY, *FAILING, *HELD_OUT)
}
FAMILIES: dict[str, tuple[str, ...]] = {
    family: tuple(bench.name for bench in BY_NAME.values() if bench.family == family)
    for family in ("single", "mixed", "constrained", "several", "noisy", "failing", "held_out")
}

HALVES = ("development", "validation")


def half(name: str) -> Literal["development", "validation"]:
    """Of the names of a family in alphabetical order, those at even positions are for development, the others for
    validation: nothing is chosen or tuned by looking at them. All that is held out is for validation."""
    if BY_NAME[name].family == "held_out":
        return "validation"
    place = sorted(FAMILIES[BY_NAME[name].family]).index(name)
    return "validation" if place % 2 else "development"

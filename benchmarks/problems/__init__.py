"""The problems by name, and the sets that the commands use."""

from benchmarks.problems.base import BenchProblem as BenchProblem
from benchmarks.problems.constrained import SPEED_REDUCER, TENSION_SPRING, WELDED_BEAM
from benchmarks.problems.mixed import HARTMANN6_MIXED
from benchmarks.problems.synthetic import ACKLEY10, BRANIN, HARTMANN6, HARTMANN6_IN_20

SINGLE = (BRANIN, HARTMANN6, ACKLEY10, HARTMANN6_MIXED)
"""One objective, no constraint: final regret at an equal number of evaluations."""
TINY_FEASIBLE = (TENSION_SPRING, SPEED_REDUCER, WELDED_BEAM)
"""Under one per cent of the box is feasible: evaluations to the first feasible point."""
COST = (HARTMANN6, HARTMANN6_IN_20)
"""One function in 6 and in 20 dimensions: CPU seconds per ask."""

BY_NAME = {bench.name: bench for bench in (*SINGLE, *TINY_FEASIBLE, *COST)}

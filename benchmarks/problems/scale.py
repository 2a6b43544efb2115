"""scales.json: what is known about each problem, written by `python -m benchmarks.problems.scales`.

One entry a problem: `best` and `typical` as in BenchProblem, `at` (a configuration that reaches `best`, where there is
one objective), `how` (how `best` was found), and what else the problem reads: the `limits` of constraints by name.
"""

from __future__ import annotations

import json
import math
from functools import cache
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("scales.json")


@cache
def entries() -> dict[str, dict[str, Any]]:
    """Every entry by the name of its problem."""
    return json.loads(FILE.read_text()) if FILE.exists() else {}


def scale(name: str) -> tuple[float, float]:
    """(best, typical); nan before they have been computed."""
    entry = entries().get(name, {})
    return float(entry.get("best", math.nan)), float(entry.get("typical", math.nan))


def limit(name: str, metric: str) -> float:
    """The limit of a constraint that was computed from a table; before it has been, one that holds nothing back."""
    return float(entries().get(name, {}).get("limits", {}).get(metric, 1e300))

"""The command `ablate`: this library with one of its constants changed, against itself, on the same seeds.

A setting names a constant of the engine and its value as JSON, `hpo.bayes.target._STALLED=0`. It is changed in the
contender's own process, before any problem is opened. Runs go to a folder of their own, in files named after the variant,
and go on where they stopped.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks import compare, problems, records
from benchmarks.process import ContenderProcess
from benchmarks.run import run
from benchmarks.settings import SETTINGS
from benchmarks.suites import MODES
from benchmarks.tables import interval, span, table

FOLDER = records.RESULTS / "ablations"
BASE = "hpo"


def ablate(
    name: str,
    settings: Mapping[str, object],
    *,
    families: Sequence[str] | None,
    half: str,
    mode: str,
    seeds: int,
    results: Path = FOLDER,
) -> None:
    """Run the library as it is and as `name`, with `settings`, where runs are missing; print how they compare."""
    chosen = [p for f in families or problems.FAMILIES for p in problems.FAMILIES[f] if problems.half(p) == half]
    variant = f"{BASE}~{name}"
    results = results / fingerprint()
    done = {run.cell for run in records.runs(results, problems.BY_NAME)}
    origin = records.origin({})
    for contender, changed in ((BASE, {}), (variant, settings)):
        cells = [(problem, seed) for seed in range(seeds) for problem in chosen]
        to_do = [cell for cell in cells if (contender, mode, *cell) not in done]
        if not to_do:
            continue
        with ContenderProcess(BASE, {SETTINGS: json.dumps(dict(changed))}) as process:
            for i, (problem, seed) in enumerate(to_do, start=1):
                result = run(contender, process, problems.BY_NAME[problem], MODES[mode], seed)
                records.append_run(
                    records.path_of(results, contender, mode), {**origin, "settings": dict(changed)}, result
                )
                print(f"\r{contender}: {i}/{len(to_do)}", end="" if i < len(to_do) else "\n", flush=True)
    print(comparison(variant, chosen, mode, results))


def fingerprint() -> str:
    """Of the library's code: runs of another engine are no baseline."""
    files = sorted((records.ROOT / "hpo").rglob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:8]


def comparison(variant: str, chosen: Sequence[str], mode: str, results: Path) -> str:
    """A table, family by family: mean final loss and area of both, and the difference with its interval."""
    runs = compare.arranged(records.runs(results, problems.BY_NAME), chosen, mode)
    rows = []
    for family, names in problems.FAMILIES.items():
        here = [p for p in names if p in chosen]
        curves, others = (
            compare.curves({p: seeds for p, seeds in runs.get(c, {}).items() if p in here}) for c in (variant, BASE)
        )
        change = compare.difference(compare.finals(curves), compare.finals(others))
        if not change:
            continue
        areas = compare.difference(compare.areas(curves), compare.areas(others))
        rng = np.random.default_rng(0)
        rows.append(
            [
                family,
                str(len(change)),
                span(len(seeds) for seeds in change.values()),
                f"{compare.mean(compare.finals(others)):.4f}",
                interval(compare.bootstrap(change, rng), "+"),
                interval(compare.bootstrap(areas, rng), "+"),
            ]
        )
    return table(["family", "problems", "seeds", "final loss", "change", "change of the area"], rows)

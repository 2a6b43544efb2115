"""docs/explanation/measured.md and its pictures, from result lines: the page of what was measured."""

from __future__ import annotations

import shutil
from pathlib import Path

from benchmarks import calibration, cost_page, details, problems, records
from benchmarks.records import ROOT
from benchmarks.report import READING, absent_words, arenas, losing, origin_words, short, standings, versus
from benchmarks.suites import MODE_WORDS, SUITES

PAGE = ROOT / "docs" / "explanation" / "measured.md"

OPENING = """\
What hpo and its peers find with the same number of training runs, on public problems, and what it costs. Everything here
can be made again; [Compare with other optimizers](../how-to/benchmarks.md) says how. The lines behind the tables, with
commits, versions and seeds, are in `benchmarks/results`."""

HALVES = """\
Half of the problems of each family are for development: hpo was tuned by looking at them. The other half is for
validation. That half has been looked at since: a gain that it did not show was taken back (decision 0013), a fault was
first seen on it (0019), and decisions 0018 and 0019 report both halves. The halves share functions in other guises, so the
validation half says what holds beyond the single problem, not beyond this kind of problem. The tables give both. The
family `held_out` says more: its problems were chosen by a rule (`benchmarks/problems/held_out.py`) when the engine was
finished, and nothing was decided by them."""


def measured_page(results: Path, page: Path = PAGE) -> None:
    """Write the page, and copy the pictures of `report` into a folder beside it that has the page's name.

    Raises SystemExit when there are no results.
    """
    runs = records.runs(results, problems.BY_NAME)
    if not runs:
        raise SystemExit(f"no results in {results}, so the page is left as it is; run a suite first")
    found = [arena for arena in arenas(runs) if arena.mode in SUITES["standard"].modes]
    parts = ["# What was measured", OPENING, READING, HALVES, "## In short", short(found)]
    folder = page.with_suffix("")
    folder.mkdir(parents=True, exist_ok=True)
    for arena in found:
        name = f"{arena.family}.{arena.mode}.png"
        parts += [f"## {arena.family}: {MODE_WORDS[arena.mode]}", standings(arena), *absent_words(arena), versus(arena)]
        if (results / name).exists():
            shutil.copyfile(results / name, folder / name)
            parts.append(f"![Median loss of each contender, by problem]({folder.name}/{name})")
    parts += ["## Where hpo loses", losing(found), *details.sections(runs), *calibration.sections(results)]
    if (results / calibration.PICTURE).exists():
        shutil.copyfile(results / calibration.PICTURE, folder / calibration.PICTURE)
        parts.append(f"![Predicted chance against share]({folder.name}/{calibration.PICTURE})")
    parts += cost_page.sections(results)
    parts += ["## Measured on", origin_words(results)]
    page.write_text("\n\n".join(parts) + "\n")

"""Result lines -> report.md and pictures: who found what, after how many training runs, at what cost, where hpo loses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks import calibration, compare, contenders, cost_page, details, load_page, problems, records
from benchmarks.compare import FEWEST_SEEDS, FLOOR, Curves, Runs
from benchmarks.plots import OURS, picture
from benchmarks.problems import HALVES
from benchmarks.suites import MODE_WORDS, MODES
from benchmarks.tables import interval, number, span, table

_MUCH = 0.1  # of a loss
READING = f"""\
Made by `python -m benchmarks report` from the lines in `benchmarks/results`. The loss is 0 at the best known result of a
problem and 1 at a typical one (or before anything feasible is found); with several objectives it is the share of the best
known hypervolume that is not covered; on noisy problems it is the exact value of what the contender recommends. Brackets
are 95 % bootstrap intervals over problems and seeds; with fewer than {FEWEST_SEEDS} seeds they are too narrow.

`rank`: mean over problems of the rank by mean final loss, among those with runs of the problem. `rank by seed`: the same
for every problem and every seed that all of them have. `area`: mean loss over all evaluations (`area in time`: over the
simulated clock, until the slowest contender has ended). `log10`: mean of log10 of the final loss, no smaller than
{FLOOR:g}. `first feasible`: median evaluation. `failed`, `repeated`: evaluations that failed, and those of params that
had failed before, per run. `CPU s`: asks and tells, per evaluation. A contender's missing problems are ones that it cannot
enter or has not run yet; ranks of contenders with different problems do not compare."""


@dataclass(frozen=True)
class Arena:
    """The runs of one family in one mode, by contender."""

    family: str
    mode: str
    problems: tuple[str, ...]
    runs: Mapping[str, Mapping[str, Mapping[int, records.Run]]]

    def curves(self) -> dict[str, Curves]:
        """The curves of every contender."""
        return {contender: compare.curves(each) for contender, each in self.runs.items()}

    def half(self, half: str) -> Arena:
        """The same on one half of the problems."""
        names = tuple(name for name in self.problems if problems.half(name) == half)
        return Arena(self.family, self.mode, names, compare.restricted(self.runs, names))


def write(results: Path) -> str:
    """Write report.md and its pictures into the folder, and return the text. Never fails on partial results."""
    runs = records.runs(results, problems.BY_NAME)
    found = list(arenas(runs))
    parts = ["# The comparison", READING]
    if not runs:
        parts.append("No results yet.")
    else:
        parts += ["## In short", short(found)]
    for mode in MODES:
        here = [arena for arena in found if arena.mode == mode]
        parts += [f"## {mode}: {MODE_WORDS[mode]}"] if here else []
        for arena in here:
            parts += section(arena)
            path = results / f"{arena.family}.{mode}.png"
            picture(arena.runs, arena.problems, list(contenders.CONTENDERS), f"{arena.family}, {mode}", path)
            parts.append(f"![Median loss against evaluations]({path.name})")
    parts += ["## Where hpo loses", losing(found)] if runs else []
    parts += [*details.sections(runs), *calibration.sections(results)]
    if calibration.picture(results, results / calibration.PICTURE):
        parts.append(f"![Predicted chance against share]({calibration.PICTURE})")
    parts += cost_page.sections(results)
    parts += load_page.sections(results)
    parts += ["## Measured on", origin_words(results)] if runs else []
    text = "\n\n".join(parts) + "\n"
    results.mkdir(parents=True, exist_ok=True)
    (results / "report.md").write_text(text)
    return text


def arenas(runs: Sequence[records.Run]) -> Iterator[Arena]:
    """Every mode and family that has runs."""
    for mode in MODES:
        for family, names in problems.FAMILIES.items():
            here = compare.arranged(runs, names, mode)
            if here:
                yield Arena(family, mode, tuple(names), {c: here[c] for c in contenders.CONTENDERS if c in here})


def short(found: Sequence[Arena]) -> str:
    """One row per mode and family: hpo and its best peer."""
    rows = []
    for arena in found:
        given = arena.curves()
        finals = comparable({contender: compare.finals(each) for contender, each in given.items()})
        peer = best_peer(finals)
        ours = finals.get(OURS)
        if ours is None or peer is None:
            missing = "no runs of hpo" if ours is None else "no runs of a peer on hpo's problems"
            rows.append([arena.mode, arena.family, span([len(ours or {})]), str(len(finals)), missing, *["-"] * 4])
            continue
        ranks = compare.mean_ranks(finals)
        rows.append(
            [
                arena.mode,
                arena.family,
                str(len(ours)),
                str(len(finals)),
                f"{ranks[OURS]:.2f} (place {1 + sum(rank < ranks[OURS] for rank in ranks.values())})",
                number(compare.mean(ours)),
                peer,
                interval(compare.bootstrap(compare.difference(ours, finals[peer]), _rng()), "+"),
                needed(given[OURS], given[peer]),
            ]
        )
    header = ["mode", "family", "problems", "contenders", "hpo: rank", "hpo: loss", "best peer", "hpo - peer"]
    return (
        table([*header, "training runs needed"], rows)
        + "\n\nContenders are those with runs of most of hpo's problems. "
        "The best peer is the one that comes closest to hpo, or is ahead of it, on the problems and seeds that both have. "
        "Trainings needed: the share of the evaluations after which hpo's median is at the peer's final median; the median "
        "over problems."
    )


def comparable(finals: Mapping[str, compare.Losses]) -> dict[str, compare.Losses]:
    """Those that have more than half of our problems; all without runs of ours."""
    ours = finals.get(OURS, {})
    return {name: each for name, each in finals.items() if 2 * len(each.keys() & ours.keys()) > len(ours) or not ours}


def best_peer(finals: Mapping[str, compare.Losses]) -> str | None:
    """The peer that we are least ahead of, on the problems and seeds that both have, of those with more than half of our
    problems."""
    ours = finals.get(OURS, {})
    ahead = {
        name: compare.mean(shared)
        for name, each in comparable(finals).items()
        if name != OURS and (shared := compare.difference(ours, each))
    }
    return max(ahead, key=lambda name: ahead[name], default=None)


def section(arena: Arena) -> list[str]:
    """The tables of one family in one mode."""
    return [f"### {arena.family}, {arena.mode}", standings(arena), *absent_words(arena), versus(arena)]


def absent_words(arena: Arena) -> list[str]:
    """Who has no runs here; nothing where all have."""
    absent = [name for name in contenders.CONTENDERS if name not in arena.runs]
    return [f"No runs of: {', '.join(absent)}."] if absent else []


def standings(arena: Arena) -> str:
    """One row per contender, the best rank first."""
    given = arena.curves()
    finals = {contender: compare.finals(each) for contender, each in given.items()}
    ranks, by_seed = compare.mean_ranks(finals), compare.paired_ranks(finals)
    halves = [
        {c: compare.mean(compare.finals(compare.curves(each))) for c, each in arena.half(half).runs.items()}
        for half in HALVES
    ]
    on_a_clock = MODES[arena.mode].is_on_a_clock
    areas = (
        compare.time_areas(arena.runs) if on_a_clock else {name: compare.areas(each) for name, each in given.items()}
    )
    rows = [
        [
            contender,
            f"{len(finals[contender])}/{len(arena.problems)}",
            span(len(seeds) for seeds in finals[contender].values()),
            f"{ranks[contender]:.2f}",
            number(by_seed.get(contender)),
            interval(compare.bootstrap(finals[contender], _rng())),
            *(number(half.get(contender)) for half in halves),
            number(compare.mean(areas[contender])),
            f"{compare.log_mean(finals[contender]):.2f}",
            *counts(arena.runs[contender]),
        ]
        for contender in sorted(ranks, key=lambda name: ranks[name])
    ]
    header = [
        "contender",
        "problems",
        "seeds",
        "rank",
        "rank by seed",
        "loss",
        *HALVES,
        "area in time" if on_a_clock else "area",
        "log10",
    ]
    return table([*header, "first feasible", "failed", "repeated", "died", "CPU s"], rows)


def counts(runs: Runs) -> list[str]:
    """First feasible evaluation, failed evaluations and repeats of them per run, died runs, CPU seconds."""
    every = [run for seeds in runs.values() for run in seeds.values()]
    first = float(np.quantile([run.first_feasible or np.inf for run in every], 0.5, method="higher"))
    never = sum(run.first_feasible is None for run in every)
    evaluations = sum(run.evaluations for run in every)
    return [
        number(first) + (f" ({never} of {len(every)} never)" if never else ""),
        number(float(np.mean([run.failed for run in every]))),
        number(float(np.mean([run.repeated for run in every]))),
        str(sum(bool(run.died) for run in every)),
        number(sum(run.ask_cpu + run.tell_cpu for run in every) / evaluations if evaluations else None, 2),
    ]


def versus(arena: Arena) -> str:
    """Hpo against every peer, on the problems and seeds that both have."""
    if OURS not in arena.runs:
        return "No runs of hpo, so no comparison with it."
    given = arena.curves()
    finals = {contender: compare.finals(each) for contender, each in given.items()}
    best = best_peer(finals)
    rows = []
    for peer in given:
        difference = compare.difference(finals[OURS], finals[peer])
        if peer == OURS or not difference:
            continue
        halves = [{p: difference[p] for p in difference if problems.half(p) == half} for half in HALVES]
        rows.append(
            [
                f"**{peer}**" if peer == best else peer,
                str(len(difference)),
                span(len(seeds) for seeds in difference.values()),
                interval(compare.bootstrap(difference, _rng()), "+"),
                *(interval(compare.bootstrap(half, _rng()), "+") for half in halves),
                needed(given[OURS], given[peer]),
            ]
        )
    if not rows:
        return "No peer has runs on hpo's problems, so no comparison yet."
    header = ["hpo - peer (best in bold)", "problems", "seeds", "difference of loss", *HALVES, "training runs needed"]
    return table(header, rows)


def needed(ours: Curves, theirs: Curves) -> str:
    """The median over problems of the share of the evaluations that we need for their final median."""
    shares = list(compare.shares_needed(ours, theirs).values())
    if not shares:
        return "-"
    never = sum(np.isinf(share) for share in shares)
    middle = float(np.quantile(shares, 0.5, method="higher" if never else "linear"))
    return number(middle, 2) + (f" (never on {never} of {len(shares)})" if never else "")


def losing(found: Sequence[Arena]) -> str:
    """Problems where a peer's median is better, by more than chance explains; and where it may be, on few seeds."""
    rows: list[tuple[float, list[str]]] = []
    hints: list[tuple[float, list[str]]] = []
    compared = 0
    for arena in found:
        finals = {contender: compare.finals(compare.curves(each)) for contender, each in arena.runs.items()}
        ours = finals.pop(OURS, {})
        for peer, theirs in finals.items():
            for problem, seeds in compare.difference(ours, theirs).items():
                cells = [arena.mode, arena.family, problem, peer]
                result = compare.median_difference(ours[problem], theirs[problem], _rng())
                compared += result is not None
                if result is not None and result.mean > 0 and result.verdict > 0:
                    medians = _medians(ours[problem], theirs[problem])
                    rows.append((result.mean, [*cells, *medians, interval(result, "+")]))
                elif result is None and (mean := float(np.mean(list(seeds.values())))) > _MUCH:
                    hints.append((mean, [*cells, str(len(seeds)), number(mean)]))
    parts = [f"Not known yet: no problem has {FEWEST_SEEDS} seeds of both hpo and a peer."]
    header = ["mode", "family", "problem", "peer"]
    if compared:
        parts = [f"Nowhere, in {compared} comparisons of a problem with a peer."]
    if rows:
        parts = [
            f"In {len(rows)} of {compared} comparisons of a problem with a peer, the peer's median loss is lower and the "
            "interval of the difference excludes 0:",
            table([*header, "hpo: median", "peer: median", "difference"], _worst_first(rows)),
        ]
    if hints:
        parts += [
            f"Not compared were those with fewer than {FEWEST_SEEDS} seeds in common. Where hpo's mean loss on these is "
            f"larger by more than {_MUCH}, it may lose too:",
            table([*header, "seeds", "difference"], _worst_first(hints)),
        ]
    return "\n\n".join(parts)


def _worst_first(rows: list[tuple[float, list[str]]]) -> list[list[str]]:
    return [cells for _, cells in sorted(rows, key=lambda row: -row[0])]


def origin_words(results: Path) -> str:
    """Commits, dates, machines and versions behind the runs, contender by contender."""
    by_contender: dict[str, list[records.Record]] = {}
    for contender, line in records.origins(results):
        by_contender.setdefault(contender, []).append(line)
    words = []
    for contender, lines in by_contender.items():
        commits = list(dict.fromkeys(line["commit"] for line in lines))
        dates = sorted(line["date"] for line in lines)
        versions = dict.fromkeys(", ".join(f"{k} {v}" for k, v in line["versions"].items()) for line in lines)
        words.append(f"- {contender}: commit {', '.join(commits)}; {dates[0]} to {dates[-1]}; {'; '.join(versions)}")
    machines = sorted({line["machine"] for lines in by_contender.values() for line in lines})
    return "\n".join([f"{'; '.join(machines)}. `+` marks changes beyond a commit.", "", *words])


def _medians(ours: Mapping[int, float], theirs: Mapping[int, float]) -> list[str]:
    common = sorted(ours.keys() & theirs.keys())
    return [number(float(np.median([each[seed] for seed in common]))) for each in (ours, theirs)]


def _rng() -> np.random.Generator:
    """Every interval from the same draws, so that a report of the same lines is the same report."""
    return np.random.default_rng(0)

"""Result lines -> pages: what was measured, on what, with which command, in tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks import ask_cost, first_feasible, race, records
from benchmarks.problems import BY_NAME, SINGLE, TINY_FEASIBLE
from benchmarks.score import SMALLEST_REGRET, TIE, Paired, paired, quartiles

CONTENDERS = ("hpo", "botorch", "random")


def report() -> None:
    """Print every page that has results, and write it beside them."""
    pages: dict[str, Callable[[], str]] = {
        "regret.md": regret_page,
        "ask-cost.md": ask_cost_page,
        "first-feasible.md": first_feasible_page,
    }
    for name, page in pages.items():
        text = page()
        print(text)
        records.RESULTS.mkdir(parents=True, exist_ok=True)
        (records.RESULTS / name).write_text(text)


@dataclass(frozen=True)
class Curves:
    """Regret curves by contender, problem and seed."""

    of: Mapping[tuple[str, str, int], Sequence[float]]

    def seeds(self, contender: str, problem: str) -> list[int]:
        """The seeds there are, in order."""
        return sorted(seed for c, p, seed in self.of if (c, p) == (contender, problem))

    def at(self, contender: str, problem: str, share: float) -> list[float]:
        """The regret of every seed after this share of the evaluations."""
        index = max(round(share * BY_NAME[problem].budget) - 1, 0)
        return [self.of[contender, problem, seed][index] for seed in self.seeds(contender, problem)]

    def compared(self, ours: str, theirs: str, problem: str) -> Paired | None:
        """The paired comparison over the seeds both have; None when there are none."""
        common = sorted({*self.seeds(ours, problem)} & {*self.seeds(theirs, problem)})
        if not common:
            return None
        first, second = ([self.of[name, problem, seed][-1] for seed in common] for name in (ours, theirs))
        return paired(first, second, np.random.default_rng(0))


def regret_page() -> str:
    """Final regret, the paired comparison, the way there, and its cost."""
    lines = [line for name in CONTENDERS for line in records.read(race.path_of(name))]
    curves = Curves({(line["contender"], line["problem"], line["seed"]): line["regret"] for line in lines})
    final = [
        [bench.name, str(bench.budget), *(_spread(curves.at(name, bench.name, 1.0)) for name in CONTENDERS)]
        for bench in SINGLE
    ]
    comparisons = [(bench.name, curves.compared("hpo", "botorch", bench.name)) for bench in SINGLE]
    way = [
        [bench.name, name, *(_middle(curves.at(name, bench.name, share)) for share in (0.25, 0.5, 0.75, 1.0))]
        for bench in SINGLE
        for name in CONTENDERS
    ]
    cost = [
        [bench.name, *(_middle(_total_cpu(lines, name, bench.name)) for name in ("hpo", "botorch"))] for bench in SINGLE
    ]
    return "\n\n".join(
        [
            "# Regret at an equal number of evaluations",
            "`python -m benchmarks versus-botorch`, then `python -m benchmarks report`. Regret is the distance of the "
            "best value so far from the known optimum. One contender a process, one thread, default settings. "
            "`botorch` is the plain loop of `benchmarks/contenders/botorch_loop.py`.",
            "Median final regret [quartiles] (seeds):",
            _table(["problem", "evaluations", *CONTENDERS], final),
            "hpo against botorch, by seed. The difference is in log10 of the final regret: below 0, hpo is better; the "
            "interval is a 95 % bootstrap of the median. p is the two-sided Wilcoxon signed-rank test, p (worse) the "
            f"one-sided test against hpo being no worse. Regrets below {SMALLEST_REGRET:g} count as {SMALLEST_REGRET:g}; "
            f"differences up to {TIE:g} are ties.",
            _table(
                ["problem", "seeds", "wins / ties / losses", "difference", "p", "p (worse)", "verdict"],
                [[problem, *_comparison(test)] for problem, test in comparisons if test is not None],
            ),
            "Median regret on the way:",
            _table(["problem", "contender", "25 % of the evaluations", "50 %", "75 %", "100 %"], way),
            "Median CPU seconds of all asks of a run:",
            _table(["problem", "hpo", "botorch"], cost),
            _origin(lines),
        ]
    )


def ask_cost_page() -> str:
    """CPU per ask, side by side."""
    lines = records.read(ask_cost.PATH)
    cells: dict[tuple[int, int], dict[str, list[list[float]]]] = {}
    for line in lines:
        cells.setdefault((line["d"], line["n"]), {}).setdefault(line["contender"], []).append(line["ask_cpu"])
    rows = []
    for (d, n), cell in sorted(cells.items()):
        ours, theirs = (np.array(cell[name]) for name in ("hpo", "botorch"))
        repeats = np.median(theirs, axis=1) / np.median(ours, axis=1)
        rows.append(
            [
                str(d),
                str(n),
                str(len(ours)),
                *(_milliseconds(float(np.median(first))) for first in (ours[:, 0], theirs[:, 0])),
                f"{np.median(theirs[:, 0]) / np.median(ours[:, 0]):.1f}",
                *(_milliseconds(float(np.median(every))) for every in (ours, theirs)),
                f"{np.median(theirs) / np.median(ours):.1f}",
                f"{repeats.min():.1f} .. {repeats.max():.1f}",
            ]
        )
    return "\n\n".join(
        [
            "# CPU per ask",
            "`python -m benchmarks ask-cost`, then `python -m benchmarks report`. Both contenders in one run, in turns, "
            f"each in its own process with one thread, from the same n random results to n + {ask_cost.GROWTH}. For hpo "
            "the whole of `study.ask()` with its storage in memory; for botorch fit and acquisition. Hartmann6 in 6 "
            "dimensions, and with 14 parameters that do nothing in 20. First: the ask right after the n results were "
            "handed over. Growing: median of all asks from n on, each after one more result.",
            _table(
                [
                    "d",
                    "n",
                    "repeats",
                    "hpo first, ms",
                    "botorch first, ms",
                    "ratio",
                    "hpo growing, ms",
                    "botorch growing, ms",
                    "ratio",
                    "ratio by repeat",
                ],
                rows,
            ),
            _origin(lines),
        ]
    )


def first_feasible_page() -> str:
    """Evaluations to the first feasible point."""
    studies = records.read(first_feasible.STUDIES)
    random = {line["problem"]: line for line in records.read(first_feasible.RANDOM)}
    rows = []
    for bench in TINY_FEASIBLE:
        runs = [line for line in studies if line["problem"] == bench.name]
        if not runs or bench.name not in random:
            continue
        yardstick = random[bench.name]
        low, middle, high = first_feasible.quartiles(runs)
        q1, q3 = yardstick["quartiles"]
        rows.append(
            [
                bench.name,
                f"{yardstick['feasible_share']:.2%}",
                f"{yardstick['median']:.0f} [{q1:.0f}, {q3:.0f}]",
                f"{middle:g} [{low:g}, {high:g}]",
                f"{max(line['found'] or float('inf') for line in runs):g}",
                f"{sum(line['found'] is not None for line in runs)} / {len(runs)}",
                f"{middle / yardstick['median']:.1%}",
            ]
        )
    return "\n\n".join(
        [
            "# Evaluations to the first feasible point",
            "`python -m benchmarks first-feasible`, then `python -m benchmarks report`. Three public engineering designs "
            "(`benchmarks/problems/constrained.py`). Feasible is the share of the box, by 2 000 000 uniform points; random "
            "search is read off the same points; hpo stops at its first feasible point or after 100 evaluations "
            "(then inf).",
            _table(
                [
                    "problem",
                    "feasible",
                    "random: median [quartiles]",
                    "hpo: median [quartiles]",
                    "hpo: slowest seed",
                    "found",
                    "hpo / random",
                ],
                rows,
            ),
            _origin([*studies, *random.values()]),
        ]
    )


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    table = [list(header), *map(list, rows)]
    widths = [max(len(row[i]) for row in table) for i in range(len(header))]
    table.insert(1, ["-" * width for width in widths])
    return "\n".join("| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |" for row in table)


def _comparison(test: Paired) -> list[str]:
    return [
        str(test.n),
        f"{test.wins} / {test.ties} / {test.losses}",
        f"{test.median:+.2f} [{test.low:+.2f}, {test.high:+.2f}]",
        f"{test.p:.2g}",
        f"{test.p_worse:.2g}",
        test.verdict,
    ]


def _total_cpu(lines: Sequence[records.Record], contender: str, problem: str) -> list[float]:
    return [sum(line["ask_cpu"]) for line in lines if (line["contender"], line["problem"]) == (contender, problem)]


def _spread(values: Sequence[float]) -> str:
    if not values:
        return "-"
    low, middle, high = quartiles(values)
    return f"{middle:.3g} [{low:.2g}, {high:.2g}] ({len(values)})"


def _middle(values: Sequence[float]) -> str:
    return f"{np.median(values):.3g}" if values else "-"


def _milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:.1f}"


def _origin(lines: Sequence[records.Record]) -> str:
    """Commits, machines, dates and versions behind a page, contender by contender."""
    if not lines:
        return "No results yet.\n"
    words = []
    for contender in dict.fromkeys(line["contender"] for line in lines):
        mine = [line for line in lines if line["contender"] == contender]
        commits = list(dict.fromkeys(line["commit"] for line in mine))
        commit = commits[0] if len(commits) == 1 else f"{commits[0]} .. {commits[-1]} ({len(commits)} different)"
        dates = sorted(line["date"] for line in mine)
        versions = sorted({", ".join(f"{k} {v}" for k, v in line.get("versions", {}).items()) for line in mine})
        words.append(
            f"- {contender}: commit {commit} (+ marks changes beyond it); {dates[0]} to {dates[-1]}"
            + "".join(f"; {v}" for v in versions if v)
        )
    machines = "; ".join(sorted({line["machine"] for line in lines}))
    return "\n".join([f"Measured on: {machines}.", "", *words, ""])

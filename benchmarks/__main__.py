"""The commands: `python -m benchmarks`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from benchmarks import ask_cost, first_feasible, race
from benchmarks.contenders import CONTENDERS
from benchmarks.problems import SINGLE
from benchmarks.report import report

EPILOG = """\
Times are for one core. All commands but ask-cost go on where they stopped: what has a line in
benchmarks/results/*.jsonl is not run again; delete a contender's file to have it run again.
Timings count CPU seconds, so a busy machine shifts them little, but leave it alone for ask-cost.
"""


def main(arguments: Sequence[str]) -> int:
    """Run one command; without any, say what there is."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Compare hpo with a plain BoTorch loop and with random search, on public problems.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", metavar="command")

    versus = commands.add_parser(
        "versus-botorch",
        help="regret at equal evaluations, 4 problems x 20 seeds (about 40 minutes, 3 without botorch)",
    )
    _add_seeds_and_jobs(versus)
    versus.add_argument(
        "--contenders", nargs="+", choices=list(CONTENDERS), default=list(CONTENDERS), help="default: all"
    )

    cost = commands.add_parser("ask-cost", help="CPU seconds per ask, side by side in one run (about 4 minutes)")
    cost.add_argument("--repeats", type=_positive, default=5, help="data sets per cell (default 5)")

    feasible = commands.add_parser(
        "first-feasible", help="evaluations to the first feasible point, 3 problems x 20 seeds (about 1 minute)"
    )
    _add_seeds_and_jobs(feasible)

    commands.add_parser(
        "report", help="tables of all results, printed and written to benchmarks/results/*.md (seconds)"
    )

    chosen = parser.parse_args(arguments)
    match chosen.command:
        case "versus-botorch":
            race.race([bench.name for bench in SINGLE], chosen.contenders, chosen.seeds, chosen.jobs)
        case "ask-cost":
            ask_cost.ask_cost(chosen.repeats)
        case "first-feasible":
            first_feasible.first_feasible(chosen.seeds, chosen.jobs)
        case "report":
            report()
        case _:
            parser.print_help()
    return 0


def _add_seeds_and_jobs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seeds", type=_positive, default=20, help="seeds 0, 1, ... per problem (default 20)")
    parser.add_argument("--jobs", type=_positive, default=1, help="runs at a time (default 1)")


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not at least 1")
    return number


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

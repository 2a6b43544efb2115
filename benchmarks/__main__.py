"""The commands: `python -m benchmarks`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.records import RESULTS
from benchmarks.suites import MODES, SUITES

EPILOG = """\
`run` goes on where it stopped: what has a line in benchmarks/results is not run again. Delete a contender's
files to have it run again. Times are CPU seconds; leave the machine alone during `cost`.
"""


def main(arguments: Sequence[str]) -> int:
    """Run one command; without any, say what there is."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Compare hpo with its peers, on public problems.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", metavar="command")

    environments = commands.add_parser("environments", help="build the environments of the peers (needs the network)")
    environments.add_argument("names", nargs="*", help="default: all")

    run = commands.add_parser("run", help="run a suite, or resume it")
    run.add_argument("--suite", choices=list(SUITES), default="quick", help="default: quick")
    run.add_argument("--contenders", nargs="+", metavar="NAME", help="default: those of the suite")
    run.add_argument("--families", nargs="+", metavar="NAME", help="default: all")
    run.add_argument("--problems", nargs="+", metavar="NAME", help="instead of those of the suite")
    run.add_argument("--modes", nargs="+", choices=list(MODES), help="default: those of the suite")
    run.add_argument("--half", choices=("development", "validation"), help="default: both halves")
    run.add_argument("--seeds", type=_positive, help="seeds 0, 1, ... (default: those of the suite)")
    run.add_argument("--jobs", type=_positive, default=1, help="runs at a time (default 1)")
    run.add_argument("--again", action="store_true", help="also run again what died")
    _add_out(run)

    cost = commands.add_parser("cost", help="CPU per ask, imports and memory, side by side in one run")
    cost.add_argument("--contenders", nargs="+", metavar="NAME", help="default: all that learn from results")
    _add_out(cost)

    load = commands.add_parser("load", help="storages and the loop under load; PostgreSQL where HPO_TEST_PG names one")
    _add_out(load)

    calibration = commands.add_parser("calibration", help="how often what hpo calls probably feasible is feasible")
    _add_out(calibration)

    ablate = commands.add_parser("ablate", help="hpo with a constant changed against itself, on the same seeds")
    ablate.add_argument("name", help="what to call the variant")
    ablate.add_argument("--set", nargs="+", required=True, metavar="MODULE.NAME=JSON", dest="settings", type=_setting)
    ablate.add_argument("--families", nargs="+", metavar="NAME", help="default: all")
    ablate.add_argument("--half", choices=("development", "validation"), default="development")
    ablate.add_argument("--mode", choices=list(MODES), default="q1", help="default: q1")
    ablate.add_argument("--seeds", type=_positive, default=8, help="default: 8")

    report = commands.add_parser("report", help="report.md and pictures of all results, beside them")
    report.add_argument("--page", action="store_true", help="also write the tables in docs/explanation")
    _add_out(report)

    pack = commands.add_parser("pack", help="compress the result lines; what is run later is added beside them")
    _add_out(pack)

    chosen = parser.parse_args(arguments)
    if chosen.command is None:
        parser.print_help()
        return 0
    return _do(chosen)


def _do(chosen: argparse.Namespace) -> int:
    """What was chosen; every command imports what it needs."""
    match chosen.command:
        case "environments":
            from benchmarks import environments as builder

            builder.build(chosen.names)
        case "run":
            from benchmarks.session import Choice, run_suite

            return run_suite(
                Choice(
                    SUITES[chosen.suite],
                    contenders=chosen.contenders,
                    families=chosen.families,
                    problems=chosen.problems,
                    modes=chosen.modes,
                    half=chosen.half,
                    seeds=chosen.seeds,
                ),
                jobs=chosen.jobs,
                results=chosen.out,
                again=chosen.again,
            )
        case "cost":
            from benchmarks.cost import measure

            measure(chosen.contenders, chosen.out)
        case "load":
            from benchmarks.load import measure as measure_load

            measure_load(chosen.out)
        case "calibration":
            from benchmarks.calibration import measure as observe_all

            observe_all(chosen.out)
        case "ablate":
            from benchmarks.ablate import ablate as compared

            compared(
                chosen.name,
                dict(chosen.settings),
                families=chosen.families,
                half=chosen.half,
                mode=chosen.mode,
                seeds=chosen.seeds,
            )
        case "report":
            from benchmarks.load_page import update_page
            from benchmarks.measured_page import measured_page
            from benchmarks.report import write

            print(write(chosen.out))
            if chosen.page:
                measured_page(chosen.out)
                update_page(chosen.out)
        case "pack":
            from benchmarks.records import pack

            pack(chosen.out)
    return 0


def _add_out(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="DIR", help="default: benchmarks/results")


def _setting(text: str) -> tuple[str, object]:
    place, _, value = text.partition("=")
    try:
        return place, json.loads(value)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text} is not MODULE.NAME=JSON") from error


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not at least 1")
    return number


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The command `run`: from what was asked for to the runs that are still to do, and doing them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import contenders, problems, records, suites
from benchmarks.problems.base import BenchProblem
from benchmarks.process import ContenderProcess
from benchmarks.progress import Display
from benchmarks.records import Run
from benchmarks.schedule import Queues, work
from benchmarks.suites import MODES, Suite, Task


@dataclass(frozen=True)
class Choice:
    """A suite, and what the command line says otherwise; None leaves it as the suite has it."""

    suite: Suite
    contenders: Sequence[str] | None = None
    families: Sequence[str] | None = None
    problems: Sequence[str] | None = None
    modes: Sequence[str] | None = None
    half: str | None = None
    seeds: int | None = None


def run_suite(choice: Choice, jobs: int, results: Path, again: bool) -> int:
    """Do the runs that have no result line yet. Prints progress; 1 if something could not be run, else 0."""
    names = list(choice.contenders or choice.suite.contenders or contenders.CONTENDERS)
    _check(names, contenders.CONTENDERS, "contender")
    missing = [name for name in names if not contenders.is_installed(name)]
    if missing:
        needed = dict.fromkeys(str(contenders.CONTENDERS[name].environment) for name in missing)
        print(f"Not installed, left out: {', '.join(missing)} (python -m benchmarks environments {' '.join(needed)})")
    chosen = chosen_problems(choice, problems.BY_NAME, problems.FAMILIES, problems.half)
    enters = {
        name: [p for p in chosen if contenders.CONTENDERS[name].takes(problems.BY_NAME[p].problem)]
        for name in names
        if name not in missing
    }
    seeds = choice.seeds or choice.suite.seeds
    is_capped = choice.suite.is_capped
    wanted = suites.tasks(enters, choice.modes or choice.suite.modes, chosen, seeds, is_capped=is_capped)
    for line in suites.cap_words([*enters], chosen, seeds) if is_capped else ():
        print(line)
    to_do = unfinished(wanted, records.runs(results, problems.BY_NAME), problems.BY_NAME, again)
    print(f"{len(wanted) - len(to_do)} runs finished before, {len(to_do)} to do", flush=True)
    queues = Queues.of(to_do)
    origin = records.origin({})
    versions_of: dict[str, Mapping[str, str]] = {}
    n_died = Counter[str]()
    with Display(Counter(task.contender for task in to_do), lambda: queues.seconds_left(jobs)) as display:

        def save(run: Run, versions: Mapping[str, str]) -> None:
            if versions:
                versions_of[run.contender] = versions
            path = records.path_of(results, run.contender, run.mode)
            records.append_run(path, {**origin, "versions": dict(versions_of.get(run.contender, {}))}, run)
            if run.died:
                n_died[run.contender] += 1
                display.say(f"{run.contender} {run.mode} {run.problem} seed {run.seed}: {run.died}")
            display.advance(run.contender)

        try:
            work(queues, problems.BY_NAME, jobs, ContenderProcess, save)
        except KeyboardInterrupt:
            display.say("Stopped; the same command goes on from here.")
            return 130
    for name, reason in queues.given_up.items():
        print(f"{name}: its process does not start, its runs are left out: {reason}")
    for problem, reason in queues.faults.items():
        print(f"{problem}: cannot be evaluated here, its runs are left out: {reason}")
    for name, n in n_died.items():
        print(f"{name}: {n} runs died; they are recorded as such, and run again with --again")
    return 1 if queues.given_up or queues.faults else 0


def chosen_problems(
    choice: Choice,
    by_name: Mapping[str, BenchProblem],
    families: Mapping[str, Sequence[str]],
    half: Callable[[str], str],
) -> list[str]:
    """The problems that were asked for, family by family. Raises SystemExit for names that are none."""
    if choice.problems is not None:
        _check(choice.problems, by_name, "problem")
    _check(choice.families or (), families, "family")
    listed = choice.problems or choice.suite.problems
    out: list[str] = []
    for family in choice.families or families:
        names = [name for name in families[family] if choice.half in (None, half(name))]
        if listed is None:
            out += suites.smallest(names, by_name, choice.suite.per_family)
        else:
            out += [name for name in names if name in listed]
    return out


def unfinished(
    wanted: Sequence[Task], runs: Iterable[Run], by_name: Mapping[str, BenchProblem], again: bool
) -> list[Task]:
    """The tasks that have no result yet; a run with another number of evaluations is none, nor, with `again`, is one
    that died."""
    done = {run.cell: run for run in runs}

    def is_done(task: Task) -> bool:
        run = done.get((task.contender, task.mode, task.problem, task.seed))
        total = MODES[task.mode].total(by_name[task.problem])
        return run is not None and run.total == total and not (again and run.died)

    return [task for task in wanted if not is_done(task)]


def _check(names: Iterable[str], known: Iterable[str], noun: str) -> None:
    known = list(known)
    for name in names:
        if name not in known:
            raise SystemExit(f"no {noun} {name!r} (have: {', '.join(known)})")

"""`hpo demo`: one real task tuned by four strategies with the same number of training runs each, and what came out."""

from __future__ import annotations

import math
import time
from pathlib import Path
from statistics import median_low

import click

from hpo.cli import demo_task
from hpo.cli.console import echo
from hpo.cli.run import ended_by
from hpo.common.text import counted
from hpo.errors import MissingExtra, listing
from hpo.executors.local.processes import Processes
from hpo.problem.metrics import limit_words
from hpo.report.comparison import Comparison
from hpo.running.budget import Budget
from hpo.running.progress import Progress
from hpo.running.runner import run
from hpo.strategies import Bayesian, Grid, OneAtATime, Random, Strategy
from hpo.study.open_study import open_study
from hpo.study.provenance import installed
from hpo.study.study import Study
from hpo.trials.formatting import best_words, duration, measured, misses
from hpo.trials.history import History
from hpo.trials.trial import Trial

SLOTS = 2
_NEEDED = ("scikit-learn", "matplotlib", "jinja2")
_REASON = "the demo: joint tuning beside grid, one-at-a-time and random search"
_ENV = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def demo(folder: Path = Path("demo"), trials: int = 30, seeds: int = 5) -> None:
    """Tune the demo's task with each strategy and each seed, `trials` training runs each, two at a time, and write
    `report.html` and `comparison.png` to `folder`. What `demo.db` there already holds is not trained again.

    The first joint study is shown trial by trial. Exits with 130 when interrupted.
    """
    if missing := [name for name in _NEEDED if installed(name) is None]:
        raise MissingExtra(f"the demo needs {listing(missing)}: pip install {' '.join(missing)}")
    start = time.monotonic()
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    echo(_task_words())
    contenders = strategies(trials)
    echo(
        f"\n{len(contenders)} strategies x {counted(seeds, 'seed')} x {counted(trials, 'training run')}, {SLOTS} at a time:"
    )
    studies: dict[str, dict[int, Study]] = {name: {} for name in contenders}
    for seed in range(seeds):
        for name, strategy in contenders.items():
            studies[name][seed] = _tuned(folder, name, seed, strategy, Budget(trials=trials))
    comparison = Comparison.of({name: {i: s.history for i, s in by.items()} for name, by in studies.items()})
    echo("\n" + "\n".join(table(comparison)))
    echo(verdict(comparison, "joint"))
    echo(_best_words(studies["joint"][0].history))
    for path in _written(folder, studies["joint"][0], comparison):
        echo(f"wrote {path}")
    echo(f"took {duration(time.monotonic() - start)}")


def strategies(trials: int) -> dict[str, Strategy]:
    """The contenders by name, joint first. The grid is the largest that fits; one-at-a-time gets round all parameters once
    with 16 training runs, and can begin again."""
    return {
        "joint": Bayesian(),
        "random": Random(),
        "one-at-a-time": OneAtATime(values=5),
        "grid": Grid(budget=trials),
    }


def table(comparison: Comparison) -> list[str]:
    """Lines of the table: a row a strategy, with the training runs until it was as good as the grid ended on that seed."""
    reached = training_runs_to_reach(comparison, "grid")
    rows = [[*comparison.header(), "training runs to the grid's best"]]
    for row, contender in zip(comparison.rows(), comparison.contenders, strict=True):
        rows.append([*row, reached[contender.name]])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
    return [lines[0], "-" * len(lines[0]), *lines[1:]]


def training_runs_to_reach(comparison: Comparison, name: str) -> dict[str, str]:
    """For each strategy: how many training runs it took, on the median seed, to be as good as strategy `name` was at its
    end on the same seed; `never` where more seeds did not get there than did."""
    sign = comparison.objective.sign
    target = next(c for c in comparison.contenders if c.name == name).best

    def count(curve: tuple[float | None, ...], seed: int) -> float:
        goal = target.get(seed)
        found = (i for i, v in enumerate(curve, 1) if v is not None and (goal is None or sign * v >= sign * goal))
        return next(found, math.inf)

    middle = {
        c.name: median_low([count(curve, seed) for seed, curve in c.curves.items()]) for c in comparison.contenders
    }
    return {name: "never" if math.isinf(n) else str(int(n)) for name, n in middle.items()}


def verdict(comparison: Comparison, name: str) -> str:
    """On how many seeds strategy `name` ended better than, level with and behind each of the others."""
    sign = comparison.objective.sign
    ends = {c.name: c.best for c in comparison.contenders}

    def value(who: str, seed: int) -> float:
        best = ends[who].get(seed)
        return -math.inf if best is None else sign * best

    parts = []
    for other in (c.name for c in comparison.contenders if c.name != name):
        gaps = [(value(name, seed), value(other, seed)) for seed in comparison.seeds]
        wins, ties = sum(a > b for a, b in gaps), sum(a == b for a, b in gaps)
        parts.append(f"{other} {wins} better, {ties} level, {len(gaps) - wins - ties} worse")
    return f"{name} against, by seed: {'; '.join(parts)}."


def _tuned(folder: Path, name: str, seed: int, strategy: Strategy, budget: Budget) -> Study:
    """The study of one strategy and one seed, run until `budget` is spent."""
    study = open_study(
        f"{name}-seed{seed}",
        demo_task.problem(),
        storage=folder / "demo.db",
        seed=seed,
        strategy=strategy,
        reason=_REASON,
    )
    history = study.history
    if history.trials:
        echo(f"resuming: {study.name} has {_trainings(history)}, {best_words(history)}")
        if not history.in_flight and budget.room(history, 0.0).trials <= 0:
            return study
    is_shown = name == "joint" and seed == 0
    try:
        ended = run(
            study,
            demo_task.Train(seed),
            budget=budget,
            executor=Processes(SLOTS, env=_ENV),
            timeout=60.0,
            progress=_show if is_shown else False,
        )
    except KeyboardInterrupt as stop:
        ended = ended_by(stop)
    if ended.interrupted:
        echo(f"interrupted: {study.name} has {_trainings(study.history)}. The same command goes on from here")
        raise click.exceptions.Exit(130)
    echo(f"{study.name}: {_trainings(study.history)} in {duration(ended.seconds)}, {best_words(study.history)}")
    return study


def _show(step: Progress) -> None:
    if step.message:
        echo(f"  {step.message}")
    if step.ended is not None:
        echo(f"  #{step.ended.number:<3}{_ended_words(step.history, step.ended)} | {best_words(step.history)}")


def _ended_words(history: History, trial: Trial) -> str:
    if trial.kind is not None:
        return f"{trial.kind}: {trial.message}"
    objective = history.problem.objectives[0]
    missed = misses(tuple(history.problem.metrics), trial)
    told = f"{objective.name} {measured(objective, trial.values[objective.name])}"
    return f"{trial.why.get('role', ''):<12}{told}" + (f", misses {', '.join(missed)}" if missed else "")


def _trainings(history: History) -> str:
    n = len(history.completed) + len(history.failed)
    return f"{n} training runs"


def _task_words() -> str:
    problem = demo_task.problem()
    limits = " and ".join(f"{m.name} {limit_words(m)} ({m.description})" for m in problem.limited)
    objective = problem.objectives[0]
    return (
        f"A support vector machine that reads handwritten digits: {objective.goal} {objective.name}\n"
        f"({objective.description}) over {len(problem.space)} parameters, such that {limits}."
    )


def _best_words(history: History) -> str:
    if not history.has_best:
        return "joint, seed 0: nothing feasible"
    best = history.best
    values = ", ".join(
        f"{m.name} {measured(m, best.values.get(m.name))}" for m in history.problem.metrics if m.name in best.values
    )
    params = "\n".join(f"  {name} = {_param(value)}" for name, value in best.params.items())
    return f"\nbest of joint-seed0, trial {best.number}: {values}\n{params}\n"


def _param(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _written(folder: Path, study: Study, comparison: Comparison) -> list[Path]:
    """The report and the picture."""
    from hpo.report import write_report
    from hpo.report.plots import comparison_figure, save

    picture = folder / "comparison.png"
    save(comparison_figure(comparison), picture)
    return [write_report(study, folder / "report.html", comparison=comparison), picture]

"""The demo: its task measures what it says, its table is what its studies hold, and a second run trains nothing."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

import hpo
from hpo.cli import demo as module
from hpo.cli import demo_task
from hpo.cli.demo import demo, table, training_runs_to_reach, verdict
from hpo.report import Comparison, Contender
from hpo.report.comparison import Curve
from hpo.running.run_result import Run
from hpo.trials.trial import TrialState

# -- the task ---------------------------------------------------------------------------------------------------------


# -- the table --------------------------------------------------------------------------------------------------------


def comparison() -> Comparison:
    """Three strategies, three seeds; the grid reaches 0.5, 0.6 and nothing."""
    curves: dict[str, dict[int, Curve]] = {
        "joint": {0: (None, 0.5, 0.7), 1: (0.1, 0.2, 0.6), 2: (None, 0.3, 0.3)},
        "random": {0: (0.1, 0.1, 0.1), 1: (0.2, 0.2, 0.2), 2: (None, None, None)},
        "grid": {0: (0.4, 0.5, 0.5), 1: (None, None, 0.6), 2: (None, None, None)},
    }
    return Comparison(hpo.Objective("accuracy"), [Contender(name, by) for name, by in curves.items()])


def test_trainings_until_as_good_as_the_grid() -> None:
    """joint: 2, 3 and, where the grid has nothing, its first feasible: 2. The grid: 2, 3, never."""
    assert training_runs_to_reach(comparison(), "grid") == {"joint": "2", "random": "never", "grid": "3"}


def test_the_verdict_counts_seeds() -> None:
    assert verdict(comparison(), "joint") == (
        "joint against, by seed: random 3 better, 0 level, 0 worse; grid 2 better, 1 level, 0 worse."
    )
    assert "joint 0 better, 0 level, 3 worse; grid 0 better, 1 level, 2 worse" in verdict(comparison(), "random")


def test_the_table() -> None:
    assert table(comparison()) == [
        "strategy  training runs  median accuracy  seed 0  seed 1  seed 2         training runs to the grid's best",
        "-" * 105,
        "joint     3              0.6              0.7     0.6     0.3            2",
        "random    3              0.1              0.1     0.2     none feasible  never",
        "grid      3              0.5              0.5     0.6     none feasible  3",
    ]


@pytest.mark.parametrize("trials", [1, 2, 8, 30, 32, 50, 64])
def test_the_grid_fits_the_trainings(trials: int) -> None:
    grid = module.strategies(trials)["grid"]
    assert isinstance(grid, hpo.strategies.Grid)
    n = len({tuple(p.items()) for p in grid.points(demo_task.problem().space)})
    assert 0.8 * trials <= n <= trials


# -- the whole --------------------------------------------------------------------------------------------------------


def here(slots: int, **_: object) -> hpo.executors.Simulated:
    """Trials run in this process: starting others, each with scikit-learn, takes longer than all of them."""
    return hpo.executors.Simulated(slots, duration=1.0)


def test_a_second_run_trains_nothing_and_shows_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "Processes", here)
    demo(tmp_path, trials=2, seeds=1)
    first = capsys.readouterr().out
    names = [f"{name}-seed0" for name in module.strategies(2)]
    studies = [hpo.open_study(name, storage=tmp_path / "demo.db") for name in names]
    events = [s.events() for s in studies]
    for s in studies:
        assert [t.state for t in s.trials] == [TrialState.COMPLETED] * 2
        expected = f"{s.best.values['accuracy'].value:.4g}" if s.history.has_best else "none feasible"
        row = next(line for line in first.splitlines() if line.startswith(s.name.removesuffix("-seed0") + " "))
        assert expected in row
    assert (tmp_path / "comparison.png").read_bytes().startswith(b"\x89PNG")
    page = (tmp_path / "report.html").read_text()
    assert "joint-seed0" in page
    assert "one-at-a-time" in page
    demo(tmp_path, trials=2, seeds=1)
    second = capsys.readouterr().out
    assert second.count("resuming: ") == 4
    assert "resuming: joint-seed0 has 2 training runs, " in second
    assert [s.events() for s in studies] == events
    cut = slice(first.index("\nstrategy"), first.index("took"))
    assert first[cut] in second


def test_trials_run_in_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SLOTS", 1)
    study = module._tuned(tmp_path, "grid", 0, module.strategies(1)["grid"], hpo.Budget(trials=1))
    assert [t.state for t in study.trials] == [TrialState.COMPLETED]


def test_an_interrupted_run_says_how_to_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "run", lambda *_, **__: Run("interrupted", 1.0, interrupted=True))
    with pytest.raises(click.exceptions.Exit) as end:
        demo(tmp_path, trials=4, seeds=1)
    assert end.value.exit_code == 130
    assert capsys.readouterr().out.endswith(
        "interrupted: joint-seed0 has 0 training runs. The same command goes on from here\n"
    )

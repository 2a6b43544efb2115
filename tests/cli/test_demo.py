"""The demo: its task measures what it says, its table is what its studies hold, and a second run trains nothing."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest

import hpo
from hpo.cli import demo as module
from hpo.cli import demo_task
from hpo.cli.demo import demo, table, trainings_to_reach, verdict
from hpo.report import Comparison, Contender
from hpo.report.comparison import Curve
from hpo.running.run_result import Run
from hpo.trials.trial import TrialState


def trial(**changes: Any) -> hpo.Trial:
    """A trial of the default configuration with some parameters changed; `__` in a name stands for its dot."""
    params = {**demo_task.problem().space.start(), **{k.replace("__", "."): v for k, v in changes.items()}}
    return hpo.Trial(number=0, params=params, state=TrialState.RUNNING, seed=7)


def data() -> tuple[Any, Any]:
    """Images and labels."""
    from sklearn.datasets import load_digits

    X, y = load_digits(return_X_y=True)
    return X.astype(np.float32), y


# -- the task ---------------------------------------------------------------------------------------------------------


def test_the_defaults_are_those_of_the_library_that_trains() -> None:
    from sklearn.neural_network import MLPClassifier

    start, network = demo_task.problem().space.start(), MLPClassifier()
    assert network.hidden_layer_sizes == (start["model.hidden"],) * start["model.layers"]
    assert (network.activation, network.solver) == (start["model.activation"], start["train.optimizer"])
    assert (network.learning_rate_init, network.alpha) == (start["train.lr"], start["train.alpha"])
    assert start["train.batch"] == min(200, 2 * 1797 // 3)


@pytest.mark.parametrize("scale", ["none", "standard"])
@pytest.mark.parametrize("activation", ["relu", "tanh", "logistic"])
def test_what_is_deployed_reads_like_what_was_trained(scale: str, activation: str) -> None:
    """Against a pipeline of scikit-learn's own stages, trained from the same seed."""
    from sklearn.decomposition import PCA
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    X, y = data()
    changes = {"data__components": 20, "model__hidden": 24, "model__layers": 2, "train__lr": 0.01}
    params = trial(data__scale=scale, model__activation=activation, **changes).params
    reader = demo_task.fit(params, X[:1200], y[:1200], seed=7)
    network = MLPClassifier(
        (24, 24), activation=activation, learning_rate_init=0.01, max_iter=demo_task.EPOCHS, random_state=7
    )
    stages = [StandardScaler(with_mean=False)] if scale == "standard" else []
    pipeline = make_pipeline(*stages, PCA(20, svd_solver="full"), network)
    with pytest.warns(match="Maximum iterations"):
        pipeline.fit(X[:1200].astype(float), y[:1200])
    expected = pipeline.predict(X[1200:].astype(float))
    assert np.mean(reader(X[1200:]) == expected) > 0.98  # trained in single and in double precision
    assert np.mean(reader(X[1200:]) == y[1200:]) > 0.8


def test_a_training_measures_the_reader_it_made() -> None:
    told = demo_task.train(trial(data__components=20, model__hidden=16, train__lr=0.01))
    read = told["accuracy"] * 1797
    assert read == pytest.approx(round(read), abs=1e-9)
    assert told["accuracy"] > 0.85
    weights = 64 * 20 + 20 + 20 * 16 + 16 + 16 * 10 + 10
    assert 4 * weights < told["size_kb"] * 1000 < 4 * weights + 2000
    assert set(told) == {m.name for m in demo_task.problem().metrics}


def test_the_seed_decides_the_accuracy() -> None:
    quick = {"data__components": 8, "model__hidden": 8}
    first, second = (demo_task.train(trial(**quick)) for _ in range(2))
    assert (first["accuracy"], first["size_kb"]) == (second["accuracy"], second["size_kb"])


def test_production_takes_as_long_as_production() -> None:
    """The network the times are divided by has the shape of the default, so the default's own ratio is about one, and
    sixteen times the multiplications take longer. Wide margins: other processes run at the same time."""
    X, y = data()
    default = demo_task.fit(trial().params, X[:300], y[:300], seed=0)
    production = demo_task._production()
    assert [W.shape for W, _ in default.maps] == [W.shape for W, _ in production.maps]
    own, other = demo_task.seconds(default, production, X[:128])
    assert 0.5 < own / other < 2.0
    wide = demo_task.fit(trial(model__hidden=256, model__layers=3).params, X[:300], y[:300], seed=0)
    own, other = demo_task.seconds(wide, production, X[:128])
    assert own > other


def test_the_default_misses_the_limit_of_size() -> None:
    X, y = data()
    size = len(pickle.dumps(demo_task.fit(trial().params, X[:300], y[:300], seed=0)))
    upper = demo_task.problem().metric("size_kb").limits[1]
    assert upper is not None
    assert size / 1000 > upper


def test_divergence_is_a_failure_with_its_kind() -> None:
    wild = trial(
        train__optimizer="sgd", train__lr=1.0, train__momentum=0.99, train__batch=16, model__layers=3, train__alpha=1.0
    )
    with pytest.raises(hpo.TrialFailed, match="beyond") as failure:
        demo_task.train(wild)
    assert failure.value.kind == "diverged"
    with pytest.raises(hpo.TrialFailed, match="beyond what float32 holds"):
        demo_task.Reader.of([(np.full((2, 2), 1e300), np.zeros(2))], "relu")


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
    assert trainings_to_reach(comparison(), "grid") == {"joint": "2", "random": "never", "grid": "3"}


def test_the_verdict_counts_seeds() -> None:
    assert verdict(comparison(), "joint") == (
        "joint against, by seed: random 3 better, 0 level, 0 worse; grid 2 better, 1 level, 0 worse."
    )
    assert "joint 0 better, 0 level, 3 worse; grid 0 better, 1 level, 2 worse" in verdict(comparison(), "random")


def test_the_table() -> None:
    assert table(comparison()) == [
        "strategy  trainings  median accuracy  seed 0  seed 1  seed 2         trainings to the grid's best",
        "-" * 97,
        "joint     3          0.6              0.7     0.6     0.3            2",
        "random    3          0.1              0.1     0.2     none feasible  never",
        "grid      3          0.5              0.5     0.6     none feasible  3",
    ]


@pytest.mark.parametrize("trials", [1, 2, 8, 30, 32, 50])
def test_the_grid_fits_the_trainings(trials: int) -> None:
    grid = module.strategies(trials)["grid"]
    assert isinstance(grid, hpo.strategies.Grid)
    n = len({tuple(p.items()) for p in grid.points(demo_task.problem().space)})
    assert 0.8 * trials <= n <= trials


# -- the whole --------------------------------------------------------------------------------------------------------


def test_a_second_run_trains_nothing_and_shows_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
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
    assert "resuming: joint-seed0 has 2 trainings, " in second
    assert [s.events() for s in studies] == events
    cut = slice(first.index("\nstrategy"), first.index("took"))
    assert first[cut] in second


def test_an_interrupted_run_says_how_to_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "run", lambda *_, **__: Run("interrupted", 1.0, interrupted=True))
    with pytest.raises(click.exceptions.Exit) as end:
        demo(tmp_path, trials=4, seeds=1)
    assert end.value.exit_code == 130
    assert capsys.readouterr().out.endswith(
        "interrupted: joint-seed0 has 0 trainings. The same command goes on from here\n"
    )

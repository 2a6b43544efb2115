"""The picture of the README: stored runs are not repeated, and what the pages say follows from the stored lines."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import hpo
from benchmarks import joint
from benchmarks.records import RESULTS, ROOT


def bowl(trial: hpo.Trial) -> dict[str, float]:
    """Quick, with a limit that half of the space misses."""
    n = trial.params["data.components"]
    return {"accuracy": 1 - abs(n - 8) / 100, "size_kb": 3.0 * n}


def test_runs_are_stored_once_and_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joint, "Train", lambda seed: bowl)
    joint.run(tmp_path, seeds=2, trials=4)
    lines = (tmp_path / joint.FILE).read_text()
    joint.run(tmp_path, seeds=2, trials=4)
    assert (tmp_path / joint.FILE).read_text() == lines
    found = joint.curves(tmp_path)
    assert {name: [len(curve) for curve in by_seed] for name, by_seed in found.items()} == {
        name: [4, 4] for name in joint.CONTENDERS
    }
    joint.draw(tmp_path, tmp_path / "first.svg")
    joint.draw(tmp_path, tmp_path / "second.svg")
    assert (tmp_path / "first.svg").read_bytes() == (tmp_path / "second.svg").read_bytes()


def test_a_curve_is_the_best_feasible_value_so_far() -> None:
    curve = joint.tuned("one at a time", bowl, seed=0, trials=5)
    assert curve[0] is None  # 64 components are 192 kB
    known = [value for value in curve if value is not None]
    assert known == sorted(known)
    assert len(joint.tuned("grid", bowl, seed=0, trials=5)) == 5


def test_quartiles_take_a_seed_without_a_feasible_trial_as_the_worst() -> None:
    low, middle, high = joint.quartiles([[None, 0.7], [0.5, 0.5], [0.6, 0.9]])
    assert (middle[0], high[0], middle[1]) == (0.5, 0.6, 0.7)
    assert low[0] == -float("inf")


def test_the_pages_show_the_table_of_the_stored_lines() -> None:
    table = "\n".join(joint.table(RESULTS))
    assert table in (ROOT / "docs" / "explanation" / "one-at-a-time.md").read_text()
    readme = (ROOT / "README.md").read_text()
    ends = {name: joint.quartiles(by_seed)[1, -1] for name, by_seed in joint.curves(RESULTS).items()}
    for name in ("joint", "one at a time", "grid"):
        assert re.search(rf"^\| {name} .*\b{ends[name]:.4f}\b", readme, re.MULTILINE), name
    pairs = zip(*(joint.curves(RESULTS)[name] for name in ("joint", "one at a time")), strict=True)
    ahead = sum(a[-1] > b[-1] for a, b in pairs if a[-1] is not None and b[-1] is not None)
    assert f"on {ahead} of {joint.SEEDS} splits" in readme


def test_the_problem_is_the_one_of_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    for name, parameter in joint.PROBLEM.space.parameters.items():
        low, high = parameter.low, parameter.high  # type: ignore[union-attr]
        shown = re.search(rf'"{re.escape(name)}": hpo\.\w+\(([-\d.e]+), ([-\d.e]+)', readme)
        assert shown is not None
        assert (float(shown[1]), float(shown[2])) == (low, high)

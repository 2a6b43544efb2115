"""Which failures say that the program is at fault."""

from __future__ import annotations

from pathlib import Path

import pytest

import hpo
from hpo.running.failures import Repeats, is_bug, is_told, way_back
from hpo.trials.trial import TrialState


def failed(message: str, kind: str = "error") -> hpo.Trial:
    return hpo.Trial(number=0, params={"x": 0.5}, state=TrialState.FAILED, seed=1, kind=kind, message=message)


@pytest.mark.parametrize(
    "message",
    [
        "TypeError: f() missing 1 required positional argument: 'x'",
        "KeyError: 'lr'",
        "NotImplementedError",
        'File "<string>", line 1 x = = 1 ^ SyntaxError: invalid syntax',
        "PermissionError: [Errno 13] Permission denied: '/data'",
        "the command ended with exit code 127: sh: 1: trian: not found",
        "the command ended with exit code 126",
        "the command ended with exit code 1: ModuleNotFoundError: No module named 'torhc'",
        "the command ended with exit code 2: train.py: error: the following arguments are required: --lr",
        "the command ended with exit code 2: Error: No such option: --lrr",
        "the command ended with exit code 2: python: can't open file '/a/trian.py': [Errno 2] No such file or directory",
        "the command ended well but reported no metrics; print them as one line of JSON",
    ],
)
def test_a_bug(message: str) -> None:
    assert is_bug(failed(message))
    assert not is_bug(failed(message, kind="crash"))


@pytest.mark.parametrize(
    "message",
    [
        "ValueError: TypeError: for this solver",
        "ValueError: no KeyError: here",
        "mine.TypeErrorOfMine: x",
        "RuntimeError: CUDA error",
        "ZeroDivisionError: division by zero",
        "the command ended with exit code 1: loss is NaN",
        "the command ended with exit code 1: train.py: error: no convergence",
        "the command ended with exit code 12: NaN",
        "",
    ],
)
def test_no_bug(message: str) -> None:
    assert not is_bug(failed(message))


def test_what_has_not_failed_is_no_bug() -> None:
    trial = hpo.Trial(number=0, params={}, state=TrialState.COMPLETED, seed=1, message="KeyError: 'x'")
    assert not is_bug(trial)


def test_repeats_are_told_at_each_doubling_whatever_their_numbers() -> None:
    repeats = Repeats()
    counts = [repeats.count(failed(f"ValueError: bad shape {n}")) for n in range(9)]
    assert counts == list(range(1, 10))
    assert [n for n in counts if is_told(n)] == [1, 2, 4, 8]
    assert repeats.count(failed("ValueError: bad size 1")) == 1
    assert repeats.count(failed("ValueError: bad shape 1", kind="oom")) == 1


def test_the_way_back_is_a_command_only_where_it_reaches_the_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = hpo.Problem(hpo.Space({"x": (0.0, 1.0)}), [hpo.Objective("y")])
    python = 'have these trials run again: study.requeue_failed("fixed")'
    assert way_back(hpo.open_study("a b", problem, storage=":memory:")) == python
    stored = hpo.open_study("a b", problem, storage=tmp_path / "s 1.db")
    assert way_back(stored) == f"{python}, or hpo requeue --failed 'a b' --storage '{tmp_path / 's 1.db'}'"
    monkeypatch.chdir(tmp_path)
    assert way_back(stored).endswith("--storage 's 1.db'")

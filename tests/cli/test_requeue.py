"""What failed by a fault that has been mended is run again, and counts once."""

from __future__ import annotations

from pathlib import Path

from hpo.study.open_study import open_study
from hpo.trials.trial import TrialState
from tests.cli.conftest import Hpo


def states(folder: Path) -> list[TrialState]:
    study = open_study("digits", storage=folder / "hpo.db")
    try:
        return [trial.state for trial in study.trials]
    finally:
        study.storage.close()


def test_all_that_failed(hpo: Hpo, folder: Path) -> None:
    train = (folder / "train.py").read_text()
    (folder / "train.py").write_text("raise SystemExit(4)")
    done = hpo("run", "study.toml", "--trials", "3")
    assert done.returncode == 3
    assert (
        "no trial has a result: 3 trials failed, the last, #2 (error): the command ended with exit code 4"
        in done.stdout
    )
    assert "hpo requeue --failed digits --storage " in done.stdout
    (folder / "train.py").write_text(train)
    again = hpo("requeue", "--failed", "digits", "--reason", "the exit is gone")
    assert (again.returncode, again.stdout) == (0, "3 trials of 'digits' will be run again: #0, #1, #2\n")
    assert states(folder) == [TrialState.WAITING] * 3
    assert hpo("run", "study.toml", "--trials", "3").returncode == 0
    assert states(folder) == [TrialState.COMPLETED] * 3
    assert hpo("requeue", "--failed").stdout == "no trial of 'digits' has failed: nothing is run again\n"


def test_some(hpo: Hpo, folder: Path) -> None:
    (folder / "train.py").write_text("raise SystemExit(4)")
    hpo("run", "study.toml", "--trials", "3")
    assert (
        hpo("requeue", "--kind", "oom").stdout == "no trial of 'digits' has failed of kind oom: nothing is run again\n"
    )
    assert hpo("requeue", "--trial", "1").stdout == "1 trial of 'digits' will be run again: #1\n"
    assert states(folder) == [TrialState.FAILED, TrialState.WAITING, TrialState.FAILED]
    for wrong in ([], ["--failed", "--trial", "0"]):
        refused = hpo("requeue", *wrong)
        assert refused.returncode == 1
        assert refused.stderr.startswith("Error: say which trials: --failed for all that failed")

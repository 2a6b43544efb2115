from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from hpo.errors import ExecutorError
from hpo.executors.notices import Notices
from hpo.executors.slurm import programs as slurm_programs
from hpo.executors.slurm.programs import Programs
from tests.executors.slurm.fake_slurm import FakeSlurm

AWAY = "echo 'sbatch: error: Unable to contact slurm controller (connect failure)' >&2; exit 1"


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    return FakeSlurm(tmp_path / "bin")


def test_patience_grows_with_each_time_out_and_goes_back(slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slurm_programs, "PATIENCE", 0.2)
    monkeypatch.setattr(slurm_programs, "MAX_PATIENCE", 0.8)
    notices = Notices()
    programs = Programs(notices)
    slurm.write("sbatch", "sleep 1000 & wait")  # what a wrapper starts holds its output open
    for seconds in ("0.2", "0.4", "0.8", "0.8"):
        with pytest.raises(ConnectionError, match=f"sbatch did not answer in {seconds} s"):
            programs("sbatch")
    assert notices.take() == [
        "Slurm has not answered for 0.2 s (sbatch); tried again with 0.4 s of patience",
        "Slurm has not answered for 0.4 s (sbatch); tried again with 0.8 s of patience",
        "Slurm has not answered for 0.8 s (sbatch); tried again with 0.8 s of patience",
    ]
    monkeypatch.setattr(slurm_programs, "PATIENCE", 60.0)
    programs._manners["sbatch"].patience = 120.0
    slurm.write("sbatch", "echo 12")
    assert programs("sbatch") == "12\n"
    assert notices.take() == ["Slurm answers again (sbatch)"]
    slurm.write("sbatch", AWAY)
    with pytest.raises(ConnectionError):
        programs("sbatch")
    assert programs._manners["sbatch"].patience < 120.0, "it has answered at once"


def test_each_program_has_its_own(slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slurm_programs, "PATIENCE", 0.2)
    programs = Programs(Notices())
    slurm.write("sbatch", "sleep 1000")
    slurm.write("scancel", "sleep 1000")
    with pytest.raises(ConnectionError):
        programs("sbatch")
    with pytest.raises(ConnectionError, match=r"scancel did not answer in 0\.2 s"):
        programs("scancel")


def test_pauses_grow_with_failures_in_a_row(slurm: FakeSlurm) -> None:
    programs = Programs(Notices())
    assert programs.next_call("sbatch") < time.monotonic()
    slurm.write("sbatch", AWAY)
    for seconds in (3.0, 6.0, 12.0, 24.0, 48.0, 60.0, 60.0):
        with pytest.raises(ConnectionError, match="Unable to contact"):
            programs("sbatch")
        assert seconds - 2.0 < programs.next_call("sbatch") - time.monotonic() <= seconds
    assert programs.next_call("squeue") < time.monotonic(), "that one may answer"
    slurm.write("sbatch", "exit 0")
    programs("sbatch")
    slurm.write("sbatch", AWAY)
    with pytest.raises(ConnectionError):
        programs("sbatch")
    assert programs.next_call("sbatch") - time.monotonic() <= 3.0


def test_a_refusal_is_no_failure_of_slurm(slurm: FakeSlurm) -> None:
    notices = Notices()
    programs = Programs(notices)
    slurm.write("sbatch", "echo 'sbatch: error: Invalid account' >&2; exit 1")
    with pytest.raises(ExecutorError, match="Slurm refuses: sbatch: error: Invalid account"):
        programs("sbatch")
    assert programs.next_call("sbatch") < time.monotonic()
    assert notices.take() == []


def test_who_is_in_a_hurry_waits_no_longer(slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slurm_programs, "PATIENCE", 500.0)
    notices = Notices()
    programs = Programs(notices)
    slurm.write("squeue", f"touch {slurm.folder}/called; sleep 1000 & wait")

    def hurry() -> None:
        while not (slurm.folder / "called").exists():
            time.sleep(0.02)
        programs.hurry()

    thread = threading.Thread(target=hurry)
    thread.start()
    with pytest.raises(ConnectionError):
        programs("squeue")
    thread.join()
    monkeypatch.setattr(slurm_programs, "PATIENCE", 0.1)
    programs._manners["squeue"].patience = 500.0
    with pytest.raises(ConnectionError, match=r"did not answer in 0\.1 s"):
        programs("squeue")

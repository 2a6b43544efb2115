"""Ctrl-C in a run: once, twice, and a third time."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

import hpo
from hpo.testing.executors import await_that
from hpo.trials.trial import TrialState

INTERRUPTED = """
import os, sys, time, hpo
from pathlib import Path
from hpo.executors import *
here = Path(sys.argv[1])
problem = hpo.Problem(hpo.Space({"x": hpo.Float(0, 1)}), [hpo.Objective("y")])
study = hpo.open_study("int", problem, storage=here / "i.db", seed=1)

def wait(trial):
    (here / f"{os.getpid()}.pid").touch()
    while not (here / "gate").exists():
        time.sleep(0.01)
    return {"y": trial.params["x"]}

def show(step):
    print(step.message or f"ended {step.ended.number}", flush=True)

EXECUTOR = {executor}
objective = None if isinstance(EXECUTOR, Subprocess) else wait
try:
    hpo.run(study, objective, budget=hpo.Budget(trials=100), executor=EXECUTOR, progress=show)
finally:
    stop = sys.exc_info()[1]
    print("END", type(stop) is KeyboardInterrupt, stop.run, flush=True)
    print("usable:", study.tell(study.ask(), {"y": 0.0}).state, flush=True)
"""


COMMAND = """
touch $$.pid
while [ ! -e gate ]; do sleep 0.05; done
echo '{"y": 0.5}'
"""


EXECUTORS = ["Inline()", "Threads(2)", "Processes(2)", "Subprocess(['sh', 'train.sh'], 2)"]


class _Interrupted:
    """The program above, at the point where as many trials run as there is room for."""

    def __init__(self, folder: Path, executor: str, command: str = COMMAND) -> None:
        (folder / "train.sh").write_text(command)
        self.folder, self.n = folder, 1 if executor == "Inline()" else 2
        code = INTERRUPTED.replace("{executor}", executor)
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, str(folder)],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        n_processes = 1 if executor in ("Inline()", "Threads(2)") else 2
        try:
            await_that(lambda: len(self.pids()) == n_processes and self.n_running() == self.n, "the trials run")
        except BaseException:
            self.process.kill()
            raise AssertionError(self.process.communicate()) from None

    def n_running(self) -> int:
        """In the storage."""
        study = hpo.open_study("int", storage=self.folder / "i.db")
        try:
            return sum(t.state is TrialState.RUNNING for t in study.trials)
        finally:
            study.storage.close()

    def pids(self) -> list[int]:
        """Of the processes in which objectives have run."""
        return [int(path.stem) for path in self.folder.glob("*.pid")]

    def interrupt(self) -> str:
        """Ctrl-C; what is said then."""
        assert self.process.stdout is not None
        self.process.send_signal(signal.SIGINT)
        return self.process.stdout.readline()

    def end(self) -> tuple[str, str]:
        """What else it prints, and its errors."""
        out, err = self.process.communicate(timeout=60)
        assert self.process.returncode == -signal.SIGINT, err
        assert err.count("Traceback") == 1
        assert "in _loop" not in err, "the frames inside say nothing to the reader"
        assert "END True Run(" in out
        assert "usable: completed" in out
        assert all(is_gone(pid) for pid in self.pids())
        return out, err


def is_gone(pid: int) -> bool:
    """Whether no process has this number any more."""
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize("executor", EXECUTORS)
def test_ctrl_c_once_lets_running_trials_end(tmp_path: Path, executor: str) -> None:
    run = _Interrupted(tmp_path, executor)
    trials, them = ("1 running trial", "it") if run.n == 1 else ("2 running trials", "them")
    assert run.interrupt() == f"interrupted: waiting for {trials} to end; interrupt again (Ctrl-C) to cancel {them}\n"
    (tmp_path / "gate").touch()
    out, err = run.end()
    assert f"completed={run.n}, failed=0" in out
    assert "KeyboardInterrupt: interrupted; " in err
    s = hpo.open_study("int", storage=tmp_path / "i.db")
    assert [t.state for t in s.trials] == [TrialState.COMPLETED] * (run.n + 1)


@pytest.mark.parametrize("executor", EXECUTORS)
def test_ctrl_c_twice_cancels_them(tmp_path: Path, executor: str) -> None:
    run = _Interrupted(tmp_path, executor)
    run.interrupt()
    run.process.send_signal(signal.SIGINT)
    _, err = run.end()
    rest = "what cannot be stopped may still run; " if executor == "Threads(2)" else ""
    assert (
        f"KeyboardInterrupt: interrupted twice: running trials were cancelled; {rest}no trial has a result yet" in err
    )
    s = hpo.open_study("int", storage=tmp_path / "i.db")
    assert [t.state for t in s.trials] == [TrialState.CANCELLED] * run.n + [TrialState.COMPLETED]


def test_a_third_ctrl_c_does_not_wait_for_the_grace(tmp_path: Path) -> None:
    """The commands ignore SIGTERM, and would have an hour to end."""
    run = _Interrupted(tmp_path, "Subprocess(['sh', 'train.sh'], 2, grace=3600.0)", "trap '' TERM\n" + COMMAND)
    run.interrupt()
    again = (
        "interrupted again: 2 running trials cancelled, with 3600 s to end; interrupt again (Ctrl-C) to kill at once\n"
    )
    assert run.interrupt() == again
    run.process.send_signal(signal.SIGINT)
    run.end()

"""Drivers at little cost: a process that has imported all they need forks one for each line it reads.

Each line on standard input is the JSON of a `Drive`. The answer is the driver's process id, and when it has ended a second
line with its exit code, negative for a signal.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil

import hpo
from hpo.executors import Executor, Inline, Processes
from hpo.running.progress import Progress
from hpo.storage import SqlStorage
from hpo.strategies import Bayesian, Random
from hpo.trials.trial import TrialState

PROBLEM = hpo.Problem(
    hpo.Space({"x": hpo.Float(0.0, 1.0), "n": hpo.Int(1, 9)}), [hpo.Objective("y"), hpo.Constraint("size", upper=7)]
)
EXECUTORS: Mapping[str, Callable[[], Executor]] = {
    "inline": Inline,
    "processes": lambda: Processes(2, grace=0.5),
    "four processes": lambda: Processes(4, grace=0.5),
}


@dataclass(frozen=True)
class Drive:
    """What a driver is to do: run `trials` trials of a study, each of `seconds`, and keep the ledger `ledger`.

    Attributes:
        skew: seconds that the driver's own clock is off.    lease: as in `hpo.run`.
        budget: the settings of another one than that of `trials`.
    """

    name: str
    storage: str
    ledger: str
    trials: int
    executor: str = "inline"
    seconds: float = 0.01
    lease: float = 60.0
    skew: float = 0.0
    is_random: bool = True
    budget: Mapping[str, Any] = field(default_factory=dict)


class Zygote:
    """The test's side."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.zygote"],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self, drive: Drive) -> int:
        """A new driver's process id."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(asdict(drive)) + "\n")
        self.process.stdin.flush()
        return self._read()

    def wait(self) -> int:
        """The exit code of the driver started last."""
        return self._read()

    def close(self) -> None:
        """End it; a driver that runs is waited for."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()

    def _read(self) -> int:
        assert self.process.stdout is not None
        return int(self.process.stdout.readline())


@contextmanager
def zygote() -> Iterator[Zygote]:
    """One that ends with the block."""
    started = Zygote()
    try:
        yield started
    finally:
        started.close()


# -- the ledger -------------------------------------------------------------------------------------------------------


def write(ledger: str, *words: object) -> None:
    """Add a line, on disk when this returns; drivers and their trials write to the same file."""
    file = os.open(ledger, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.write(file, (" ".join(map(repr, words)) + "\n").encode())
    os.fsync(file)
    os.close(file)


def read(ledger: Path) -> list[list[Any]]:
    """Whole lines."""
    text = ledger.read_text() if ledger.exists() else ""
    return [[_value(word) for word in line.split()] for line in text[: text.rfind("\n") + 1].splitlines()]


def check(study: hpo.Study, ledger: Path, is_over: bool = False) -> None:
    """What was acknowledged is there, nothing is there twice, and nothing that was not measured; when the study is over,
    nothing is open."""
    check_told(study, ledger)
    if is_over:
        assert {t.state for t in study.trials} == {TrialState.COMPLETED}, "no trial is left open"


def check_told(study: hpo.Study, ledger: Path) -> None:
    """The same, without a word on what is open."""
    lines, trials = read(ledger), study.trials
    measured = {(number, x, n, y) for _, number, x, n, y, _ in (line for line in lines if line[0] == "sent")}
    assert [t.number for t in trials] == list(range(len(trials)))
    for _, number, y in (line for line in lines if line[0] == "acked"):
        assert trials[number].state is TrialState.COMPLETED, f"trial {number} was acknowledged and is lost"
        assert trials[number].values["y"].value == y
    for trial in study.history.completed:
        told = (trial.number, trial.params["x"], trial.params["n"], trial.values["y"].value)
        assert told in measured, f"trial {trial.number} has a result that nobody measured"
    counted = Counter(event.number for event in study.events() if event.kind == "told")
    assert set(counted.values()) <= {1}, "a result was stored twice"
    assert len({t.key for t in trials}) == len(trials), "a configuration was given out twice"


def is_supervised(pid: int) -> bool:
    """Whether this process is a supervisor, or runs a trial below one; the id may be another's by now."""
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and "hpo.executors.supervisor.program" in " ".join(
            process.cmdline()
        )
    except psutil.NoSuchProcess:
        return False


def _value(word: str) -> Any:
    try:
        return json.loads(word)
    except ValueError:
        return word.strip("'")


# -- the driver -------------------------------------------------------------------------------------------------------


def train(trial: hpo.Trial, ledger: str, seconds: float) -> dict[str, float]:
    """The objective. It says that it has begun, and what it has measured."""
    write(ledger, "began", trial.number, os.getpid(), os.getppid(), trial.attempt)
    begun = time.monotonic()
    time.sleep(seconds * (0.5 + trial.params["x"]))
    write(ledger, "ran", trial.number, trial.attempt, time.monotonic() - begun)
    x, n = trial.params["x"], trial.params["n"]
    write(ledger, "sent", trial.number, x, n, x * n, trial.attempt)
    return {"y": x * n, "size": n}


def run(drive: Drive) -> None:
    """Be a driver."""
    if drive.skew:
        _set_clock(drive.skew)

    def acknowledge(step: Progress) -> None:
        if step.ended is not None and step.ended.state is TrialState.COMPLETED:
            write(drive.ledger, "acked", step.ended.number, step.ended.values["y"].value)

    strategy = Random() if drive.is_random else Bayesian()
    study = hpo.open_study(drive.name, PROBLEM, storage=drive.storage, seed=3, strategy=strategy)
    hpo.run(
        study,
        functools.partial(train, ledger=drive.ledger, seconds=drive.seconds),
        budget=hpo.Budget(**(drive.budget or {"trials": drive.trials})),
        executor=EXECUTORS[drive.executor](),
        lease=drive.lease,
        progress=acknowledge,
    )


def _set_clock(skew: float) -> None:
    """What a clock that was set wrong looks like from inside: the time of day is off, and so is that of the start."""
    now, start = time.time, psutil.Process.create_time
    time.time = lambda: now() + skew
    psutil.Process.create_time = lambda process: start(process) + skew  # type: ignore[assignment,method-assign]


def warm() -> None:
    """Import what drivers import, by being one once."""
    with tempfile.TemporaryDirectory() as folder, closing(SqlStorage(f"{folder}/warm.db")) as storage:
        study = hpo.open_study("warm", PROBLEM, storage=storage, seed=3)
        hpo.run(study, lambda trial: {"y": trial.params["x"], "size": 1.0}, budget=hpo.Budget(trials=8))


def main() -> None:
    """Fork a driver per line."""
    warm()
    for line in sys.stdin:
        drive = Drive(**json.loads(line))
        pid = os.fork()
        if not pid:
            code = 1
            try:
                os.setsid()
                os.close(0)
                os.dup2(2, 1)
                run(drive)
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(code)
        _say(pid)
        _say(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


def _say(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()

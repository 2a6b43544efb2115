"""Ctrl-C at every line of ask, tell, fail, add, claim and of opening, as in a notebook or in a loop of one's own.

`HPO_INTERRUPTS` says at how many lines of each step, spread over all of it; at every single one with 0. An interrupt is
a KeyboardInterrupt raised at that line, whatever runs there, or SIGINT, which may be kept waiting until the step is over.
The exception is kept while the study is used on, as notebooks keep the last one: what it holds is not let go by itself.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import hpo
from hpo.problem.json_format import problem_to_json
from hpo.storage import SqlStorage, Storage
from hpo.strategies import Random
from hpo.trials.events import Event
from hpo.trials.trial import TrialState
from tests.pairs import KINDS, pair_of

MOST = int(os.environ.get("HPO_INTERRUPTS", "4"))
SERVER = os.environ.get("HPO_TEST_PG", "")
SOURCE = str(Path(hpo.__file__).parent)
PROBLEM = hpo.Problem(hpo.Space({"x": hpo.Float(0.0, 1.0)}), [hpo.Objective("y")])
AT_ONCE = 2.0
"""Seconds that another waits for a lock; one that was left behind is never let go."""

STEPS: dict[str, Callable[[hpo.Study, hpo.Trial], object]] = {
    "ask": lambda study, _: study.ask(),
    "claim": lambda study, _: study.leases.claim(2, "a driver", lease=60.0),
    "tell": lambda study, trial: study.tell(trial, {"y": 1.0}),
    "fail": lambda study, trial: study.fail(trial, "oom", "too large"),
    "preempted": lambda study, trial: study.fail(trial, "preempted"),
    "add": lambda study, _: study.add({"x": 0.5}, {"y": 0.0}),
    "history": lambda study, _: study.history,
}
WRITES = {
    "ask": ["asked"],
    "claim": ["asked", "asked"],
    "tell": ["told"],
    "fail": ["failed"],
    "preempted": ["requeued"],
    "add": ["added"],
    "history": [],
}


class Interrupt:
    """Traces `work` up to its line number `at` in the library, where it is interrupted."""

    def __init__(self, at: int, raised: bool) -> None:
        self.left, self.raised = at, raised
        self.lines = 0

    def during(self, work: Callable[[], object]) -> BaseException | None:
        """The interrupt that came out of `work`, or None."""
        before = sys.gettrace()
        sys.settrace(self._call)
        try:
            work()
        except KeyboardInterrupt as error:
            return error
        finally:
            sys.settrace(before)
        return None

    def _call(self, frame: FrameType, event: str, _: object) -> Any:
        return self._line if frame.f_code.co_filename.startswith(SOURCE) else None

    def _line(self, _: FrameType, event: str, __: object) -> Any:
        if event == "line":
            self.lines += 1
            self.left -= 1
            if self.left == 0:
                sys.settrace(None)
                if self.raised:
                    raise KeyboardInterrupt
                signal.raise_signal(signal.SIGINT)
        return self._line


def places(work: Callable[[], object]) -> range:
    """At which of its lines `work` is to be interrupted."""
    counting = Interrupt(0, raised=False)
    assert counting.during(work) is None
    n = counting.lines
    assert n > 20
    return range(1, n + 1, max(1, n // MOST) if MOST else 1)


@pytest.fixture(params=KINDS)
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Storage, Storage]]:
    """A storage, and what another process would use in its place."""
    with pair_of(request.param, tmp_path, AT_ONCE) as opened:
        yield opened


def opened(name: str, storage: Storage | Path) -> hpo.Study:
    return hpo.open_study(name, PROBLEM, storage=storage, seed=1, strategy=Random())


def found(name: str, storage: Storage) -> hpo.Study:
    record = storage.load(name)
    assert record is not None
    return hpo.Study(record, storage, Random())


def check_log(study: hpo.Study) -> list[Event]:
    """Numbers have no gap, and nothing is there twice; the events."""
    events = study.events()
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert [trial.number for trial in study.trials] == list(range(len(study.trials)))
    told = Counter(event.number for event in events if event.kind == "told")
    assert set(told.values()) <= {1}
    return events


@pytest.mark.parametrize("raised", [True, False], ids=["raised", "signal"])
@pytest.mark.parametrize("name", STEPS)
def test_a_step_that_is_interrupted_was_done_or_not(pair: tuple[Storage, Storage], name: str, raised: bool) -> None:
    storage, elsewhere = pair
    step, before = STEPS[name], signal.getsignal(signal.SIGINT)

    facts = opened(uuid.uuid4().hex, storage).facts

    def begun() -> tuple[hpo.Study, hpo.Trial]:
        record = storage.create(uuid.uuid4().hex, problem_to_json(PROBLEM), facts)
        study = hpo.Study(record, storage, Random())
        return study, study.ask()

    counted = begun()
    for at in places(lambda: step(*counted)):
        study, trial = begun()
        kept = Interrupt(at, raised).during(lambda study=study, trial=trial: step(study, trial))  # type: ignore[misc]
        assert signal.getsignal(signal.SIGINT) is before, "Ctrl-C means again what it meant"
        other = found(study.name, elsewhere)
        other.add({"x": 0.25}, {"y": 2.0})
        written = [event.kind for event in check_log(other)]
        assert written in ([["asked", "added"]] if kept else []) + [["asked", *WRITES[name], "added"]], f"line {at}"
        again = study.ask()
        assert study.tell(again, {"y": 3.0}).state is TrialState.COMPLETED, f"line {at}"
        assert study.trials == other.trials == found(study.name, elsewhere).trials, f"line {at}"
        check_log(study)
        del kept


@pytest.mark.parametrize("raised", [True, False], ids=["raised", "signal"])
@pytest.mark.parametrize("is_new", [True, False], ids=["new", "there"])
def test_an_opening_that_is_interrupted(tmp_path: Path, is_new: bool, raised: bool) -> None:
    def path(i: int) -> Path:
        return tmp_path / (f"{i}.db" if is_new else "hpo.db")

    if not is_new:
        opened("s", path(0)).storage.close()
    for at in places(lambda: opened("s", path(0)).ask()):
        kept = Interrupt(at, raised).during(lambda at=at: opened("s", path(at)).ask())  # type: ignore[misc]
        with closing(SqlStorage(path(at), patience=AT_ONCE)) as storage:
            study = opened("s", storage)
            seen = len(study.trials)
            assert study.tell(study.ask(), {"y": 1.0}).number == seen
            check_log(study)
        del kept


@pytest.mark.parametrize("number", [signal.SIGALRM, signal.SIGINT], ids=["alarm", "ctrl-c"])
def test_a_thread_that_is_interrupted_all_the_time_beside_others(
    pair: tuple[Storage, Storage], number: signal.Signals
) -> None:
    """As in a notebook where trials end in the background: at any moment, not only between lines."""
    study = opened(uuid.uuid4().hex, pair[0])
    done, acknowledged, errors = threading.Event(), dict[int, float](), list[BaseException]()

    def work() -> None:
        trial = study.ask()
        acknowledged[trial.number] = study.tell(trial, {"y": float(trial.number)}).values["y"].value

    def work_on() -> None:
        try:
            while not done.is_set():
                work()
                time.sleep(0.005)
        except BaseException as error:
            errors.append(error)

    armed = threading.Event()

    def interrupt(*_: object) -> None:
        if armed.is_set():
            armed.clear()
            raise KeyboardInterrupt

    def kill() -> None:
        dice = random.Random(3)
        while not done.wait(dice.uniform(0.0, 0.03)):
            os.kill(os.getpid(), number)

    hits, before = 0, signal.signal(number, interrupt)
    others = [threading.Thread(target=work_on) for _ in range(3)]
    try:
        killer = threading.Thread(target=kill)
        for thread in (*others, killer):
            thread.start()
        while hits < (20 if MOST else 1000):
            try:
                armed.set()
                while True:
                    work()
            except KeyboardInterrupt:
                hits += 1
    finally:
        signal.signal(number, signal.SIG_IGN)
        done.set()
        for thread in (*others, killer):
            thread.join()
        signal.signal(number, before)
    assert errors == []
    work()
    check_log(study)
    trials = found(study.name, pair[1]).trials
    assert trials == study.trials
    assert {n: trials[n].values["y"].value for n in acknowledged} == acknowledged

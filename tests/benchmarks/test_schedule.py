"""Who is next, that every run is done once, and that trouble stays where it is."""

from __future__ import annotations

import _thread
import io
import signal
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from benchmarks import contenders, problems, records, session
from benchmarks.problems.base import BenchProblem
from benchmarks.progress import Display
from benchmarks.records import Run
from benchmarks.schedule import Queues, work
from benchmarks.session import Choice, run_suite
from benchmarks.suites import SUITES, Task
from tests.benchmarks.fakes import Asked, Script, line

PROBLEMS = {name: line(name) for name in ("a", "b")}


def all_tasks(*contenders: str) -> list[Task]:
    return [Task(c, "q1", p, seed) for seed in range(3) for p in PROBLEMS for c in contenders]


def done(
    tasks: list[Task],
    start: Callable[[str], Script],
    jobs: int = 1,
    limit: float = 100.0,
    problems: Mapping[str, BenchProblem] = PROBLEMS,
) -> tuple[list[Run], Queues]:
    saved: list[Run] = []
    queues = Queues.of(tasks)
    work(queues, problems, jobs, start, lambda run, versions: saved.append(run), limit)
    return saved, queues


@pytest.mark.parametrize("jobs", [1, 3])
def test_every_run_is_done_once_by_few_processes(jobs: int) -> None:
    started: list[Script] = []

    def start(name: str) -> Script:
        started.append(Script([0.5, 0.25, 0.5, 0.125]))
        return started[-1]

    tasks = all_tasks("hpo", "random")
    saved, queues = done(tasks, start, jobs)
    assert sorted(str(t) for t in tasks) == sorted(str(Task(*run.cell)) for run in saved)
    assert len(started) <= 2 * jobs
    assert all(script.ended == [False] for script in started)
    assert queues.seconds_left(jobs) == 0.0
    assert not queues.given_up
    assert not queues.faults


def test_a_queue_keeps_its_order() -> None:
    saved, _ = done(all_tasks("hpo"), lambda name: Script([0.5]))
    assert [(run.seed, run.problem) for run in saved] == [(s, p) for s in range(3) for p in "ab"]


def test_whoever_had_the_least_time_is_next() -> None:
    """With 1 second a run of cheap and 10 of dear, cheap has ten runs before dear has its second."""
    queues = Queues.of([Task(c, "q1", "a", seed) for seed in range(12) for c in ("dear", "cheap")])
    order = []
    for _ in range(13):
        task = queues.take()
        assert task is not None
        order.append(task.contender)
        queues.done(task, {"cheap": 1.0, "dear": 10.0}[task.contender])
    assert order == ["dear", *["cheap"] * 10, "dear", "cheap"]


def test_a_run_in_progress_counts_as_time_had() -> None:
    queues = Queues.of([Task(c, "q1", "a", seed) for seed in range(4) for c in ("one", "two")])
    taken = [queues.take() for _ in range(4)]
    assert [task.contender for task in taken if task] == ["one", "two", "one", "two"]


def test_the_time_left_is_known_after_one_run_of_each() -> None:
    queues = Queues.of([Task(c, "q1", "a", seed) for seed in range(3) for c in ("one", "two")])
    for seconds in (4.0, 6.0):
        assert queues.seconds_left(jobs=2) is None
        task = queues.take()
        assert task is not None
        queues.done(task, seconds)
    assert queues.seconds_left(jobs=2) == (2 * 4.0 + 2 * 6.0) / 2


def test_a_process_that_died_is_replaced() -> None:
    started: list[Script] = []

    def start(name: str) -> Script:
        started.append(Script([0.5] * 4, dies_at=2 if not started else None))
        return started[-1]

    saved, _ = done(all_tasks("hpo"), start)
    assert [bool(run.died) for run in saved] == [True, *[False] * 5]
    assert [script.ended for script in started] == [[True], [False]]


def test_a_process_that_hangs_is_ended() -> None:
    """It answers only once somebody has ended it, as a killed process does."""

    class Hanging(Script):
        def ask(self, n: int = 1) -> Asked:
            assert gone.wait(30)
            raise RuntimeError("ended with code -9")

        def __exit__(self, *reasons: Any) -> None:
            gone.set()

    gone = threading.Event()
    saved, _ = done([Task("hpo", "q1", "a", 0)], lambda name: Hanging([0.5]), limit=0.05)
    assert saved[0].died == "no answer within 0 seconds of the run's begin"


@pytest.mark.parametrize(("code", "is_kept"), [(-9, False), (-15, False), (-6, True), (1, True)])
def test_a_run_that_somebody_has_ended_by_hand_is_not_over(code: int, is_kept: bool) -> None:
    class Ended(Script):
        def ask(self, n: int = 1) -> Asked:
            raise RuntimeError(f"the process of 'script' ended with code {code}")

    saved, _ = done([Task("hpo", "q1", "a", 0)], lambda name: Ended([0.5]))
    assert bool(saved) == is_kept


def test_a_contender_that_does_not_start_is_given_up_and_the_others_go_on() -> None:
    def start(name: str) -> Script:
        if name == "broken":
            raise RuntimeError("ImportError: no such library")
        return Script([0.5])

    saved, queues = done(all_tasks("broken", "hpo"), start)
    assert {run.contender for run in saved} == {"hpo"}
    assert len(saved) == 6
    assert queues.given_up == {"broken": "ImportError: no such library"}


def test_a_problem_that_cannot_be_evaluated_is_left_out() -> None:
    from dataclasses import replace

    tried: list[int] = []

    def truth(params: Mapping[str, Any]) -> dict[str, float]:
        tried.append(1)
        raise ImportError("pip install tables")

    bad = {**PROBLEMS, "a": replace(PROBLEMS["a"], truth=truth)}
    saved, queues = done(all_tasks("hpo"), lambda name: Script([0.5]), problems=bad)
    assert [run.problem for run in saved] == ["b"] * 3
    assert len(tried) == 1
    assert queues.faults == {"a": "ImportError('pip install tables')"}


# -- the command ------------------------------------------------------------------------------------------------------


@pytest.fixture
def two_problems(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(problems, "BY_NAME", PROBLEMS)
    monkeypatch.setattr(problems, "FAMILIES", {"single": ("a", "b")})
    monkeypatch.setattr(problems, "half", lambda name: "development")
    monkeypatch.setattr(contenders, "is_installed", lambda name: name != "hebo")


@pytest.mark.usefixtures("two_problems")
def test_the_command_resumes_and_names_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the contender `random` in a process of its own."""
    choice = Choice(SUITES["quick"], contenders=["random", "hebo"], seeds=1)
    assert run_suite(choice, jobs=1, results=tmp_path, again=False) == 0
    printed = capsys.readouterr().out
    assert "Not installed, left out: hebo (python -m benchmarks environments hebo)" in printed
    assert "0 runs finished before, 2 to do" in printed
    assert "2/2 runs" in printed
    two = Choice(SUITES["quick"], contenders=["random"], seeds=2)
    assert run_suite(two, jobs=2, results=tmp_path, again=False) == 0
    assert "2 runs finished before, 2 to do" in capsys.readouterr().out
    runs = records.runs(tmp_path, PROBLEMS)
    assert sorted((run.problem, run.seed) for run in runs) == [("a", 0), ("a", 1), ("b", 0), ("b", 1)]
    assert all(run.evaluations == 4 and 0 < run.curve[0][1] < 1 for run in runs)
    origin = records.read(records.path_of(tmp_path, "random", "q1"))[0]
    assert origin["versions"]["hpo"]


@pytest.mark.usefixtures("two_problems")
def test_deaths_are_counted_and_run_again_when_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    choice = Choice(SUITES["quick"], contenders=["random"], seeds=1)
    monkeypatch.setattr(session, "ContenderProcess", lambda name: Script([0.5], dies_at=1))
    assert run_suite(choice, jobs=1, results=tmp_path, again=False) == 0
    printed = capsys.readouterr().out
    assert "random q1 a seed 0: the process of 'script' ended with code 9" in printed
    assert "random: 2 runs died" in printed
    monkeypatch.setattr(session, "ContenderProcess", lambda name: Script([0.5]))
    assert run_suite(choice, jobs=1, results=tmp_path, again=True) == 0
    assert [run.died for run in records.runs(tmp_path, PROBLEMS)] == ["", ""]


@pytest.mark.usefixtures("two_problems")
def test_an_interrupt_leaves_no_line_of_what_it_ended(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It reaches the processes as well: they end as if they had died."""

    class Interrupted(Script):
        def ask(self, n: int = 1) -> Asked:
            if len(self.asks) == 2:
                _thread.interrupt_main()
                raise RuntimeError("ended with code -2")
            return super().ask(n)

    monkeypatch.setattr(session, "ContenderProcess", lambda name: Interrupted([0.5] * 4))
    choice = Choice(SUITES["quick"], contenders=["random"], seeds=1)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    try:
        assert run_suite(choice, jobs=1, results=tmp_path, again=False) == 130
    finally:
        signal.signal(signal.SIGINT, before)
    assert "goes on from here" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("two_problems")
def test_an_unknown_contender_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"no contender 'botroch' \(have: hpo, "):
        run_suite(Choice(SUITES["quick"], contenders=["botroch"]), jobs=1, results=tmp_path, again=False)


def test_progress_counts_and_estimates() -> None:
    out = io.StringIO()
    with Display({"hpo": 2, "random": 1}, lambda: 7200.0, out) as display:
        display.advance("hpo")
        display.say("something")
    assert out.getvalue().splitlines() == ["something", "1/3 runs, 2.0 h left: hpo 1/2, random 0/1"]

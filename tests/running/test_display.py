"""A run is never silent: what is seen on a terminal, in a notebook, in a pipe, and when nothing can be written."""

from __future__ import annotations

import io
import logging
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import hpo
from hpo.errors import SettingsError
from hpo.executors import Threads
from hpo.running import screens
from hpo.running.display import Pace, Shown
from hpo.running.progress import Progress, clock_words
from hpo.running.screens import Lines
from hpo.strategies import Random
from tests.terminal import Terminal, screen

PROGRAM = """
import os, sys, time, hpo
from pathlib import Path
problem = hpo.Problem(
    hpo.Space({"x": hpo.Float(0, 1)}), [hpo.Objective("y"), hpo.Constraint("ms", upper=0.4, unit="ms")]
)
study = hpo.open_study("shown", problem, storage="shown.db", seed=1)
def wait(name):
    while not Path(name).exists():
        time.sleep(0.01)
"""


def study(n: int = 0) -> hpo.Study:
    """With `n` results."""
    problem = hpo.Problem(hpo.Space({"x": hpo.Float(0, 1)}), [hpo.Objective("y"), hpo.Constraint("ms", upper=0.4)])
    s = hpo.open_study("shown", problem, storage=":memory:", seed=1, strategy=Random())
    for _ in range(n):
        s.tell(s.ask(), {"y": 1.0, "ms": 0.1})
    return s


def train(trial: hpo.Trial) -> dict[str, float]:
    return {"y": trial.params["x"], "ms": trial.params["x"]}


# -- on a terminal ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("executor", ["Inline()", "Threads(1)", "Processes(1)"])
def test_a_terminal_sees_a_running_trial_and_a_clock_before_the_first_one_ends(tmp_path: Path, executor: str) -> None:
    program = f"""
def train(trial):
    wait("gate")
    return {{"y": trial.params["x"], "ms": trial.params["x"]}}
hpo.run(study, train, budget=hpo.Budget(trials=2, cost=10, reserve=2), executor=hpo.executors.{executor})
"""
    with Terminal(PROGRAM + program, tmp_path) as terminal:
        terminal.until("trial 0/2 | 1 running | 0:0")
        terminal.until("cost left 8 of 10")
        first = max(re.findall(r"0:(\d\d)", terminal.shown))
        terminal.until(f"trial 0/2 | 1 running | 0:{int(first) + 1:02}")
        (tmp_path / "gate").touch()
        assert terminal.end() == 0
        *_, last, ended = screen(terminal.shown)
        assert last.startswith("trial 2/2 | ")
        assert re.fullmatch(r"ended after .*: 2 trials, the budget, have been run", ended)


def test_what_an_objective_prints_is_neither_garbled_nor_lost(tmp_path: Path) -> None:
    program = """
import logging
handler = logging.StreamHandler(sys.stderr)
logging.getLogger("mine").addHandler(handler)
def train(trial):
    print("one", trial.number)
    print("half a line", end="", flush=True)
    wait(f"gate{trial.number}")
    print(", and its end")
    logging.getLogger("mine").warning("a warning")
    sys.stderr.write("two\\\\nlines\\\\n")
    return {"y": 1.0, "ms": 0.1}
hpo.run(study, train, budget=hpo.Budget(trials=1))
print("after")
"""
    with Terminal(PROGRAM + program.replace("\\\\n", "\\n"), tmp_path) as terminal:
        terminal.until("half a line")
        (tmp_path / "gate0").touch()
        assert terminal.end() == 0
        rows = screen(terminal.shown)
        kept = ["one 0", "half a line, and its end", "a warning", "two", "lines"]
        assert rows[: len(kept)] == kept
        assert rows[len(kept)].startswith("trial 1/1 | best feasible y 1 (#0) | 0:0")
        assert rows[-1] == "after"
        assert "half a linetrial" not in terminal.shown.replace("\r\x1b[2K", "")


def test_a_long_line_is_broken_between_its_parts(tmp_path: Path) -> None:
    program = """
def train(trial):
    if trial.number == 1:
        raise ValueError("shape \\x1b[2J does not fit")
    return {"y": float(trial.number), "ms": 0.1 * (1 + trial.number)}
hpo.run(study, train, budget=hpo.Budget(trials=6))
"""
    with Terminal(PROGRAM + program, tmp_path, columns=60) as terminal:
        assert terminal.end() == 0
        rows = screen(terminal.shown)
        assert rows[0] == "#1 failed (error): ValueError: shape \\x1b[2J does not fit"
        drawn = rows[next(i for i, row in enumerate(rows) if row.startswith("trial 6/6")) : -1]
        assert len(drawn) > 1
        assert all(len(row) < 60 for row in drawn)
        line = " | ".join(drawn).split(" | ")
        assert line[:2] == ["trial 6/6", "best feasible y 3 (#3)"]
        assert "best infeasible 5 (#5: ms 0.6 > 0.4 ms)" in line
        assert "limits missed: ms 2/5" in line
        assert "1 failed" in line


def test_failures_that_repeat_are_counted_rather_than_shown(tmp_path: Path) -> None:
    program = """
def train(trial):
    if trial.number % 2:
        raise ValueError(f"no convergence after {trial.number} steps")
    return {"y": 1.0, "ms": 0.1}
hpo.run(study, train, budget=hpo.Budget(trials=20))
"""
    with Terminal(PROGRAM + program, tmp_path) as terminal:
        assert terminal.end() == 0
        shown = [row for row in screen(terminal.shown) if row.startswith("#")]
        assert [re.sub(r".*steps", "", row) for row in shown] == ["", *(f" ({n} times so far)" for n in (2, 4, 8))]
        assert terminal.shown.count("Traceback") == 1
        assert "in train" in terminal.shown
        assert "objective.py" not in terminal.shown


def test_ctrl_c_on_a_terminal(tmp_path: Path) -> None:
    program = """
def train(trial):
    wait("gate")
    return {"y": 1.0, "ms": 0.1}
hpo.run(study, train, budget=hpo.Budget(trials=9))
"""
    with Terminal(PROGRAM + program, tmp_path) as terminal:
        terminal.until("1 running")
        terminal.interrupt()
        terminal.until("interrupted: waiting for 1 running trial to end; interrupt again (Ctrl-C) to cancel it")
        (tmp_path / "gate").touch()
        assert terminal.end() == -2
        assert "KeyboardInterrupt: interrupted; " in terminal.shown


def test_nothing_is_drawn_while_somebody_reads_keys(tmp_path: Path) -> None:
    """As debuggers and shells do."""
    program = """
import tty
def train(trial):
    before = tty.setcbreak(0)
    print("prompt", flush=True)
    time.sleep(3 * display.TICK)
    print("silent" if sys.stdout.write("") == 0 else "")
    return {"y": 1.0, "ms": 0.1}
from hpo.running import display
display.TICK = 0.05
hpo.run(study, train, budget=hpo.Budget(trials=1))
"""
    with Terminal(PROGRAM + program, tmp_path) as terminal:
        terminal.end()
        between = terminal.shown.split("prompt")[1].split("silent")[0]
        assert "trial" not in between


def test_a_forked_child_prints_while_the_line_is_drawn(tmp_path: Path) -> None:
    program = """
def train(trial):
    children = []
    for i in range(40):
        if (child := os.fork()) == 0:
            print("from a child", flush=True)
            os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    return {"y": 1.0, "ms": 0.1}
from hpo.running import display
display.TICK = 0.001
hpo.run(study, train, budget=hpo.Budget(trials=2))
"""
    with Terminal(PROGRAM + program, tmp_path) as terminal:
        assert terminal.end() == 0
        assert terminal.shown.count("from a child") == 80


# -- elsewhere --------------------------------------------------------------------------------------------------------


def test_elsewhere_there_is_a_plain_line_for_each_trial_on_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    hpo.run(study(), train, budget=hpo.Budget(trials=3))
    out, err = capfd.readouterr()
    lines = err.splitlines()
    assert out == ""
    assert [line.split(" | ")[0] for line in lines[:3]] == ["trial 1/3", "trial 2/3", "trial 3/3"]
    assert lines[3].endswith(": 3 trials, the budget, have been run")
    assert len(lines) == 4
    assert "\x1b" not in err


def test_a_run_that_resumes_says_so_even_if_it_has_nothing_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    ended = hpo.run(study(3), train, budget=hpo.Budget(trials=3))
    first, last = capsys.readouterr().err.splitlines()
    assert first == "resuming: 3 trials, best feasible y 1 (#0)"
    assert last.endswith(": 3 trials, the budget, have been run")
    assert (ended.completed, ended.failed) == (0, 0)


def test_no_progress_where_none_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    steps: list[Progress] = []
    hpo.run(study(2), train, budget=hpo.Budget(trials=4), progress=False)
    hpo.run(study(2), train, budget=hpo.Budget(trials=4), progress=steps.append)
    assert capsys.readouterr() == ("", "")
    assert [step.ended.number for step in steps if step.ended] == [2, 3]
    assert len(steps) == 2
    with pytest.raises(SettingsError, match="give True or False, or a function"):
        hpo.run(study(), train, budget=hpo.Budget(trials=4), progress=3)  # type: ignore[arg-type]


@pytest.mark.parametrize("progress", [None, True])
def test_many_short_trials_are_no_flood_unless_asked_for(
    capsys: pytest.CaptureFixture[str], progress: bool | None
) -> None:
    hpo.run(study(), train, budget=hpo.Budget(trials=300), progress=progress)
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("trial ")]
    assert (len(lines) == 300) == bool(progress)
    assert lines[99].startswith("trial 100/300 |")
    assert lines[-1].startswith("trial 300/300 |"), "the last one is always told"


def test_a_pace_lets_a_burst_through_and_then_none_at_once() -> None:
    pace = Pace(burst=3)
    assert [pace.allows() for _ in range(3)] == [True] * 3
    assert not all(pace.allows() for _ in range(50))


# -- what cannot be written -------------------------------------------------------------------------------------------


class _Broken(io.StringIO):
    """Takes no more than two lines."""

    def write(self, text: str) -> int:
        if self.getvalue().count("\n") >= 2:
            raise OSError(28, "No space left on device")
        return super().write(text)


def test_a_display_that_breaks_ends_no_run_and_is_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sys, "stderr", _Broken())
    s = study()
    hpo.run(s, train, budget=hpo.Budget(trials=6))
    assert len(s.history.completed) == 6
    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert said == ["progress is not shown any more: OSError: [Errno 28] No space left on device"]


class _WriteOnly:
    """As programs put in the place of standard error."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> int:
        self.text += text
        return len(text)


def test_standard_error_may_be_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    closed, own = io.StringIO(), _WriteOnly()
    closed.close()
    for stream in (None, closed, own):
        monkeypatch.setattr(sys, "stderr", stream)
        assert hpo.run(study(), train, budget=hpo.Budget(trials=2)).completed == 2
    assert own.text.count("trial ") == 2


def test_the_users_own_progress_may_lose_its_reader(caplog: pytest.LogCaptureFixture) -> None:
    def show(_: Progress) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    s = study()
    hpo.run(s, train, budget=hpo.Budget(trials=3), progress=show)
    assert len(s.history.completed) == 3
    assert sum("progress is not shown any more" in r.getMessage() for r in caplog.records) == 1


def test_a_reader_that_leaves_and_an_encoding_that_has_no_such_letter(tmp_path: Path) -> None:
    program = PROGRAM.replace('"shown", problem', '"数", problem').replace('Objective("y")', 'Objective("精度")') + (
        'hpo.run(study, lambda t: {"精度": t.params["x"], "ms": 0.1}, budget=hpo.Budget(trials=12))\n'
        'print("done", len(study.history.completed))\n'
    )
    reader, writer = os.pipe()
    os.close(reader)
    for err in (writer, subprocess.PIPE):
        done = subprocess.run(
            [sys.executable, "-c", program.replace("shown.db", f"{err}.db")],
            cwd=tmp_path,
            env={**os.environ, "PYTHONIOENCODING": "ascii"},
            stdout=subprocess.PIPE,
            stderr=err,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stdout) == (0, "done 12\n")
    os.close(writer)
    assert r"#0 \u7cbe\u5ea6 0.5" in done.stderr


def test_a_run_without_progress_loads_nothing_to_show_it_with(tmp_path: Path) -> None:
    program = PROGRAM + (
        'hpo.run(study, lambda t: {"y": 1.0, "ms": 0.1}, budget=hpo.Budget(trials=2), progress=False)\n'
        'print([m for m in ("rich", "click", "IPython") if m in sys.modules])'
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


# -- in a notebook ----------------------------------------------------------------------------------------------------


class ZMQInteractiveShell:
    """The shell of a notebook's kernel, by name."""


class _Handle:
    def __init__(self, shown: list[str]) -> None:
        self.shown = shown

    def update(self, data: dict[str, str], *, raw: bool) -> None:
        assert raw
        self.shown.append(data["text/plain"])


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What an output of the cell has shown, one after the other."""
    shown: list[str] = []
    ipython, display = ModuleType("IPython"), ModuleType("IPython.display")

    def displayed(data: dict[str, str], *, raw: bool, display_id: bool) -> _Handle:
        assert raw
        assert display_id
        return _Handle(shown)

    vars(ipython)["get_ipython"] = ZMQInteractiveShell
    vars(display)["display"] = displayed
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    return shown


def test_a_notebook_has_one_output_that_is_updated(notebook: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    seen = threading.Event()

    def wait(trial: hpo.Trial) -> dict[str, float]:
        if trial.number == 1:
            raise ValueError("bad")
        while not any("1 running | 0:01" in text for text in notebook):
            seen.wait(0.01)
        return train(trial)

    hpo.run(study(), wait, budget=hpo.Budget(trials=3))
    assert notebook[0].startswith("trial 0/3 | 0:00")
    assert notebook[-1].startswith("trial 3/3 | ")
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("#1 failed (error): ValueError: bad\n    Traceback")
    assert "trial 0" not in err


def test_other_shells_are_no_notebooks(notebook: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    vars(sys.modules["IPython"])["get_ipython"] = lambda: None
    assert isinstance(screens.screen_on(io.StringIO()), screens.Lines)


def test_in_a_real_kernel(tmp_path: Path) -> None:
    """Where one is installed: the output is updated while the objective runs, and an interrupt ends the cell."""
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    for stop in (False, True):
        source = PROGRAM.replace("shown.db", f"{tmp_path}/{stop}.db") + (
            "import signal\n"
            "def train(trial):\n"
            "    time.sleep(1.2)\n"
            f"    {'os.kill(os.getpid(), signal.SIGINT)' if stop else 'print(trial.number)'}\n"
            "    return {'y': 1.0, 'ms': 0.1}\n"
            "hpo.run(study, train, budget=hpo.Budget(trials=2))\n"
        )
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
        shown: list[str] = []

        client = nbclient.NotebookClient(notebook, timeout=60, allow_errors=True)
        heard = client.process_message

        def process(msg: Any, cell: Any, index: int, shown: list[str] = shown, heard: Any = heard) -> Any:
            shown.append(str(msg["content"].get("data", {}).get("text/plain", "")))
            return heard(msg, cell, index)

        client.process_message = process
        client.execute()
        outputs = notebook.cells[0].outputs
        assert any("trial 0/2 | 1 running | 0:0" in text for text in shown)
        (drawn,) = [out for out in outputs if out.output_type == "display_data"]
        assert drawn.data["text/plain"].startswith("trial 1/2 | " if stop else "trial 2/2 | ")
        kept = "".join(out.text for out in outputs if out.output_type == "stream")
        assert ("interrupted: waiting for 1 running trial to end" in kept) == stop
        assert [out.ename for out in outputs if out.output_type == "error"] == (["KeyboardInterrupt"] if stop else [])


# -- pieces -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("seconds", "words"), [(0.9, "0:00"), (61, "1:01"), (3599.9, "59:59"), (3661, "1:01:01")])
def test_clock(seconds: float, words: str) -> None:
    assert clock_words(seconds) == words


def test_runs_in_threads_are_shown_too(capsys: pytest.CaptureFixture[str]) -> None:
    """Signals are not theirs, but lines are."""
    run: Callable[..., Any] = hpo.run
    s = study()
    thread = threading.Thread(
        target=run, args=(s, train), kwargs={"budget": hpo.Budget(trials=2), "executor": Threads(2)}
    )
    thread.start()
    thread.join()
    assert capsys.readouterr().err.count("trial ") == 2


@pytest.mark.parametrize("has_handler", [False, True])
def test_what_a_display_does_not_show_is_written_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *, has_handler: bool
) -> None:
    """As without a run: to standard error, where nobody handles it."""
    monkeypatch.setattr(logging.getLogger(), "handlers", [logging.NullHandler()] if has_handler else [])
    displays = [Shown(Lines(io.StringIO()), hpo.Budget(trials=2)) for _ in range(2)]
    with displays[0], displays[1]:
        for name in ("hpo.storage.retry", "hpo.running.failures"):
            logging.getLogger(name).warning("of %s", name)
    assert capsys.readouterr().err == ("" if has_handler else "of hpo.storage.retry\n")

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hpo.executors import Processes, Subprocess, Task
from hpo.testing.executors import (
    await_that,
    collect,
    is_gone,
)
from tests.executors.started import run, run_command, shell

pytestmark = pytest.mark.usefixtures("scratch_folders_go")

# Functions below stand inside the tests: this module cannot be imported elsewhere, so they travel by value.


def test_standard_input_is_empty() -> None:
    def read(payload: dict[str, Any]) -> dict[str, Any]:
        import sys

        return {"read": sys.stdin.read()}

    with Processes(1).start(read) as pool:
        assert run(pool).value == {"read": ""}


def test_environment_is_set_before_the_function_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "reads_at_import.py").write_text(
        "import os\nHAD = os.environ.get('HPO_AT_IMPORT')\ndef train(payload): return {'had': HAD}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    import reads_at_import  # type: ignore[import-not-found]

    with Processes(1, env={"HPO_AT_IMPORT": "all"}).start(reads_at_import.train) as pool:
        assert run(pool).value == {"had": "all"}
        pool.submit(Task(id="b", payload={}, env={"HPO_AT_IMPORT": "one"}))
        assert collect(pool, 1)[0].value == {"had": "one"}
        assert run(pool).value == {"had": "all"}
    assert reads_at_import.HAD is None


def test_a_function_may_use_processes_of_its_own() -> None:
    def spread(payload: dict[str, Any]) -> dict[str, Any]:
        import concurrent.futures
        import multiprocessing
        import subprocess

        fork = multiprocessing.get_context("fork")
        with fork.Pool(2) as pool:
            total = sum(pool.map(abs, [-1, -2, -3]))
        with concurrent.futures.ProcessPoolExecutor(2, fork) as executor:
            total += executor.submit(abs, -10).result()
        child = fork.Process(target=abs, args=(-1,))
        child.start()
        child.join()
        return {"y": total, "codes": [child.exitcode, subprocess.run(["true"], check=False).returncode]}

    with Processes(1).start(spread) as pool:
        for _ in range(2):
            assert run(pool).value == {"y": 16, "codes": [0, 0]}


def test_the_signals_python_ignores_are_not_ignored_by_its_commands() -> None:
    """What else is ignored, as under nohup, was so before and is the user's choice."""
    script = """echo '{{"ignored": "'$(grep SigIgn /proc/$$/status | cut -f 2)'"}}'"""
    value = run_command(shell(script)).value
    assert value is not None
    ignored = int(value["ignored"], 16)
    assert not any(ignored >> (number - 1) & 1 for number in (signal.SIGPIPE, signal.SIGXFSZ))


def test_program_that_depends_on_params_and_does_not_exist() -> None:
    outcome = run_command(Subprocess(["no-such-{which}"]), which="trainer")
    assert (outcome.kind, outcome.message) == ("error", "the command ended with exit code 127")
    assert outcome.log_tail == "cannot run 'no-such-trainer': No such file or directory"


FORK = """
import os, signal, sys
from multiprocessing import Pipe
from pathlib import Path
from hpo.executors.supervisor.output import Output
from hpo.executors.supervisor.worker import execute, fork

folder = Path(sys.argv[1])
output = Output(folder / "out", folder / "err")
output.create()
here, there = Pipe()
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGCHLD, lambda *_: None)
parent = os.getpid()

def main():
    {main}

pid = fork(main, output, {{"GIVEN": "yes"}}, [here])
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


def forked(tmp_path: Path, main: str) -> tuple[int, str, str]:
    """The exit code of a child that a fresh interpreter forks for this, and what it wrote to its two files."""
    command = [sys.executable, "-c", FORK.format(main=main), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr == ""
    return int(done.stdout), (tmp_path / "out").read_text(), (tmp_path / "err").read_text()


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("os.getsid(0) == os.getpid() != parent == os.getppid()", "True"),
        ("signal.getsignal(signal.SIGINT) is signal.default_int_handler", "True"),
        ("signal.getsignal(signal.SIGCHLD) == signal.SIG_DFL", "True"),
        ("os.environ['GIVEN']", "yes"),
        ("repr(sys.stdin.read())", "''"),
        ("here.closed, there.closed", "(True, False)"),
    ],
)
def test_what_a_child_finds(tmp_path: Path, asked: str, said: str) -> None:
    text = f"({asked})" if "," in asked else asked
    assert forked(tmp_path, f"print({text})") == (0, f"{said}\n", "")


@pytest.mark.parametrize("fault", ["raise ValueError('broken')", "raise KeyboardInterrupt('broken')"])
def test_a_child_that_raises_says_so_and_goes_no_further(tmp_path: Path, fault: str) -> None:
    code, out, err = forked(tmp_path, f"print('begun'); {fault}")
    assert (code, out) == (1, "begun\n")
    assert err.startswith("Traceback ")
    assert err.endswith(": broken\n")


def test_a_child_becomes_its_command(tmp_path: Path) -> None:
    assert forked(tmp_path, "execute(['sh', '-c', 'echo $GIVEN; exit 3'])") == (3, "yes\n", "")
    missing = (127, "", "cannot run 'no-such-trainer': No such file or directory\n")
    assert forked(tmp_path, "execute(['no-such-trainer'])") == missing


def test_a_child_dies_with_the_process_that_forked_it(tmp_path: Path) -> None:
    write = "Path(sys.argv[1], 'new').write_text(str(os.getpid())); os.rename(folder / 'new', folder / 'pid'); "
    command = [sys.executable, "-c", FORK.format(main=f"import time; {write} time.sleep(600)"), str(tmp_path)]
    with subprocess.Popen(command) as process:
        await_that((tmp_path / "pid").exists, "the child starts")
        process.kill()
    await_that(lambda: is_gone(tmp_path / "pid"), "it dies")


def test_modules_of_a_function_see_no_arguments_of_the_supervisor(tmp_path: Path) -> None:
    def tell(payload: dict[str, Any]) -> dict[str, Any]:
        import faulthandler
        import sys

        return {"argv": sys.argv, "is_enabled": faulthandler.is_enabled()}

    with Processes(1).start(tell) as pool:
        assert run(pool).value == {"argv": [""], "is_enabled": True}


def test_what_was_printed_is_in_the_log_when_its_outcome_comes(tmp_path: Path) -> None:
    def talk(payload: dict[str, Any]) -> dict[str, Any]:
        import sys

        sys.stdout.write("without an end of line")
        if payload["closes"]:
            sys.stderr.close()
        if payload["fails"]:
            raise ValueError("a typo")
        return {}

    with Processes(1, logs=tmp_path).start(talk) as pool:
        assert Path(run(pool, closes=False, fails=False).logs[0]).read_text() == "without an end of line"
        told = Path(run(pool, closes=False, fails=True).logs[1]).read_text()
        assert told.startswith("Traceback ")
        assert told.endswith("ValueError: a typo\n")
        failed = run(pool, closes=True, fails=True)
        assert (failed.kind, failed.message) == ("error", "ValueError: a typo")
        assert Path(failed.logs[0]).read_text() == "without an end of line"

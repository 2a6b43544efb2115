from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from hpo.executors import Processes, Subprocess, Task
from hpo.testing.executors import (
    collect,
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

"""Drivers of one host name that cannot see each other: PID namespaces of their own, and processes of other users hidden.

Containers of one machine may share a host name (`--network host`), and so do virtual machines called `localhost`.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

import hpo
from hpo.common.processes import is_gone
from hpo.storage import open_storage
from hpo.testing.executors import await_that
from hpo.trials.trial import TrialState
from tests.faults.zygote import read

ROOT = Path(__file__).parents[2]
SERVER = os.environ.get("HPO_TEST_PG", "")
TRIALS = 8
NAMESPACE = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
MAY = (
    os.name == "posix"
    and shutil.which("unshare") is not None
    and not subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode
)
pytestmark = pytest.mark.skipif(not MAY, reason="no right to make PID namespaces here")

DRIVE = """
import sys
from tests.faults.zygote import Drive, run
run(Drive("shared", sys.argv[1], sys.argv[2], %d, executor=sys.argv[3], seconds=1.0, lease=6.0))
"""
SAY = "from hpo.common.processes import this_process; print(this_process(), flush=True); input()"
ASK = "import sys; from hpo.common.processes import is_gone; print(is_gone(sys.argv[1]))"


def python(code: str, *args: str, within: Sequence[str] = ()) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*within, sys.executable, "-c", code, *args],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("executor", ["inline", "processes"])
def test_drivers_that_cannot_see_each_other_leave_each_other_alone(tmp_path: Path, executor: str) -> None:
    where, ledger = str(tmp_path / "hpo.db"), tmp_path / "ledger"
    drivers = [python(DRIVE % TRIALS, where, str(ledger), executor, within=NAMESPACE) for _ in range(2)]
    for driver in drivers:
        _, said = driver.communicate(timeout=120)
        assert driver.returncode == 0, said
    with closing(open_storage(where)) as storage:
        study = hpo.open_study("shared", storage=storage)
        kinds = Counter(event.kind for event in study.events())
        assert kinds["requeued"] == 0, "nobody took over the trials of a living driver"
        assert [trial.state for trial in study.trials] == [TrialState.COMPLETED] * TRIALS
        owners = {trial.owner for trial in study.trials}
        assert len(owners) == 2, "both had their part"
        assert len({owner.split(":")[0] for owner in owners}) == 1, "of one host name"
    assert sum(line[0] == "began" for line in read(ledger)) == TRIALS, "each trial was trained once"


def test_a_driver_killed_in_another_namespace_is_replaced_when_its_lease_is_over(tmp_path: Path) -> None:
    where, ledger = str(tmp_path / "hpo.db"), tmp_path / "ledger"
    first = python(DRIVE % TRIALS, where, str(ledger), "inline", within=NAMESPACE)
    await_that(lambda: any(line[0] == "began" for line in read(ledger)), "it has a trial")
    first.send_signal(signal.SIGKILL)
    first.communicate()
    second = python(DRIVE % TRIALS, where, str(ledger), "inline", within=NAMESPACE)
    _, said = second.communicate(timeout=120)
    assert second.returncode == 0, said
    with closing(open_storage(where)) as storage:
        study = hpo.open_study("shared", storage=storage)
        assert [trial.state for trial in study.trials] == [TrialState.COMPLETED] * TRIALS
        reasons = [event.data["reason"] for event in study.events() if event.kind == "requeued"]
        assert reasons == ["infra: its driver was not heard of any more"], "nobody claims to have seen it die"


@contextmanager
def named(*within: str) -> Iterator[str]:
    """The name of a process that lives meanwhile."""
    process = python(SAY, within=within)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.communicate("\n")


def test_neither_side_of_a_namespace_says_that_the_other_is_gone() -> None:
    with named(*NAMESPACE) as inside, named() as outside:
        assert not is_gone(inside)
        seen = subprocess.run(
            [*NAMESPACE, sys.executable, "-c", ASK, outside], cwd=ROOT, capture_output=True, text=True, check=True
        )
        assert seen.stdout.strip() == "False"
    assert not is_gone(inside), "not known, and left to the lease"
    assert is_gone(outside)


def test_a_namespace_with_the_proc_of_the_one_above() -> None:
    """`unshare --pid` without a /proc of its own: what /proc shows are other processes of the same numbers."""
    with named("unshare", "--pid", "--fork", "--kill-child") as inside:
        assert not is_gone(inside)
    code = "import subprocess, sys; from hpo.common.processes import *; print(is_gone(this_process()))"
    seen = subprocess.run(
        ["unshare", "--pid", "--fork", sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert seen.stdout.strip() == "False"


@pytest.mark.parametrize("hidden", ["1", "2"])
def test_hidden_processes_of_other_users_are_not_gone(hidden: str) -> None:
    """As on clusters: `mount -o hidepid=2 /proc`. The process asked about is root's, and whoever asks is not."""
    with named() as living:
        script = (
            f"mount -t proc -o hidepid={hidden} proc /proc && exec setpriv --reuid 65534 --regid 65534 --clear-groups "
            f'"$@"'
        )
        readable = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
        command = ["unshare", "--mount", "bash", "-c", script, "_", sys.executable, "-c", ASK]
        for name, answer in ((living, "False"), (_ended(), "True")):
            seen = subprocess.run([*command, name], cwd="/", env=readable, capture_output=True, text=True, check=False)
            if seen.returncode:
                pytest.skip(f"cannot be tried here: {seen.stderr[-300:]}")
            assert seen.stdout.strip() == answer


def _ended() -> str:
    with named() as name:
        return name

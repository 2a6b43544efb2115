"""Whether a process is gone is said only where it can be seen."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hpo.common import processes
from hpo.common.processes import is_certain, is_gone, this_process
from hpo.testing.executors import await_that

SAY = "from hpo.common.processes import this_process; print(this_process(), flush=True)"
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="PID namespaces are Linux's")


def ended() -> str:
    """The name of a process that has ended."""
    return subprocess.run([sys.executable, "-c", SAY], capture_output=True, text=True, check=True).stdout.strip()


def parts(name: str) -> list[str]:
    return name.rsplit(":", 4)


def test_this_process_lives_and_is_named_the_same_every_time() -> None:
    name = this_process()
    assert name == this_process()
    assert parts(name)[0] == platform.node()
    assert parts(name)[3] == str(os.getpid())
    assert is_certain(name)
    assert not is_gone(name)


@linux
def test_a_process_that_has_ended_is_gone() -> None:
    assert is_gone(ended())


@linux
def test_one_that_ended_and_was_not_waited_for_is_gone() -> None:
    with subprocess.Popen([sys.executable, "-c", SAY], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        name = process.stdout.readline().strip()
        await_that(lambda: is_gone(name), "the child has ended")
        assert process.returncode is None


@linux
def test_another_process_of_the_same_number_is_not_the_one_meant() -> None:
    host, boot, space, pid, start = parts(this_process())
    assert is_gone(f"{host}:{boot}:{space}:{pid}:{float(start) + 5.0:.2f}")
    assert not is_gone(f"{host}:{boot}:{space}:{pid}:{float(start) + 0.5:.2f}")


@pytest.mark.parametrize("which", ["host", "boot", "namespace", "no boot", "no namespace"])
def test_what_is_not_ours_to_see_is_not_gone(which: str) -> None:
    host, boot, space, pid, start = parts(ended())
    match which:
        case "host":
            host = f"not-{host}"
        case "boot":
            boot = "00000000-0000-0000-0000-000000000000"
        case "namespace":
            space = str(int(space or 0) + 1)
        case "no boot":
            boot = ""
        case "no namespace":
            boot, space = "", ""
    assert not is_gone(f"{host}:{boot}:{space}:{pid}:{start}")


@linux
def test_names_of_the_old_form_are_understood_as_a_guess() -> None:
    host, _, _, pid, start = parts(ended())
    old = f"{host}:{pid}:{start}"
    assert is_gone(old)
    assert not is_certain(old)
    assert not is_gone(f"not-{old}")
    host, _, _, pid, start = parts(this_process())
    assert not is_gone(f"{host}:{pid}:{start}")


@pytest.mark.parametrize(
    "name", ["", "ada", "ci:job:7", "host:12:soon", "host:-3:1.0", ":::::", f"{'9' * 30}:1:1", "a:b:c:d:e"]
)
def test_names_that_people_choose_are_never_gone(name: str) -> None:
    assert not is_gone(name)


def test_a_number_no_process_can_have_raises_nothing() -> None:
    host, boot, space, _, start = parts(this_process())
    assert is_gone(f"{host}:{boot}:{space}:{2**70}:{start}") is False


def test_a_host_name_with_colons() -> None:
    assert processes._parsed(f"fe80::1:{'a' * 36}:42:7:1.50") == processes._Process("fe80::1", "a" * 36, "42", 7, 1.5)
    assert processes._parsed("host:7:1.50") == processes._Process("host", None, None, 7, 1.5)


@linux
def test_a_living_process_that_proc_hides_is_not_gone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As with hidepid=2: no entry for the processes of other users."""
    with subprocess.Popen(
        [sys.executable, "-c", f"{SAY}; input()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        name = process.stdout.readline().strip()
        real = Path("/proc")
        for entry in ("self", "sys"):
            (tmp_path / entry).symlink_to(f"/proc/{os.getpid()}" if entry == "self" else real / entry)
        monkeypatch.setattr(processes, "_PROC", tmp_path)
        assert not is_gone(name)
        process.communicate("\n")
    time.sleep(0)
    assert is_gone(name), "the kernel still says so"


@linux
def test_without_proc_there_is_a_name_that_is_never_gone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(processes, "_PROC", tmp_path / "nothing")
    processes._boot.cache_clear()
    try:
        name = this_process()
        assert name == this_process()
        assert parts(name)[1:3] == ["", ""]
        assert not is_gone(name)
    finally:
        processes._boot.cache_clear()

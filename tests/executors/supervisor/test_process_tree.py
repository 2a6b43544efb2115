from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator

import psutil
import pytest

from hpo.executors.supervisor import process_tree as tree

FAMILY = """
import subprocess, sys, time
depth = int(sys.argv[1])
hoard = b"x" * (20 << 20)
if depth: subprocess.Popen([sys.executable, "-c", sys.argv[2], str(depth - 1), sys.argv[2]])
else: print("born", flush=True)
time.sleep(600)
"""


@pytest.fixture
def family() -> Iterator[int]:
    """A process with a child and a grandchild, 20 MiB each."""
    command = [sys.executable, "-c", FAMILY, "2", FAMILY]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "born\n"
        pids = [process.pid, *tree.descendants(process.pid)]
        yield process.pid
        tree.send(pids, signal.SIGKILL)


@pytest.mark.parametrize("kernel_lists_children", [tree.KERNEL_LISTS_CHILDREN, False])
def test_descendants_are_those_psutil_finds(
    family: int, kernel_lists_children: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tree, "KERNEL_LISTS_CHILDREN", kernel_lists_children)
    found = tree.descendants(family)
    assert found == [process.pid for process in psutil.Process(family).children(recursive=True)]
    assert len(found) == 2
    assert tree.children(family) == found[:1]
    assert tree.children(2**22 + 1) == []


def test_memory_is_measured_over_all_of_them(family: int) -> None:
    pids = [family, *tree.descendants(family)]
    used = tree.exceeds(pids, 60 << 20)
    assert used is not None
    independent = sum(psutil.Process(pid).memory_full_info().pss for pid in pids)
    assert used == pytest.approx(independent, rel=0.05)
    assert tree.exceeds(pids, 1 << 40) is None
    assert tree.exceeds([], 1) is None
    assert tree.exceeds([2**22 + 1], 1) is None


def test_shared_pages_count_once() -> None:
    """Four children forked from a fat parent share its pages: their resident sizes add up to more than all of it."""
    hoard = b"x" * (200 << 20)
    pids = []
    for _ in range(4):
        pid = os.fork()
        if pid == 0:
            time.sleep(600)
            os._exit(0)
        pids.append(pid)
    try:
        resident = sum(psutil.Process(pid).memory_info().rss for pid in pids)
        assert resident > 4 * len(hoard)
        assert tree.exceeds(pids, resident // 2) is None
    finally:
        tree.send(pids, signal.SIGKILL)
        for pid in pids:
            os.waitpid(pid, 0)


def test_signals_to_the_dead_are_no_error() -> None:
    tree.send([2**22 + 1], signal.SIGTERM)


def test_oom_kills_is_the_kernels_count() -> None:
    with open("/proc/vmstat") as file:
        (line,) = [line for line in file if line.startswith("oom_kill ")]
    assert tree.oom_kills() == int(line.split()[1])


def test_what_was_started_with_a_mark_is_found_wherever_it_is() -> None:
    script = ["sh", "-c", "sleep 600 & echo $!; exec sleep 600"]
    ours = uuid.uuid4().hex  # whatever else on this machine holds the words of a mark would be killed too
    started = [
        subprocess.Popen(script, stdout=subprocess.PIPE, env={**os.environ, "MARK": mark}, start_new_session=True)
        for mark in (f"{ours}/two", f"{ours}/three")
    ]
    try:
        two, three = started
        assert two.stdout is not None
        below = int(two.stdout.readline())
        tree.end_marked(f"{ours}/two")
        assert two.wait(60) == -signal.SIGKILL
        assert two.stdout.read() == b"", "nobody holds its output open any more"
        assert not psutil.pid_exists(below) or psutil.Process(below).status() == psutil.STATUS_ZOMBIE
        assert three.poll() is None
    finally:
        tree.end_marked(ours)
        for process in started:
            process.communicate(timeout=60)


def test_one_that_may_not_be_signalled_spares_none_of_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    signalled = []

    def kill(pid: int, number: int) -> None:
        if pid == 1:
            raise PermissionError("a program with another owner")
        signalled.append(pid)

    monkeypatch.setattr(os, "kill", kill)
    tree.send([1, 2, 3], signal.SIGTERM)
    assert signalled == [2, 3]

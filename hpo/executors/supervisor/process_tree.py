"""The processes below one process: find them, signal them, measure them, end them.

On Linux a *subreaper* inherits every orphan among its descendants, also those that left their session with setsid. So
below a subreaper nothing can hide, and when it has no children left, it has no descendants left. Elsewhere (macOS)
orphans escape to process 1.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
PAGE = os.sysconf("SC_PAGE_SIZE")
KERNEL_LISTS_CHILDREN = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").exists()


def become_subreaper() -> None:
    """Inherit the orphans among this process's descendants."""
    _prctl(PR_SET_CHILD_SUBREAPER, 1)


def die_with(parent: int) -> None:
    """Let the kernel kill this process when `parent`, which forked it, is gone."""
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it went before the call above
        os.kill(os.getpid(), signal.SIGKILL)


def children(pid: int) -> list[int]:
    """Ids of the live and zombie children of `pid`; [] if it is gone."""
    if not KERNEL_LISTS_CHILDREN:
        import psutil

        with suppress(psutil.NoSuchProcess):
            return [child.pid for child in psutil.Process(pid).children()]
        return []
    found: list[int] = []
    with suppress(FileNotFoundError, ProcessLookupError):  # it, or one of its threads, ended while we read
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    return found


def descendants(pid: int) -> list[int]:
    """Ids of all processes below `pid`, parents first."""
    found = children(pid)
    for child in found:  # grows while we walk
        found += children(child)
    return found


def send(pids: Iterable[int], number: signal.Signals) -> None:
    """Signal each process that still is and that may be signalled: a program with another owner may not."""
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def end_all_children() -> None:
    """Kill everything below this process and return when it is gone and reaped."""
    while True:
        send(descendants(os.getpid()), signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def end_marked(mark: str) -> None:
    """Kill every process that was started with `mark` in its environment, wherever it is now. Where there is no /proc,
    nothing."""
    killed: set[int] = set()
    quiet = 0
    while quiet < 2:  # one that was killed may have forked before, and in the middle of exec there is no environment
        found = _marked(mark.encode()) - killed
        send(found, signal.SIGKILL)
        killed |= found
        quiet = 0 if found else quiet + 1


def exceeds(pids: Iterable[int], limit: int) -> int | None:
    """The bytes that `pids` hold in memory, if more than `limit`.

    Resident sizes are cheap to read but count shared pages once for each process; only when their sum is beyond the
    limit the kernel is asked for the proportional sizes, which share them out.
    """
    pids = list(pids)
    if sum(map(_resident, pids)) <= limit:
        return None
    used = sum(map(_proportional, pids))
    return used if used > limit else None


def oom_kills() -> int:
    """How many processes the kernel of this machine has killed to free memory since it started."""
    with suppress(FileNotFoundError):
        for line in Path("/proc/vmstat").read_text().splitlines():
            name, _, count = line.partition(" ")
            if name == "oom_kill":
                return int(count)
    return 0


def _marked(mark: bytes) -> set[int]:
    found: set[int] = set()
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it is another user's, or has gone
            if mark in (folder / "environ").read_bytes():
                found.add(int(folder.name))
    return found


def _resident(pid: int) -> int:
    if not sys.platform.startswith("linux"):
        import psutil

        with suppress(psutil.NoSuchProcess):
            return int(psutil.Process(pid).memory_info().rss)
        return 0
    with suppress(FileNotFoundError, ProcessLookupError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
    return 0


def _proportional(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (OSError, UnicodeError):  # not Linux, no right to read it (a setuid program), or gone
        return _resident(pid)
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def _prctl(option: int, argument: int) -> None:
    if sys.platform.startswith("linux") and ctypes.CDLL(None, use_errno=True).prctl(option, argument, 0, 0, 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"prctl({option}, {argument}): {os.strerror(code)}")

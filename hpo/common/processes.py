"""Names of processes that other processes, machines and later days understand, and whether the named one is gone.

A name is `host:boot:namespace:pid:start`:

* boot: the id of the machine's present start, which two machines of one host name do not share;
* namespace: the inode of the PID namespace, without which a pid says nothing: containers have their own;
* start: when the process started, in seconds since the machine did. A time of day would be another one after the clock
  was set, and a living process a dead one.

"Gone" is said only where this process could see the other one: on the same start of the machine and in the same PID
namespace. Everything else is "not known", and is left to leases. Names of the old form, `host:pid:start`, are of
studies from before; of those a process that is gone is only a guess.
"""

from __future__ import annotations

import functools
import os
import platform
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

_PROC = Path("/proc")
_LOADED = time.time()
"""What tells processes apart where the system does not say when they started."""
_NAME = re.compile(
    r"(?P<host>.*?):(?:(?P<boot>[0-9A-Fa-f-]{36}|):(?P<space>\d*):)?(?P<pid>\d+):(?P<start>\d+(?:\.\d+)?)"
)


@dataclass(frozen=True)
class _Process:
    host: str
    boot: str | None
    """None in the old form; empty where the system does not say."""
    space: str | None
    pid: int
    start: float


def this_process() -> str:
    """The name of this process."""
    pid = os.getpid()
    return f"{platform.node()}:{_boot()}:{_namespace()}:{pid}:{_own_start(pid):.2f}"


def is_gone(name: str) -> bool:
    """Whether the named process has ended. False where that cannot be seen from here, and for names of another kind,
    which users choose. Of an old name it is a guess: see `is_certain`."""
    process = _parsed(name)
    if process is None or process.host != platform.node():
        return False
    if process.boot is not None and not (process.boot and (process.boot, process.space) == (_boot(), _namespace())):
        return False
    if not _exists(process.pid):
        return True
    if sys.platform.startswith("linux") and not _is_own_table():
        return False  # what /proc shows are the processes of another namespace
    try:
        state, start = _state_and_start(process.pid)
    except (OSError, psutil.Error, ValueError):  # hidden from this user, or ended just now
        return False
    return state == psutil.STATUS_ZOMBIE or abs(start - process.start) > 1.0


def is_certain(name: str) -> bool:
    """Whether `is_gone` knows this one for sure. An old name does not tell namespaces apart."""
    process = _parsed(name)
    return process is not None and process.boot is not None


def _parsed(name: str) -> _Process | None:
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    host, boot, space, pid, start = found.group("host", "boot", "space", "pid", "start")
    return _Process(host, boot, space, int(pid), float(start))


@functools.cache
def _boot() -> str:
    """The id of this start of the machine; empty where the system has none."""
    try:
        if sys.platform == "darwin":
            command = ["/usr/sbin/sysctl", "-n", "kern.bootsessionuuid"]
            return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
        return (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _namespace() -> str:
    """The inode of this process's PID namespace; empty where there are none."""
    try:
        return str((_PROC / "self/ns/pid").stat().st_ino)
    except OSError:
        return ""


def _is_own_table() -> bool:
    """Whether /proc shows this process's own PID namespace: it may have been mounted in one above."""
    try:
        return (_PROC / "self").readlink().name == str(os.getpid())
    except OSError:
        return False


def _exists(pid: int) -> bool:
    """Asked of the kernel: /proc may hide the processes of other users."""
    if os.name != "posix":
        return psutil.pid_exists(pid)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _own_start(pid: int) -> float:
    try:
        return _state_and_start("self" if sys.platform.startswith("linux") else pid)[1]
    except (OSError, psutil.Error):
        return _LOADED


def _state_and_start(pid: int | str) -> tuple[str, float]:
    """Its state, as psutil calls it, and its start. Raises OSError, psutil.Error."""
    if isinstance(pid, int) and not sys.platform.startswith("linux"):
        process = psutil.Process(pid)
        return process.status(), process.create_time()
    fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    state = psutil.STATUS_ZOMBIE if fields[0] in "ZX" else psutil.STATUS_RUNNING
    return state, int(fields[19]) / os.sysconf("SC_CLK_TCK")

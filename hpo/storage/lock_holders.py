"""Who holds a lock that others wait for, in words for people."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from hpo.common.text import shown

if TYPE_CHECKING:
    import sqlalchemy as sa

_SESSION = """
SELECT a.pid, coalesce(a.application_name, ''), coalesce(host(a.client_addr), ''), coalesce(a.state, ''),
       coalesce(extract(epoch FROM clock_timestamp() - a.state_change), 0)::float8
FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE l.locktype = 'advisory' AND l.granted AND a.datname = current_database()
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND l.classid = {} AND l.objid = {} AND l.objsubid = {}
"""
_WRITING = range(120, 123)
"""The bytes of its `-shm` file that a writer of an SQLite file locks, its checkpointer and who recovers it:
https://www.sqlite.org/walformat.html#locks"""
_LOCK = re.compile(r"POSIX +\w+ +WRITE (?P<pid>\d+) [0-9a-f]+:[0-9a-f]+:(?P<inode>\d+) (?P<first>\d+) (?P<last>\w+)")
_STATES = {
    psutil.STATUS_STOPPED: "is stopped: `kill -CONT {pid}` lets it go on",
    psutil.STATUS_TRACING_STOP: "is stopped by a debugger",
    psutil.STATUS_DISK_SLEEP: "waits for its disk",
}


def session_with(connection: sa.Connection, *key: int) -> str:
    """The session of a PostgreSQL server that has the advisory lock `key`, as far as this user may see it; empty when it
    has been let go."""
    import sqlalchemy as sa

    one, two = key if len(key) == 2 else (0, *key)
    with suppress(sa.exc.SQLAlchemyError):
        for pid, name, host, state, seconds in connection.exec_driver_sql(_SESSION.format(one, two, len(key))):
            of = f" from {host}" if host else ""
            return shown(
                f"{name or 'a session'}{of} (pid {pid} of the server, {state or 'unknown'} for {seconds:.0f} s)"
            )
    return ""


def writer_of(path: Path) -> str:
    """The process that writes to an SQLite file; empty where the system does not tell (only Linux does) or nobody does.
    The files are not opened: closing one would drop this process's own locks."""
    with suppress(OSError, ValueError, psutil.Error):
        shared = os.stat(f"{path}-shm").st_ino
        for lock in _LOCK.finditer(Path("/proc/locks").read_text(encoding="ascii")):
            if int(lock["inode"]) == shared and int(lock["first"]) in _WRITING and (pid := int(lock["pid"])) > 0:
                process = psutil.Process(pid)
                state = _STATES.get(process.status(), "").format(pid=pid)
                return shown(f"process {pid} ({process.name()})") + (f", which {state}" if state else "")
    return ""

"""Whoever waits for a lock is told who holds it."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from hpo.errors import ConnectionLost
from hpo.storage import SqlStorage
from hpo.storage.lock_holders import writer_of

HOLD = """
import sys, time
from hpo.storage import SqlStorage
storage = SqlStorage(sys.argv[1])
with storage.transaction(storage.create("x", {}, {}).id):
    print("in", flush=True)
    time.sleep(600)
"""


@pytest.mark.skipif(not Path("/proc/locks").exists(), reason="only Linux tells who holds a lock")
def test_a_stopped_process_that_holds_a_file(tmp_path: Path) -> None:
    path = tmp_path / "hpo.db"
    with (
        closing(SqlStorage(path, patience=0.05)) as storage,
        subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE) as holder,
    ):
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == b"in\n"
            assert re.fullmatch(rf"process {holder.pid} \(.+\)", writer_of(path))
            holder.send_signal(signal.SIGSTOP)
            while "stopped" not in writer_of(path):
                time.sleep(0.01)
            with pytest.raises(ConnectionLost) as caught, storage.transaction(1):
                pytest.fail("the transaction began")
            assert f"which is stopped: `kill -CONT {holder.pid}` lets it go on. Nothing was stored" in str(caught.value)
        finally:
            holder.kill()
    assert writer_of(path) == ""


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert writer_of(tmp_path / "hpo.db") == ""

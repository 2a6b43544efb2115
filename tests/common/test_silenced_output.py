"""What C prints is dropped, and nothing else, in this thread and in no other; afterwards all is as it was."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from hpo.common import silenced_output
from hpo.common.silenced_output import c_output_dropped

BEGIN = """
import ctypes, os, subprocess, sys, threading
from hpo.common.silenced_output import c_output_dropped
library = ctypes.CDLL(None)
def in_c(text):
    library.puts(text.encode())
    library.fflush(None)
"""

exchangeable = pytest.mark.skipif(
    sys.platform != "darwin" and platform.libc_ver()[0] != "glibc", reason="its stdout cannot be exchanged"
)


def lines_of(code: str) -> list[str]:
    """What a new process prints."""
    done = subprocess.run([sys.executable, "-c", BEGIN + code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr == ""
    return done.stdout.splitlines()


@exchangeable
def test_c_is_silent_within_and_heard_before_and_after() -> None:
    code = "in_c('before')\nwith c_output_dropped():\n    in_c('within')\nin_c('after')"
    assert lines_of(code) == ["before", "after"]


@exchangeable
def test_what_c_still_holds_back_when_it_begins_is_not_lost() -> None:
    assert lines_of("library.puts(b'before')\nwith c_output_dropped():\n    library.puts(b'within')") == ["before"]


@exchangeable
def test_python_and_child_processes_are_heard_all_the_same() -> None:
    code = (
        "with c_output_dropped():\n"
        "    in_c('within')\n"
        "    print('python', flush=True)\n"
        "    os.write(1, b'descriptor\\n')\n"
        "    subprocess.run([sys.executable, '-c', 'print(\"child\")'])\n"
    )
    assert lines_of(code) == ["python", "descriptor", "child"]


@exchangeable
def test_an_error_within_ends_the_silence_and_goes_on() -> None:
    code = (
        "for _ in range(2):\n"
        "    try:\n        with c_output_dropped():\n            in_c('within')\n            1 / 0\n"
        "    except ZeroDivisionError:\n        in_c('after')\n"
    )
    assert lines_of(code) == ["after", "after"]


@exchangeable
def test_threads_are_silent_one_after_another_and_the_last_restores_what_was_there() -> None:
    code = (
        "started, go = threading.Event(), threading.Event()\n"
        "def first():\n    with c_output_dropped():\n        started.set(); go.wait(30); in_c('first')\n"
        "def second():\n    started.wait(30)\n    go.set()\n    with c_output_dropped():\n        in_c('second')\n"
        "threads = [threading.Thread(target=f) for f in (first, second)]\n"
        "[t.start() for t in threads]; [t.join() for t in threads]\n"
        "in_c('after')"
    )
    assert lines_of(code) == ["after"]


def test_where_stdout_cannot_be_exchanged_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: ("musl", "1.2"))
    monkeypatch.setattr(sys, "platform", "linux")
    silenced_output._streams.cache_clear()
    with c_output_dropped():
        assert silenced_output._streams() is None
    silenced_output._streams.cache_clear()


@exchangeable
def test_it_opens_one_file_however_often_it_is_used() -> None:
    def open_files() -> int:
        return len(os.listdir("/dev/fd"))

    with c_output_dropped():
        before = open_files()
    for _ in range(20):
        with c_output_dropped():
            pass
    assert open_files() == before

"""The process a task runs in: forked by its supervisor, whose interpreter is fresh and holds nothing of the user's."""

from __future__ import annotations

import faulthandler
import os
import pickle
import signal
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from multiprocessing.connection import Connection
from typing import Protocol

from hpo.executors.base import Task
from hpo.executors.call import call, describe, traceback_tail
from hpo.executors.supervisor import process_tree as tree
from hpo.executors.supervisor.messages import Broken, Ready
from hpo.executors.supervisor.output import Output


class Closable(Protocol):
    """What the child must not keep open."""

    def close(self) -> None:
        """Let go."""


def fork(main: Callable[[], None], output: Output, env: Mapping[str, str], release: Iterable[Closable]) -> int:
    """Run `main` in a child that leads its own session and dies with this process; returns its id.

    Fork is safe here because the supervisor has one thread and has loaded nothing but the standard library.
    """
    supervisor = os.getpid()
    pid = os.fork()
    if pid > 0:
        return pid
    code = 1
    try:
        os.setsid()
        tree.die_with(supervisor)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for held in release:
            held.close()
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        output.redirect()
        os.environ.update(env)
        main()
        code = 0
    except BaseException:  # the child must not run on as a second supervisor
        traceback.print_exc()
    finally:
        _flush()
        os._exit(code)


def execute(arguments: list[str]) -> None:
    """Become the command; exit code 127, as in shells, if it cannot be run."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores these two, and an ignored signal outlives exec
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    try:
        os.execvp(arguments[0], arguments)  # noqa: S606 - no shell is the point
    except OSError as error:
        os.write(2, f"cannot run {arguments[0]!r}: {error.strerror}\n".encode())
        os._exit(127)


def serve(driver: Connection, pickled: bytes) -> None:
    """Load the function, then run one task after another until the supervisor hangs up."""
    faulthandler.enable()
    sys.argv = [""]
    os.register_at_fork(after_in_child=driver.close)  # children of the function have nothing to say to the supervisor
    try:
        function = pickle.loads(pickled)  # noqa: S301 - written by the driver of this very program
    except BaseException as error:  # an import may raise anything
        driver.send(Broken(describe(error), traceback_tail(error)))
        return
    driver.send(Ready())
    while True:
        try:
            task, output = _receive(driver)
        except EOFError:
            return
        output.redirect()
        outcome = call(function, task)
        if outcome.log_tail and sys.stderr is not None and not sys.stderr.closed:
            sys.stderr.write(f"{outcome.log_tail}\n")
        _flush()
        driver.send(outcome)


def _receive(driver: Connection) -> tuple[Task, Output]:
    task, output = driver.recv()
    return task, output


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and not stream.closed:
            stream.flush()

"""Signals that wait for the end of a step, and waits that they break off."""

from __future__ import annotations

import os
import signal
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from hpo.errors import StorageError
from hpo.storage import MemoryStorage, SqlStorage, Storage
from hpo.storage import deferred_signals as deferral
from hpo.storage.deferred_signals import deferred, heed, stopped_by
from hpo.trials.events import Draft

SERVER = os.environ.get("HPO_TEST_PG", "")
PATIENCE = 60.0


@pytest.fixture
def came() -> Iterator[list[int]]:
    """What SIGUSR1 and SIGUSR2 have called their handlers with."""
    came: list[int] = []

    def handler(number: int, _: object) -> None:
        came.append(number)

    before = {number: signal.signal(number, handler) for number in (signal.SIGUSR1, signal.SIGUSR2)}
    yield came
    assert signal.getsignal(signal.SIGUSR1) is handler, "the handlers are what they were"
    for number, old in before.items():
        signal.signal(number, old)


def test_handlers_are_called_at_the_end_in_order(came: list[int]) -> None:
    with deferred():
        signal.raise_signal(signal.SIGUSR2)
        signal.raise_signal(signal.SIGUSR1)
        assert came == []
    assert came == [signal.SIGUSR2, signal.SIGUSR1]
    signal.raise_signal(signal.SIGUSR1)
    assert len(came) == 3


def test_ctrl_c_raises_at_the_end_and_after_an_error_too() -> None:
    done = []

    @deferred()
    def work() -> None:
        signal.raise_signal(signal.SIGINT)
        done.append("all of it")

    @deferred()
    def fail() -> None:
        signal.raise_signal(signal.SIGINT)
        raise ValueError("no")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done
    with pytest.raises(KeyboardInterrupt) as caught:
        fail()
    assert isinstance(caught.value.__context__, ValueError)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_second_ctrl_c_does_not_wait() -> None:
    done = []

    @deferred()
    def work() -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        done.append("never")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == []


def test_one_step_inside_another_is_part_of_it(came: list[int]) -> None:
    with deferred():
        with deferred():
            signal.raise_signal(signal.SIGUSR1)
        assert came == []
    assert came == [signal.SIGUSR1]


def test_a_place_that_may_stop_heeds(came: list[int]) -> None:
    with deferred():
        signal.raise_signal(signal.SIGUSR1)
        heed()
        assert came == [signal.SIGUSR1]
        with pytest.raises(KeyboardInterrupt), stopped_by(heed):
            signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGUSR1)
        assert len(came) == 1
    assert len(came) == 2
    heed()
    with stopped_by(lambda: pytest.fail("no step is under way")):
        signal.raise_signal(signal.SIGUSR1)


def test_signals_without_a_handler_in_python_do_what_they_did() -> None:
    with deferred():
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_other_threads_change_nothing() -> None:
    seen = []

    def work() -> None:
        with deferred():
            seen.append(signal.getsignal(signal.SIGINT))
            heed()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.default_int_handler]
    assert deferral._now is None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_the_child_that_another_thread_forks_meanwhile_has_ctrl_c(came: list[int]) -> None:
    codes = []

    def fork() -> None:
        child = os.fork()
        if not child:
            signal.alarm(30)
            code = 1
            try:
                signal.raise_signal(signal.SIGINT)
            except KeyboardInterrupt:
                code = 0
            finally:
                os._exit(code)
        codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

    with deferred():
        thread = threading.Thread(target=fork)
        thread.start()
        thread.join()
    assert codes == [0]


# -- waits ------------------------------------------------------------------------------------------------------------


def append(storage: Storage) -> None:
    with storage.transaction(1) as log:
        log.append([Draft("noted")])


def is_broken_off(wait: Callable[[], object]) -> None:
    """Ctrl-C ends what would wait for long, and leaves nothing of it."""
    timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            wait()
    finally:
        timer.join()


@contextmanager
def held(storage: Storage, study: int = 1) -> Iterator[None]:
    """A thread that is in a transaction meanwhile."""
    inside, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with storage.transaction(study):
            inside.set()
            leave.wait(PATIENCE)

    thread = threading.Thread(target=hold)
    thread.start()
    assert inside.wait(PATIENCE)
    try:
        yield
    finally:
        leave.set()
        thread.join()


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_the_wait_for_another_thread(kind: str, tmp_path: Path) -> None:
    with closing(MemoryStorage() if kind == "memory" else SqlStorage(tmp_path / "hpo.db")) as storage:
        storage.create("s", {}, {})
        with held(storage):
            is_broken_off(lambda: append(storage))
            assert storage.events(1) == []
        append(storage)
        assert len(storage.events(1)) == 1


def test_the_wait_for_the_lock_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "hpo.db"
    with closing(SqlStorage(path)) as storage, closing(sqlite3.connect(path)) as other:
        storage.create("s", {}, {})
        other.execute("BEGIN IMMEDIATE")
        is_broken_off(lambda: append(storage))
        assert other.in_transaction, "it did not wait for that"
        other.rollback()
        append(storage)
        assert len(storage.events(1)) == 1


@pytest.mark.skipif(not SERVER, reason="HPO_TEST_PG names no PostgreSQL server")
def test_the_wait_for_a_lock_of_a_server() -> None:
    with closing(SqlStorage(SERVER)) as storage, closing(SqlStorage(SERVER)) as other:
        study = storage.create(f"deferral-{os.getpid()}", {}, {}).id

        def note() -> None:
            with storage.transaction(study) as log:
                log.append([Draft("noted")])

        with held(other, study):
            is_broken_off(note)
            assert storage.events(study) == []
        note()
        assert len(storage.events(study)) == 1


def test_a_transaction_whose_commit_is_interrupted_was_done(tmp_path: Path) -> None:
    with closing(SqlStorage(tmp_path / "hpo.db")) as storage:
        storage.create("s", {}, {})

        def work() -> None:
            with storage.transaction(1) as log:
                log.append([Draft("noted")])
                os.kill(os.getpid(), signal.SIGINT)
                log.append([Draft("noted")])

        with pytest.raises(KeyboardInterrupt):
            work()
        assert len(storage.events(1)) == 2
        append(storage)


def test_an_error_and_a_signal_leave_nothing(tmp_path: Path) -> None:
    with closing(SqlStorage(tmp_path / "hpo.db")) as storage:
        storage.create("s", {}, {})

        def work() -> None:
            with storage.transaction(1) as log:
                log.append([Draft("noted")])
                os.kill(os.getpid(), signal.SIGINT)
                raise StorageError("no")

        with pytest.raises(KeyboardInterrupt) as caught:
            work()
        assert isinstance(caught.value.__context__, StorageError)
        assert storage.events(1) == []
        append(storage)

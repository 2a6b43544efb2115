"""One writer at a time among threads, and what those are told who wait in vain."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import FrameType

import pytest

from hpo.errors import ConnectionLost, StorageError
from hpo.storage.writer_lock import _GLANCE, WriterLock

SOON = 0.05
"""Seconds of patience where the wait is in vain."""


@contextmanager
def held(turn: WriterLock, *, is_asking: bool = False) -> Iterator[None]:
    """Meanwhile another thread has the turn, and perhaps waits for the database."""
    inside, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with turn.taken():
            if is_asking:
                with turn.asking():
                    inside.set()
                    leave.wait(60)
            inside.set()
            leave.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert inside.wait(60)
        yield
    finally:
        leave.set()
        thread.join()


def refusal(turn: WriterLock) -> StorageError:
    with pytest.raises(StorageError) as caught, turn.taken():
        pytest.fail("the turn was given twice")
    return caught.value


def test_threads_have_the_turn_one_after_another() -> None:
    turn, n = WriterLock(), [0]

    def count(_: int) -> None:
        for _ in range(50):
            with turn.taken():
                before = n[0]
                threading.Event().wait(0)  # lets another thread run
                n[0] = before + 1

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(count, range(4)))
    assert n == [200]


def test_the_turn_is_given_back_after_an_error() -> None:
    turn = WriterLock(SOON)
    for _ in range(2):
        with pytest.raises(KeyError, match="mine"), turn.taken():
            raise KeyError("mine")


def test_whoever_waits_gets_the_turn_when_it_is_free() -> None:
    """However often it has looked for signals meanwhile."""
    turn, taken = WriterLock(), threading.Event()

    def wait() -> None:
        with turn.taken():
            taken.set()

    with held(turn):
        thread = threading.Thread(target=wait)
        thread.start()
        assert not taken.wait(3.0 * _GLANCE)
    thread.join()
    assert taken.is_set()


def test_a_thread_that_has_the_turn_is_refused_at_once() -> None:
    turn = WriterLock()
    with turn.taken():
        error = refusal(turn)
        assert str(error) == "this thread is inside a transaction of this storage already; end that one first"
        assert not isinstance(error, ConnectionLost)
        with held(WriterLock()), WriterLock().taken():
            pass  # of another storage
    with turn.taken():
        pass


def test_a_thread_that_computes_in_a_transaction_is_blamed() -> None:
    turn = WriterLock(SOON, "the.server")
    with held(turn):
        error = refusal(turn)
    assert not isinstance(error, ConnectionLost)
    assert str(error) == (
        "another thread has been inside a transaction for more than 0.05 s; compute before a transaction, not in it"
    )
    with turn.taken():
        pass


def test_a_thread_that_waits_for_the_database_is_not_told_to_compute_elsewhere() -> None:
    turn = WriterLock(SOON, "the.server")
    with held(turn, is_asking=True):
        with turn.asking():  # a reader's: it does not hold the turn
            pass
        error = refusal(turn)
    assert isinstance(error, ConnectionLost)
    assert str(error) == (
        "another thread of this process has waited for the.server, in its transaction, for more than 0.05 s. Nothing of "
        "this step was stored"
    )


def test_a_thread_whose_answer_has_come_does_not_wait_for_the_database_any_more() -> None:
    turn, answered, leave = WriterLock(SOON), threading.Event(), threading.Event()

    def hold() -> None:
        with turn.taken():
            with turn.asking(), turn.asking():
                pass
            answered.set()
            leave.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert answered.wait(60)
        error = refusal(turn)
    finally:
        leave.set()
        thread.join()
    assert "compute before a transaction" in str(error)


def test_a_question_inside_a_question_is_still_one() -> None:
    turn, inside, leave = WriterLock(SOON), threading.Event(), threading.Event()

    def hold() -> None:
        with turn.taken(), turn.asking():
            with turn.asking():
                pass
            inside.set()
            leave.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert inside.wait(60)
        error = refusal(turn)
    finally:
        leave.set()
        thread.join()
    assert isinstance(error, ConnectionLost)


def test_without_patience_a_free_turn_is_still_given() -> None:
    turn = WriterLock(0.0)
    with turn.taken():
        pass
    with held(turn):
        assert "for more than 0 s" in str(refusal(turn))


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="this system has no SIGUSR1")
def test_signals_wait_until_the_turn_is_given_back() -> None:
    turn, came = WriterLock(), list[str]()

    def handler(number: int, frame: FrameType | None) -> None:
        with turn.taken():  # it may write itself
            came.append("handled")

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        with turn.taken():
            os.kill(os.getpid(), signal.SIGUSR1)
            came.append("inside")
        came.append("after")
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert came == ["inside", "handled", "after"]


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="this system has no SIGUSR1")
def test_a_wait_for_the_turn_is_ended_by_a_signal() -> None:
    class Enough(Exception):
        pass

    def handler(number: int, frame: FrameType | None) -> None:
        raise Enough

    turn, before = WriterLock(), signal.signal(signal.SIGUSR1, handler)

    def wait() -> None:
        threading.Timer(SOON, os.kill, (os.getpid(), signal.SIGUSR1)).start()
        with turn.taken():
            pytest.fail("the turn was given twice")

    try:
        with held(turn), pytest.raises(Enough):
            wait()
        with turn.taken():
            pass
    finally:
        signal.signal(signal.SIGUSR1, before)

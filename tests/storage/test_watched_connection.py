"""A connection whose waits end: on a real socket that says nothing, and on a clock that the test sets."""

from __future__ import annotations

import socket
from collections.abc import Generator, Iterator
from typing import Any

import psycopg
import pytest
from psycopg import waiting
from psycopg.pq import PGconn

from hpo.storage import watched_connection
from hpo.storage.watched_connection import Watched


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


@pytest.fixture
def watched(server: socket.socket) -> Iterator[Watched]:
    """A connection on its way to a server that takes it, and never says a word."""
    where = f"host=127.0.0.1 port={server.getsockname()[1]} sslmode=disable gssencmode=disable"
    watched = Watched(PGconn.connect_start(where.encode()))
    yield watched
    watched.close()


class Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(watched_connection, "time", clock)
    return clock


def talk(heard: list[int]) -> Generator[Any, Any, str]:
    """Three words of the server, each waited for."""
    for _ in range(3):
        heard.append((yield waiting.Wait.R))
    return "done"


READY, NOTHING = waiting.Ready.R, 0


def test_an_answer_comes_through(watched: Watched) -> None:
    heard = list[int]()
    conversation = watched._heard(talk(heard))
    assert next(conversation) is waiting.Wait.R
    for _ in range(2):
        assert conversation.send(READY) is waiting.Wait.R
    with pytest.raises(StopIteration) as end:
        conversation.send(READY)
    assert (end.value.value, heard) == ("done", [READY] * 3)


def test_what_needs_no_answer_is_done_at_once(watched: Watched) -> None:
    def nothing() -> Generator[Any, Any, int]:
        yield from ()
        return 7

    assert watched.wait(nothing()) == 7


def test_the_driver_is_not_told_of_moments_without_a_word(watched: Watched, clock: Clock) -> None:
    heard = list[int]()
    watched.silence = 5.0
    conversation = watched._heard(talk(heard))
    next(conversation)
    for _ in range(4):
        assert conversation.send(NOTHING) is waiting.Wait.R
    conversation.send(READY)
    assert heard == [READY]


def test_silence_is_counted_from_the_first_moment_without_a_word(watched: Watched, clock: Clock) -> None:
    watched.silence = 5.0
    conversation = watched._heard(talk([]))
    next(conversation)
    conversation.send(NOTHING)
    clock.now += 4.9
    conversation.send(NOTHING)
    clock.now += 0.1
    with pytest.raises(psycopg.OperationalError) as caught:
        conversation.send(NOTHING)
    assert str(caught.value) == "no answer for 5 s, so the connection was given up"
    assert watched.closed


def test_every_word_begins_the_count_anew(watched: Watched, clock: Clock) -> None:
    watched.silence = 5.0
    conversation = watched._heard(talk([]))
    next(conversation)
    for _ in range(2):
        conversation.send(NOTHING)
        clock.now += 4.0
        conversation.send(NOTHING)
        conversation.send(READY)
        clock.now += 4.0
    conversation.send(NOTHING)
    assert not watched.closed


def test_by_default_silence_is_borne_for_ever(watched: Watched, clock: Clock) -> None:
    assert watched.silence == 0.0
    conversation = watched._heard(talk([]))
    next(conversation)
    for _ in range(3):
        conversation.send(NOTHING)
        clock.now += 1e9
    assert not watched.closed


def test_a_server_that_says_nothing_is_given_up(watched: Watched) -> None:
    watched.silence = 0.05
    with pytest.raises(psycopg.OperationalError, match=r"^no answer for 0\.05 s, so the connection was given up$"):
        watched.wait(talk([]), interval=0.01)
    assert watched.closed


def test_silence_is_borne_less_long_for_one_question(watched: Watched) -> None:
    watched.silence = 20.0
    with watched.hearing(5.0):
        assert watched.silence == 5.0
    assert watched.silence == 20.0
    with pytest.raises(KeyError, match="mine"), watched.hearing(0.0):
        raise KeyError("mine")
    assert watched.silence == 20.0


def test_it_knows_when_the_server_last_answered(watched: Watched, clock: Clock) -> None:
    assert watched.heard_at == 0.0
    conversation = watched._heard(talk([]))
    next(conversation)
    conversation.send(NOTHING)
    assert watched.heard_at == 0.0
    clock.now += 7.0
    conversation.send(READY)
    assert watched.heard_at == clock.now

"""How long a step is tried again, and what is said of it, on a clock of the test's own."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import nullcontext

import pytest

from hpo.errors import ConnectionLost, StorageError
from hpo.storage import retry as persistence
from hpo.storage.retry import patient, retrying


class Clock:
    """Moves on when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(persistence, "time", clock)
    return clock


def away(clock: Clock, seconds: float, *, is_unanswered: bool = False) -> Callable[[bool], str]:
    """A step that fails until the server is back."""
    back, calls = clock.now + seconds, list[bool]()

    def step(again: bool) -> str:
        calls.append(again)
        assert calls == [False, *[True] * (len(calls) - 1)]
        if clock.now < back:
            error = ConnectionLost("the server is away. Look whether it is up")
            error.is_unanswered = is_unanswered
            raise error
        return "done"

    return step


def test_a_moment_is_nobodys_business(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    assert retrying(away(clock, 1.0)) == "done"
    assert caplog.text == ""


def test_what_is_waited_for_is_said(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert retrying(away(clock, 30.0)) == "done"
    assert [record.getMessage() for record in caplog.records] == [
        "the server is away. Trying again, for 57 s more at most",
        "the server is away. Trying again, for 37 s more at most",
        "going on after 31 s of waiting",
    ]


@pytest.mark.parametrize(
    ("seconds", "is_opening", "is_unanswered", "lasts"),
    [
        (None, False, False, 60.0),
        (None, True, False, 60.0),
        (None, False, True, 60.0),
        (None, True, True, 15.0),
        (90.0, True, True, 90.0),
        (0.0, False, False, 0.0),
    ],
)
def test_patience(clock: Clock, seconds: float | None, is_opening: bool, is_unanswered: bool, lasts: float) -> None:
    def wait() -> None:
        with pytest.raises(ConnectionLost, match="the server is away"):
            retrying(away(clock, 1000.0, is_unanswered=is_unanswered), is_opening=is_opening)

    begun = clock.now
    if seconds is None:
        wait()
    else:
        with patient(seconds):
            wait()
    assert lasts - 2.0 <= clock.now - begun <= lasts


@pytest.mark.parametrize("seconds", [15, 120])
def test_an_address_where_nobody_answers_is_named_at_once(
    clock: Clock, caplog: pytest.LogCaptureFixture, seconds: int
) -> None:
    with caplog.at_level(logging.WARNING), nullcontext() if seconds == 15 else patient(seconds):
        retrying(away(clock, 0.01, is_unanswered=True), is_opening=True)
    assert caplog.records[0].getMessage() == f"the server is away. Trying again, for {seconds} s more at most"


def test_the_last_error_says_for_how_long(clock: Clock) -> None:
    with pytest.raises(ConnectionLost) as caught:
        retrying(away(clock, 1000.0))
    assert str(caught.value) == "the server is away. Look whether it is up (tried again for 59 s)"


def test_what_never_passes_is_raised_at_once(clock: Clock) -> None:
    def refused(_: bool) -> None:
        raise StorageError("no such database")

    with pytest.raises(StorageError):
        retrying(refused)
    assert clock.now == 1000.0

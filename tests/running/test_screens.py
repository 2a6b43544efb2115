"""Screens: the very bytes that a terminal gets, and lines for everything else."""

from __future__ import annotations

import fcntl
import io
import itertools
import os
import pty
import select
import struct
import sys
import termios
import tty
from collections.abc import Iterator
from typing import TextIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.running import screens
from hpo.running.screens import Lines, Terminal, broken, screen_on

ERASE, UP = "\r\x1b[2K", "\x1b[1A\x1b[2K"


class Person:
    """Who sits at a terminal of 40 columns."""

    def __init__(self, encoding: str = "utf-8") -> None:
        self.fd, there = pty.openpty()
        tty.setraw(there)
        attributes = termios.tcgetattr(there)
        attributes[3] |= termios.ICANON
        termios.tcsetattr(there, termios.TCSANOW, attributes)
        fcntl.ioctl(there, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 40, 0, 0))
        self.stream: TextIO = open(there, "w", encoding=encoding, buffering=1)  # noqa: SIM115

    def sees(self) -> str:
        """What has come since the last look."""
        seen = b""
        while select.select([self.fd], [], [], 0.0)[0]:
            seen += os.read(self.fd, 65536)
        return seen.decode("utf-8")


@pytest.fixture
def person(monkeypatch: pytest.MonkeyPatch) -> Iterator[Person]:
    person = Person()
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setattr(sys, "stdout", person.stream)
    monkeypatch.setattr(sys, "stderr", person.stream)
    yield person
    person.stream.close()
    os.close(person.fd)


@pytest.fixture
def terminal(person: Person) -> Iterator[Terminal]:
    """Opened."""
    terminal = Terminal(person.stream)
    terminal.open()
    yield terminal
    terminal.close()


# -- lines ------------------------------------------------------------------------------------------------------------


class Bare:
    """A program's own stream."""

    def __init__(self, encoding: str | None = None) -> None:
        self.text, self.encoding = "", encoding

    def write(self, text: str) -> int:
        self.text += text
        return len(text)


@pytest.mark.parametrize(("encoding", "shown"), [(None, "数 é"), ("ascii", r"\u6570 \xe9"), ("latin-1", r"\u6570 é")])
def test_letters_that_an_encoding_does_not_have_are_escaped(encoding: str | None, shown: str) -> None:
    stream = Bare(encoding)
    Lines(stream).keep("数 é")  # type: ignore[arg-type]
    assert stream.text == shown + "\n"


def test_lines_are_flushed_and_nothing_is_redrawn() -> None:
    raw = io.BytesIO()
    lines = Lines(io.TextIOWrapper(raw, encoding="utf-8", write_through=False))
    lines.open()
    lines.draw("never")
    lines.keep("one\x1b[2J\ntwo")
    assert raw.getvalue() == b"one\\x1b[2J\ntwo\n"
    lines.close()
    assert not lines.is_live


# -- a terminal -------------------------------------------------------------------------------------------------------


def test_a_line_is_wiped_before_the_next_is_drawn_and_ended_in_the_end(terminal: Terminal, person: Person) -> None:
    terminal.draw("one")
    terminal.draw("two")
    assert person.sees() == f"one{ERASE}two"
    terminal.close()
    assert person.sees() == "\n"
    terminal.close()
    assert person.sees() == ""


def test_the_same_line_is_not_drawn_again(terminal: Terminal, person: Person) -> None:
    terminal.draw("one")
    terminal.draw("one")
    assert person.sees() == "one"


def test_what_is_kept_goes_above_the_line(terminal: Terminal, person: Person) -> None:
    terminal.draw("one")
    terminal.keep("kept\x1b[2J")
    terminal.draw("one")
    assert person.sees() == f"one{ERASE}kept\\x1b[2J\none"


def test_each_row_of_a_long_line_is_wiped(terminal: Terminal, person: Person) -> None:
    terminal.draw(" | ".join(["a" * 30, "b" * 30, "c" * 30]))
    assert person.sees() == "\n".join(["a" * 30, "b" * 30, "c" * 30])
    terminal.draw("d")
    assert person.sees() == ERASE + 2 * UP + "d"


def test_the_last_column_stays_free(terminal: Terminal, person: Person) -> None:
    terminal.draw("x" * 39)
    assert person.sees() == "x" * 39
    terminal.draw("x" * 40)
    assert person.sees() == ERASE + "x" * 36 + "..."


@pytest.mark.parametrize(("columns", "width"), [("20", 19), ("0", 39), ("wide", 39), ("", 39)])
def test_as_many_columns_as_the_user_says(
    terminal: Terminal, person: Person, monkeypatch: pytest.MonkeyPatch, columns: str, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    terminal.draw("x" * 100)
    assert person.sees() == "x" * (width - 3) + "..."


def test_printed_text_takes_the_line_away_until_its_own_is_ended(terminal: Terminal, person: Person) -> None:
    terminal.draw("one")
    person.stream.write("half")
    person.stream.flush()
    terminal.draw("two")
    assert person.sees() == f"one{ERASE}half"
    person.stream.write("")
    terminal.draw("two")
    assert person.sees() == ""
    person.stream.write(" and its end\n")
    terminal.draw("two")
    assert person.sees() == " and its end\ntwo"


def test_closed_it_lets_go_of_what_prints(terminal: Terminal, person: Person) -> None:
    assert "write" in vars(person.stream)
    terminal.close()
    assert "write" not in vars(person.stream)


def test_nothing_is_drawn_while_single_keys_are_read(terminal: Terminal, person: Person) -> None:
    tty.setcbreak(person.stream.fileno())
    terminal.draw("one")
    assert person.sees() == ""


def test_where_they_were_read_before_it_draws(person: Person) -> None:
    tty.setcbreak(person.stream.fileno())
    terminal = Terminal(person.stream)
    terminal.draw("one")
    assert person.sees() == "one"


def test_a_terminal_that_is_drawn_on_has_no_second_line(terminal: Terminal, person: Person) -> None:
    other = Terminal(person.stream)
    other.open()
    other.close()
    assert screens._drawing.locked(), "the first still draws"
    terminal.close()
    assert not screens._drawing.locked()


def test_letters_that_a_terminal_does_not_have_are_escaped() -> None:
    person = Person("ascii")
    Terminal(person.stream).keep("数")
    assert person.sees() == "\\u6570\n"
    person.stream.close()
    os.close(person.fd)


# -- which one --------------------------------------------------------------------------------------------------------


def test_a_real_terminal_is_drawn_on_unless_it_is_dumb(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    assert isinstance(screen_on(person.stream), Terminal)
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(screen_on(person.stream), Lines)


def test_what_cannot_say_whether_it_is_a_terminal_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    closed = io.StringIO()
    closed.close()
    for stream in (io.StringIO(), closed, Bare(), None):
        assert isinstance(screen_on(stream), Lines)  # type: ignore[arg-type]


# -- broken lines -----------------------------------------------------------------------------------------------------


@given(st.lists(st.text("ab数é ", max_size=30), min_size=1, max_size=8), st.integers(8, 60))
def test_no_row_is_wider_and_no_part_is_lost(parts: list[str], columns: int) -> None:
    def width(text: str) -> int:
        return sum(2 if letter == "数" else 1 for letter in text)

    rows = broken(" | ".join(parts), columns)
    assert all(width(row) <= columns for row in rows)
    shown = " | ".join(rows).split(" | ")
    given = " | ".join(parts).split(" | ")
    assert len(shown) == len(given)
    for part, whole in zip(shown, given, strict=True):
        assert part == whole or (part.endswith("...") and whole.startswith(part[:-3]) and width(whole) > columns)
    for row, after in itertools.pairwise(rows):
        assert width(row) + 3 + width(after.split(" | ")[0]) > columns, "as few rows as can be"


def test_a_combining_mark_takes_no_column() -> None:
    assert broken("e\u0301" * 6, 6) == ["e\u0301" * 6]


def test_two_runs_at_a_time_do_not_draw_over_one_another(monkeypatch: pytest.MonkeyPatch) -> None:
    class Screen(io.StringIO):
        def isatty(self) -> bool:
            return True

        def fileno(self) -> int:
            return 2

    monkeypatch.setenv("TERM", "xterm")
    assert isinstance(screens.screen_on(Screen()), screens.Terminal)
    with screens._drawing:
        assert isinstance(screens.screen_on(Screen()), screens.Lines)
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(screens.screen_on(Screen()), screens.Lines)


@pytest.mark.parametrize(
    ("line", "columns", "rows"),
    [
        ("a | b | c", 80, ["a | b | c"]),
        ("a | b | c", 5, ["a | b", "c"]),
        ("aaaaaaaaaa | b", 6, ["aaa...", "b"]),
        ("数数数 | b", 6, ["数数数", "b"]),
        ("数数数数 | b", 6, ["数...", "b"]),
    ],
)
def test_lines_are_broken(line: str, columns: int, rows: list[str]) -> None:
    assert broken(line, columns) == rows

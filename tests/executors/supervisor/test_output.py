from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from hpo.executors.supervisor.output import LONGEST, Output, file_name


def test_short_names_say_their_id() -> None:
    assert file_name("digits-17-1") == "digits-17-1"
    assert file_name("my digits/a-17-1") == "my%20digits%2Fa-17-1"
    assert Output.of(Path("logs"), "a b").err == Path("logs/a%20b.err")


def test_long_names_keep_their_number_and_stay_apart() -> None:
    names = [file_name(f"{'数' * 30}-{number}-1") for number in range(100)]
    assert all(len(name) == LONGEST for name in names)
    assert len(set(names)) == 100
    assert names[17].endswith("-17-1")
    assert file_name(f"{'数' * 30}z{'数' * 30}-1-1") != file_name(f"{'数' * 30}y{'数' * 30}-1-1")


@given(st.text(min_size=1))
def test_any_id_has_a_name(id: str) -> None:
    name = file_name(id)
    assert 0 < len(name.encode()) <= LONGEST
    assert "/" not in name


def test_the_tail_is_that_of_the_first_file_with_text(tmp_path: Path) -> None:
    output = Output(tmp_path / "out", tmp_path / "err")
    assert output.tail() == ""
    output.create()
    output.out.write_text("said\n")
    assert output.tail() == "said"
    output.err.write_bytes(b"lost\n" * 100 + b"\xff last\n")
    assert output.tail(most=7) == "\ufffd last"


def test_a_tail_that_cannot_be_read_is_empty(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    assert Output(tmp_path / "folder", tmp_path / ("x" * 300)).tail() == ""

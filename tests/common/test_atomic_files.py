"""Files written whole or not at all: what is left after a full disk, a folder without rights, and a link."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.common.atomic_files import replace_text


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "report.html"
    file.write_text("what was there", encoding="utf-8")
    return file


@given(text=st.text())
def test_the_file_holds_the_text_as_utf_8_with_its_line_breaks(
    text: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.getbasetemp() / "any.txt"
    replace_text(file, text)
    assert file.read_bytes() == text.encode("utf-8", errors="backslashreplace")


def test_what_utf_8_cannot_hold_is_escaped(file: Path) -> None:
    replace_text(file, "a\udc80\r\n")
    assert file.read_bytes() == b"a\\udc80\r\n"


def test_nothing_else_is_left_in_the_folder(file: Path) -> None:
    replace_text(file, "new")
    replace_text(file.with_name("other"), "other")
    assert sorted(path.name for path in file.parent.iterdir()) == ["other", "report.html"]


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o755])
def test_a_file_keeps_its_rights(mode: int, file: Path) -> None:
    file.chmod(mode)
    replace_text(file, "new")
    assert (file.read_text(), stat.S_IMODE(file.stat().st_mode)) == ("new", mode)


def test_what_a_link_points_to_is_replaced_and_the_link_stays(file: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "elsewhere" / "link"
    link.symlink_to(file)
    replace_text(link, "new")
    assert link.is_symlink()
    assert file.read_text() == "new"


def test_one_who_reads_meanwhile_sees_the_old_text_or_the_new_one(file: Path) -> None:
    with file.open() as reader:
        replace_text(file, "new")
        assert reader.read() == "what was there"


FULL = """
import pathlib, resource, signal, sys
from hpo.common.atomic_files import replace_text
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    replace_text(pathlib.Path(sys.argv[1]), "x" * 2000)
except OSError as error:
    print(error.errno, error.filename)
"""


def test_a_disk_that_is_full_leaves_the_file_as_it_was(file: Path) -> None:
    """As full as a limit of the size of files makes it."""
    out = subprocess.run([sys.executable, "-c", FULL, str(file)], capture_output=True, text=True, check=True).stdout
    assert out == f"{errno.EFBIG} {file}\n"
    assert file.read_text() == "what was there"
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize(
    ("where", "number", "words"),
    [
        ("nowhere/report.html", errno.ENOENT, "No such file or directory"),
        ("file/below", errno.ENOTDIR, "Not a directory"),
    ],
)
def test_an_error_names_the_file_that_was_asked_for(where: str, number: int, words: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=words) as caught:
        replace_text(tmp_path / where, "new")
    assert (caught.value.errno, caught.value.filename) == (number, str(tmp_path / where))


def test_a_folder_is_no_place_for_text(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        replace_text(tmp_path, "new")
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_file_is_written_to(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    replace_text(pipe, "é\n")
    assert os.read(reader, 10) == "é\n".encode()
    os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)

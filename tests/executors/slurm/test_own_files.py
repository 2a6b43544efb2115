"""Files appear whole and once, and only this user's own are believed."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from hpo.executors.slurm.own_files import is_own_folder, publish, read, read_text, sync, unreadable

NOBODYS = 65534
"""The id of a user who is not this one."""


def only_root() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can make files of another user")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_is_published_is_there_and_nothing_else(tmp_path: Path) -> None:
    assert publish(tmp_path / "a", b"one\x00")
    assert (tmp_path / "a").read_bytes() == b"one\x00"
    assert (tmp_path / "a").stat().st_nlink == 1
    assert names(tmp_path) == ["a"]


def test_the_first_stays(tmp_path: Path) -> None:
    assert publish(tmp_path / "a", b"one")
    assert not publish(tmp_path / "a", b"two")
    assert read(tmp_path / "a") == b"one"
    assert names(tmp_path) == ["a"]


def test_of_many_one_is_the_first(tmp_path: Path) -> None:
    start, won = threading.Barrier(8), list[bytes]()

    def race(i: int) -> None:
        start.wait()
        if publish(tmp_path / "a", data := b"%d" % i * 10_000):
            won.append(data)

    threads = [threading.Thread(target=race, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert won == [read(tmp_path / "a")]
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize("reserved", [b" " * 100, b"", b" "])
def test_the_space_that_was_reserved_becomes_the_file(tmp_path: Path, reserved: bytes) -> None:
    reserve = tmp_path / "reserve"
    reserve.write_bytes(reserved)
    node = reserve.stat().st_ino
    assert publish(tmp_path / "a", b"some words", reserve)
    assert (tmp_path / "a").read_bytes() == b"some words", "without what was reserved beyond it"
    assert (tmp_path / "a").stat().st_ino == node
    assert names(tmp_path) == ["a"]


def test_a_reserve_that_is_not_there_is_none(tmp_path: Path) -> None:
    assert publish(tmp_path / "a", b"one", tmp_path / "reserve")
    assert names(tmp_path) == ["a"]


def test_a_try_that_failed_leaves_the_reserve_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    (tmp_path / "reserve").write_bytes(b" " * 100)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        for reserve in (None, tmp_path / "reserve"):
            with pytest.raises(OSError, match="No space left"):
                publish(tmp_path / "a", b"one", reserve)
    assert names(tmp_path) == ["reserve"]
    assert publish(tmp_path / "a", b"one", tmp_path / "reserve")


def test_a_link_that_the_server_made_although_it_says_no_is_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file server that is asked twice, because its answer was lost, finds what it has made itself."""
    link = os.link

    def twice(new: Path, path: Path) -> None:
        link(new, path)
        link(new, path)

    monkeypatch.setattr(os, "link", twice)
    assert publish(tmp_path / "a", b"one")
    assert not publish(tmp_path / "a", b"two")
    assert read(tmp_path / "a") == b"one"


def test_file_and_folder_are_on_disk_before_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[tuple[str, bool]] = []

    def note(descriptor: int) -> None:
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        synced.append((path, (tmp_path / "a").exists()))

    monkeypatch.setattr(os, "fsync", note)
    publish(tmp_path / "a", b"one")
    (file, was_there), folder = synced
    assert (Path(file).parent, was_there) == (tmp_path, False), "the data come first"
    assert folder == (str(tmp_path), True)
    before = len(os.listdir("/proc/self/fd"))
    sync(tmp_path)
    assert synced[-1][0] == str(tmp_path)
    assert len(os.listdir("/proc/self/fd")) == before, "nothing is left open"


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "planted").write_text("words")
    (tmp_path / "link").symlink_to(tmp_path / "planted")
    with pytest.raises(ValueError, match=r"^/.*/link cannot be read: it is a link$"):
        read(tmp_path / "link")


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    before = len(os.listdir("/proc/self/fd"))
    for name in ("pipe", "folder"):
        with pytest.raises(ValueError, match=rf"{name} cannot be read: it is no file of this user$"):
            read(tmp_path / name)
    assert len(os.listdir("/proc/self/fd")) == before, "nothing is left open"


def test_the_file_of_another_is_refused(tmp_path: Path) -> None:
    only_root()
    (tmp_path / "a").write_text("words")
    os.chown(tmp_path / "a", NOBODYS, NOBODYS)
    for reading in (read, read_text):
        with pytest.raises(ValueError, match=r"a cannot be read: it is no file of this user$"):
            reading(tmp_path / "a")


def test_what_is_not_there_is_no_text_and_no_file(tmp_path: Path) -> None:
    assert read_text(tmp_path / "a") == ""
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "a")
    (tmp_path / "a").write_bytes(b"half \xff a character")
    assert read_text(tmp_path / "a") == "half \ufffd a character"


@pytest.mark.parametrize(
    ("mode", "is_own"), [(0o700, True), (0o755, True), (0o711, True), (0o720, False), (0o702, False), (0o777, False)]
)
def test_a_folder_into_which_others_may_write_is_not_ones_own(tmp_path: Path, mode: int, is_own: bool) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder").chmod(mode)
    assert is_own_folder(tmp_path / "folder") == is_own


def test_files_links_and_what_belongs_to_others_are_no_folders_of_ones_own(tmp_path: Path) -> None:
    for name in ("folder", "others"):
        (tmp_path / name).mkdir(mode=0o700)
    (tmp_path / "file").touch(mode=0o600)
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    assert [is_own_folder(tmp_path / name) for name in ("folder", "file", "link")] == [True, False, False]
    only_root()
    os.chown(tmp_path / "others", NOBODYS, NOBODYS)
    assert not is_own_folder(tmp_path / "others")


def test_the_error_names_the_file_and_why() -> None:
    assert str(unreadable(Path("pool/ended/3"), "it is a link")) == "pool/ended/3 cannot be read: it is a link"

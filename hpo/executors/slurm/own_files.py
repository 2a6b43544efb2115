"""Files that appear whole, and are believed only if they are this user's own."""

from __future__ import annotations

import errno
import os
import stat
import uuid
from pathlib import Path


def unreadable(path: Path, why: object) -> ValueError:
    """The error for a file that is there and does not hold what it should, or is not believed."""
    return ValueError(f"{path} cannot be read: {why}")


def publish(path: Path, data: bytes, reserve: Path | None = None) -> bool:
    """Let the file appear, whole and on disk; False if there is one already.

    Where there is a `reserve`, a file beside it of at least this size, its space is used: that works on a full disk.
    """
    new = path.with_name(f".{uuid.uuid4().hex}")
    is_reserved = reserve is not None and reserve.exists()
    if is_reserved:
        assert reserve is not None
        new = reserve
    try:
        with new.open("r+b" if is_reserved else "xb") as file:
            file.write(data)
            file.truncate()
            file.flush()
            os.fsync(file.fileno())
        is_first = _link(new, path)
    except OSError:
        if not is_reserved:
            new.unlink(missing_ok=True)
        raise
    new.unlink(missing_ok=True)
    if is_first:
        sync(path.parent)
    return is_first


def _link(new: Path, path: Path) -> bool:
    try:
        os.link(new, path)  # unlike a rename it replaces nothing
    except FileExistsError:
        return new.stat().st_nlink > 1  # ours, and the file server was asked twice
    return True


def sync(folder: Path) -> None:
    """Let what stands in the folder be on disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read(path: Path) -> bytes:
    """What stands in a file of this user. Raises OSError, and ValueError for a link or the file of another."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise unreadable(path, "it is a link") from error
        raise
    try:
        info = os.fstat(descriptor)
        if not stat.S_ISREG(info.st_mode) or info.st_uid != os.geteuid():
            raise unreadable(path, "it is no file of this user")
        with open(descriptor, "rb", closefd=False) as file:
            return file.read()
    finally:
        os.close(descriptor)


def read_text(path: Path) -> str:
    """The same as text; empty where there is no file."""
    try:
        return read(path).decode(errors="replace")
    except FileNotFoundError:
        return ""


def is_own_folder(path: Path) -> bool:
    """Whether it is a folder of this user's, no link, that no other may write into."""
    info = path.lstat()
    return stat.S_ISDIR(info.st_mode) and info.st_uid == os.geteuid() and not info.st_mode & 0o022

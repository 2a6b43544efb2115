"""Network file systems are told from local ones."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from hpo.errors import StorageError
from hpo.storage import SqlStorage, sqlite
from hpo.storage.network_file_systems import network_file_system, read_mountinfo

MOUNTINFO = r"""
22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw
25 22 0:23 / /dev/shm rw,relatime shared:3 - tmpfs tmpfs rw
40 22 0:40 / /home rw,relatime shared:20 master:1 - nfs4 filer:/home rw,vers=4.2
41 40 8:2 / /home/me/local rw - xfs /dev/sdb1 rw
42 22 0:42 / /mnt/with\040space\011tab rw - cifs //host/share rw
43 22 0:43 / /mnt/ssh rw - fuse.sshfs me@host:/ rw
44 22 0:44 / /mnt/ntfs rw - fuseblk /dev/sdc1 rw
45 22 0:45 / /mnt/bucket rw - fuse.gcsfuse bucket rw
46 22 0:46 / /mnt/snap rw - fuse.squashfuse image ro
47 22 0:47 / /scratch rw - lustre mgs:/scratch rw
48 22 0:48 / /over rw - nfs filer:/over rw
49 22 0:49 / /over rw - ext4 /dev/sdd1 rw
a line of some later kernel
"""


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/hpo.db", None),
        ("/dev/shm/hpo.db", None),
        ("/home/me/hpo.db", "nfs4"),
        ("/home", "nfs4"),
        ("/homestead/hpo.db", None),
        ("/home/me/local/hpo.db", None),
        ("/mnt/with space\ttab/a/b/hpo.db", "cifs"),
        ("/mnt/ssh/hpo.db", "fuse.sshfs"),
        ("/mnt/ntfs/hpo.db", None),
        ("/mnt/bucket/hpo.db", "fuse.gcsfuse"),
        ("/mnt/snap/hpo.db", None),
        ("/scratch/hpo.db", "lustre"),
        ("/over/hpo.db", None),
    ],
)
def test_the_deepest_mount_decides(path: str, expected: str | None) -> None:
    assert network_file_system(PurePosixPath(path), MOUNTINFO) == expected


def test_without_mountinfo_nothing_is_refused() -> None:
    assert network_file_system(PurePosixPath("/hpo.db"), "") is None


def test_this_machine_tells_its_mounts() -> None:
    info = read_mountinfo()
    if Path("/proc/self/mountinfo").exists():
        assert " - " in info
    else:
        assert info == ""


def test_a_file_on_a_network_is_refused_and_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = tmp_path / "home"
    real.mkdir()
    (tmp_path / "link").symlink_to(real)
    monkeypatch.setattr(sqlite, "read_mountinfo", lambda: f"40 22 0:40 / {real} rw - nfs4 filer:/home rw\n")
    with pytest.raises(StorageError) as caught:
        SqlStorage(tmp_path / "link" / "hpo.db")
    assert str(caught.value) == (
        f"{real}/hpo.db is on a network file system (nfs4), where SQLite loses data. Give a path on a local disk "
        "(SQLite) or the URL of a server: postgresql+psycopg://user@host/database"
    )
    assert list(real.iterdir()) == []
    SqlStorage(tmp_path / "hpo.db").close()

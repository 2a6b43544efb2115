"""Which file system holds a path, and whether several machines may share it."""

from __future__ import annotations

import re
from pathlib import Path, PurePath

# fmt: off
SHARED = frozenset({
    "acfs", "afpfs", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "fhgfs", "gfs", "gfs2", "glusterfs", "gpfs",
    "juicefs", "lizardfs", "lustre", "mfs", "moosefs", "ncpfs", "nfs", "nfs3", "nfs4", "ocfs2", "orangefs", "panfs",
    "pvfs2", "quobyte", "s3fs", "smb2", "smb3", "smbfs", "sshfs", "wekafs",
})
# fmt: on
"""File systems that several machines mount at once, as the kernel names them, or FUSE after `fuse.`."""
SHARED_BY_FUSE = SHARED | {"blobfuse", "blobfuse2", "gcsfuse", "goofys", "mount-s3", "rclone", "seaweedfs"}


def read_mountinfo() -> str:
    """This process's mounts, or nothing where the system does not tell (only Linux does)."""
    try:
        return Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        return ""


def network_file_system(path: PurePath, mountinfo: str) -> str | None:
    r"""The type of the file system that holds the absolute `path`, if it is one of the network, else None.

    `mountinfo` has lines `36 35 98:0 /root /mount/point options [tags] - type source options` with spaces written as
    `\040`; of two mounts on one point the later hides the earlier.
    """
    kind, depth = "", -1
    for line in mountinfo.splitlines():
        before, separator, after = line.partition(" - ")
        if not separator:
            continue
        point = PurePath(_unescaped(before.split(" ")[4]))
        if path.is_relative_to(point) and len(point.parts) >= depth:
            kind, depth = after.split(" ")[0], len(point.parts)
    family, _, name = kind.partition(".")
    shared = (name in SHARED_BY_FUSE) if family == "fuse" else (kind in SHARED)
    return kind if shared else None


def _unescaped(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)

"""The files behind the standard output and the standard error of a task, and what they are called."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import quote

from hpo.executors.call import tail

LONGEST = 200
"""Bytes of a name; file systems allow 255 with the ending."""
_END = 24
"""Bytes kept of the end of a longer one, where ids have their numbers."""


@dataclass(frozen=True)
class Output:
    """Where a process writes: the files behind its standard output and standard error."""

    out: Path
    err: Path

    @classmethod
    def of(cls, folder: Path, id: str) -> Self:
        """The log files of the task `id`, in `folder`."""
        name = file_name(id)
        return cls(folder / f"{name}.out", folder / f"{name}.err")

    def create(self) -> None:
        """Empty the files; raises OSError where they cannot be written."""
        for path in (self.out, self.err):
            path.write_bytes(b"")

    def redirect(self) -> None:
        """Write to the files from now on."""
        for path, number in ((self.out, 1), (self.err, 2)):
            opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            os.dup2(opened, number)
            os.close(opened)

    def tail(self, most: int = 1 << 16) -> str:
        """The last lines of standard error, or of standard output if that is empty; nothing where they cannot be read."""
        for path in (self.err, self.out):
            with suppress(OSError):
                if not path.is_file():  # to open a pipe that was put there would wait for ever
                    continue
                with path.open("rb") as file:
                    file.seek(max(0, path.stat().st_size - most))
                    if text := tail(file.read(most).decode(errors="replace")):
                        return text
        return ""


def file_name(id: str) -> str:
    """An id as the name of a file, without its ending: percent-quoted; where that is long, with a hash in its middle."""
    name = quote(id, safe="", errors="surrogatepass")
    if len(name) <= LONGEST:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:16]
    return f"{name[: LONGEST - len(digest) - _END - 2]}-{digest}-{name[-_END:]}"

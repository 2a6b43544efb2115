"""A PostgreSQL server of a test's own, by `postgres.sh`."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SCRIPT = Path(__file__).with_name("postgres.sh")


def free_port() -> int:
    """One that nobody listens to now."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


class Server:
    """A server that can be killed and started again on the same data."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()

    def __call__(self, command: str, *more: str) -> str:
        arguments = ["bash", str(SCRIPT), command, str(self.folder), str(self.port), *more]
        return subprocess.run(arguments, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


@contextmanager
def own_server() -> Iterator[Server]:
    """A server that is not up yet; gone at the end."""
    folder = Path(tempfile.mkdtemp(prefix="hpo-postgres-", dir="/tmp"))  # the server's user must reach it
    server = Server(folder)
    try:
        yield server
    finally:
        server("down")
        shutil.rmtree(folder)

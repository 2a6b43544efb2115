"""A client of a shared study: asks and tells, and keeps a ledger of what it sent and of what was acknowledged.

    python client.py URL LEDGER COUNT

Each line of the state is on disk before the next step: `asked N`, `sent N Y`, `acked N`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import hpo


def main(url: str, ledger: str, count: int) -> None:
    """Run `count` trials, one after the other."""
    study = hpo.open_study("shared", storage=url)
    with Path(ledger).open("a") as file:

        def write(*words: object) -> None:
            file.write(" ".join(map(str, words)) + "\n")
            file.flush()
            os.fsync(file.fileno())

        for _ in range(count):
            trial = study.ask(owner=f"client {os.getpid()}")
            write("asked", trial.number)
            y = trial.params["x"] ** 2 + trial.number
            write("sent", trial.number, repr(y))
            study.tell(trial, {"y": y})
            write("acked", trial.number)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))

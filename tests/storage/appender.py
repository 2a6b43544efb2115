"""A writer process: `appender.py DATABASE EVENTS_PER_TRANSACTION TRANSACTIONS`.

Waits for a line on standard input, appends, and prints the last sequence number of each transaction once it has ended.
"""

from __future__ import annotations

import os
import sys

from hpo.storage import SqlStorage
from hpo.trials.events import Draft


def main(path: str, size: int, transactions: int) -> None:
    say("ready")
    sys.stdin.readline()
    storage = SqlStorage(path)
    study = storage.create("x", {}, {}).id
    for i in range(transactions):
        with storage.transaction(study) as log:
            written = log.append([Draft("noted", None, {"process": os.getpid(), "i": i})] * size)
        say(str(written[-1].seq))
    storage.close()


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))

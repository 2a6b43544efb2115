"""Result lines: JSON, one a line, each with what it needs to be believed (commit, machine, versions, date)."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.process import ROOT

RESULTS = ROOT / "benchmarks" / "results"

Record = dict[str, Any]


def read(path: Path) -> list[Record]:
    """The lines of a file, none when there is no file; without a last line that a crash cut short."""
    if not path.exists():
        return []
    text = path.read_text()
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]


def append(path: Path, record: Mapping[str, Any]) -> None:
    """Add one line, whole and on disk when this returns, in the place of a last line that a crash cut short."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        file.seek(0)
        whole = file.read().rfind(b"\n") + 1
        file.truncate(whole)
        file.write(json.dumps(record).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def provenance() -> Record:
    """Where and from what a result comes: commit (`+` when the code differs from it), machine, date."""
    return {
        "commit": commit(),
        "machine": machine(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }


def commit() -> str:
    """Short hash of the checked-out commit, with a `+` when hpo/ or benchmarks/*.py hold changes beyond it."""
    head = _git("rev-parse", "--short=12", "HEAD")
    changed = _git("status", "--porcelain", "--", "hpo", "benchmarks/*.py")
    return f"{head}+" if changed else head


@cache
def machine() -> str:
    """Processor, its number of cores, and operating system; no name of a host."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    return f"{model}, {os.cpu_count()} cores, {platform.system()}"


def seconds(values: Iterable[float]) -> list[float]:
    """Durations to a tenth of a millisecond: what a result line keeps."""
    return [round(value, 4) for value in values]


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", "--no-optional-locks", *arguments], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()

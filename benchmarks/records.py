"""Result files: one JSON object a line, and before them, whenever it changes, where they come from.

    {"kind": "origin", "id": 1, "commit": "1a2b3c", "machine": "...", "date": "2026-11-24", "versions": {"hpo": "0.1.0"}}
    {"kind": "run", "origin": 1, "contender": "hpo", "mode": "q1", "problem": "branin", "seed": 0, ...}

One file per contender and mode. Lines are only ever added; of two runs of the same cell, the later one counts. `pack`
moves lines into `NAME.jsonl.gz`, where they need a tenth; new ones go to `NAME.jsonl` beside it, and both are read as one.
"""

from __future__ import annotations

import fcntl
import gzip
import json
import os
import platform
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.problems.base import BenchProblem

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"

Record = dict[str, Any]
Cell = tuple[str, str, str, int]
"""(contender, mode, problem, seed)."""


@dataclass(frozen=True)
class Run:
    """One contender on one problem with one seed, in one mode: all that scores need.

    Attributes:
        definition: fingerprint of the problem, so that results of an earlier version of it do not count.
        total: evaluations it was allowed.    evaluations: those that it used.
        curve: the normalized loss, as (evaluation, loss) where it changes; it is 1 before the first.
        clock: the same against the simulated clock, (seconds, loss); empty where the mode has no clock.
        simulated: seconds on that clock until the last evaluation ended; 0 where the mode has no clock.
        first_feasible: the evaluation that was the first feasible one, None if none was.
        failed: evaluations that failed.    repeated: those whose params had failed before, by their own fault.
        ask_cpu, ask_median, tell_cpu: CPU seconds of all asks, of the median ask, of all tells.
        wall: elapsed seconds of the whole run, evaluations included.
        died: why the run ended early; empty if it did not. What it had found until then counts.
    """

    contender: str
    mode: str
    problem: str
    definition: str
    seed: int
    total: int
    evaluations: int
    curve: tuple[tuple[int, float], ...]
    first_feasible: int | None
    failed: int
    repeated: int
    ask_cpu: float
    ask_median: float
    tell_cpu: float
    wall: float
    clock: tuple[tuple[float, float], ...] = ()
    simulated: float = 0.0
    died: str = ""

    @property
    def cell(self) -> Cell:
        """What this run is a result for."""
        return self.contender, self.mode, self.problem, self.seed


def definition(bench: BenchProblem) -> str:
    """Fingerprint of what a run's loss depends on: space, metrics, best, typical and reference value, edition."""
    import hashlib

    numbers = ", ".join(f"{x:.6g}" for x in (bench.best, bench.typical, *bench.reference))
    edition = f" {bench.edition}" if bench.edition > 1 else ""
    return hashlib.sha256(f"{bench.problem.hash} {numbers}{edition}".encode()).hexdigest()[:8]


def path_of(results: Path, contender: str, mode: str) -> Path:
    """The file of a contender in a mode. Delete it to have those runs again."""
    return results / f"{contender}.{mode}.jsonl"


def append_run(path: Path, origin: Mapping[str, Any], run: Run) -> None:
    """Add one run below its origin, which is written first if it is not the file's last one."""
    line = {key: value for key, value in asdict(run).items() if value not in ((), "", None)}
    append(path, origin, {"kind": "run", **line})


def append(path: Path, origin: Mapping[str, Any], line: Mapping[str, Any]) -> None:
    """Add one line of any kind, with the id of its origin. Whole and on disk when this returns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # another command may be at work on the same file
        file.seek(0)
        text = file.read()
        whole = text.rfind(b"\n") + 1
        file.truncate(whole)  # a last line that a crash cut short
        rows = [*packed(path).encode().splitlines(), *text[:whole].splitlines()]
        origins = [json.loads(row) for row in rows if row.startswith(b'{"kind": "origin"')]
        identity = origins[-1]["id"] if origins else 0
        if not origins or any(origins[-1].get(key) != value for key, value in origin.items()):
            identity += 1
            _write(file.fileno(), {"kind": "origin", "id": identity, **origin})
        _write(file.fileno(), {"kind": line["kind"], "origin": identity, **line})
        os.fsync(file.fileno())


def read(path: Path) -> list[Record]:
    """The lines of a file, none when there is no file; without a last line that a crash cut short."""
    text = path.read_text() if path.exists() else ""
    return [json.loads(line) for line in (packed(path) + text[: text.rfind("\n") + 1]).splitlines()]


def packed(path: Path) -> str:
    """The lines of a file that were packed; none when there are none."""
    return gzip.decompress(pack_of(path).read_bytes()).decode() if pack_of(path).exists() else ""


def pack_of(path: Path) -> Path:
    """Where the packed lines of a file are."""
    return path.with_name(f"{path.name}.gz")


def pack(folder: Path) -> None:
    """Pack all files of lines in and below a folder. The same lines make the same bytes."""
    for path in sorted(folder.rglob("*.jsonl")):
        text = "".join(json.dumps(line) + "\n" for line in read(path))
        pack_of(path).write_bytes(gzip.compress(text.encode(), mtime=0))
        path.unlink()


def discard(path: Path) -> None:
    """Delete the lines of a file, packed or not."""
    path.unlink(missing_ok=True)
    pack_of(path).unlink(missing_ok=True)


def files(results: Path) -> list[Path]:
    """The files of runs in a folder, by their names before they were packed."""
    return sorted({path.with_name(path.name.removesuffix(".gz")) for path in results.glob("*.*.jsonl*")})


def runs(results: Path, problems: Mapping[str, BenchProblem]) -> list[Run]:
    """The runs in all files of a folder; of each cell the last, and only those of the problems as they are now."""
    latest: dict[Cell, Run] = {}
    fingerprints = {name: definition(bench) for name, bench in problems.items()}
    for path in files(results):
        for line in read(path):
            if line["kind"] == "run" and line["definition"] == fingerprints.get(line["problem"]):
                run = _run(line)
                latest[run.cell] = run
    return list(latest.values())


def origins(results: Path) -> Iterator[tuple[str, Record]]:
    """(contender, origin) of every origin in the run files of a folder that has runs."""
    for path in files(results):
        lines = read(path)
        used = {line["origin"] for line in lines if line["kind"] == "run"}
        for line in lines:
            if line["kind"] == "origin" and line["id"] in used:
                yield path.name.split(".")[0], line


def origin(versions: Mapping[str, str]) -> Record:
    """Where and from what a result comes: commit (`+` when the code differs from it), machine, date, versions."""
    return {
        "commit": commit(),
        "machine": machine(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "versions": dict(versions),
    }


def commit() -> str:
    """Short hash of the checked-out commit, with a `+` when hpo/ or benchmarks/*.py hold changes beyond it.

    Outside a git checkout `unknown`.
    """
    try:
        head = _git("rev-parse", "--short=12", "HEAD")
        changed = _git("status", "--porcelain", "--", "hpo", "benchmarks/*.py")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
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


def steps(values: Iterable[float]) -> tuple[tuple[int, float], ...]:
    """A curve by evaluation, counted from 1, as the evaluations where it changes; 1 is what it starts from."""
    out: list[tuple[int, float]] = []
    last = 1.0
    for evaluation, value in enumerate(values, start=1):
        short = rounded(value)
        if short != last:
            out.append((evaluation, short))
            last = short
    return tuple(out)


def rounded(value: float) -> float:
    """Four significant digits: what a result line keeps."""
    return float(f"{value:.4g}")


def _run(line: Record) -> Run:
    fields = {key: value for key, value in line.items() if key not in ("kind", "origin")}
    fields["curve"] = tuple((int(at), float(loss)) for at, loss in fields.get("curve", ()))
    fields["clock"] = tuple((float(at), float(loss)) for at, loss in fields.get("clock", ()))
    return Run(**{"first_feasible": None, **fields})


def _write(file: int, line: Mapping[str, Any]) -> None:
    os.write(file, json.dumps(line).encode() + b"\n")


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", "--no-optional-locks", *arguments], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()

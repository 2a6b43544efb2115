"""`make soak`: the fault tests at large counts, one after the other, for hours.

Every test has a line of progress, and in the end there is a summary. What has passed at this commit is not run again, so a
soak that was interrupted goes on; `.soak` holds what was run and the output of each test. A PostgreSQL server is started,
unless HPO_TEST_PG names one. The counts may be given as in the tests: HPO_KILLS=100 make soak.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
KEPT = ROOT / ".soak"
SERVER = ROOT / "tests" / "servers" / "postgres.sh"
COUNTS = {
    "HPO_KILLS": "2000",
    "HPO_WORKER_KILLS": "2000",
    "HPO_SERVER_KILLS": "200",
    "HPO_MIGRATION_KILLS": "600",
    "HPO_ENGINE_KILLS": "60",
    "HPO_INTERRUPTS": "0",
    "HPO_MONEY_RUNS": "20",
    "HPO_SLURM_TASKS": "1000",
    "HPO_SLURM_AT_ONCE": "256",
    "HPO_BAD_MACHINES": "2000",
    "HPO_SIMULATED_WORKERS": "5000",
    "HPO_OUTAGE_SECONDS": "300",
    "HPO_PARTITIONS": "50",
    "HPO_STOPPED": "20",
    "HPO_ASKERS": "100",
    "HPO_RANDOM": "1",
}

ELSEWHERE = ("tests/running/test_machines.py", "tests/running/test_simulated_runs.py")
"""Files with counts of their own that are no tests of real faults."""


def main() -> int:
    """Run what has not passed yet; 0 if all has in the end."""
    KEPT.mkdir(exist_ok=True)
    done_file = KEPT / f"{_commit()}.jsonl"
    lines = done_file.read_text().splitlines() if done_file.exists() else []
    done = {line["test"]: line for line in map(json.loads, lines) if line["passed"]}
    with _server():
        tests = _tests()
        for i, test in enumerate(tests, start=1):
            if test in done:
                _say(f"{i}/{len(tests)} {test}: passed before, in {done[test]['seconds']:.0f} s")
                continue
            _say(f"{i}/{len(tests)} {test} ...")
            result = _run(test)
            with done_file.open("a") as file:
                file.write(json.dumps(result) + "\n")
            _say(f"{i}/{len(tests)} {test}: {result['words']}, {result['seconds']:.0f} s")
            if result["passed"]:
                done[test] = result
    failed = [test for test in tests if test not in done]
    _say(
        f"{len(tests) - len(failed)} of {len(tests)} passed, in {sum(line['seconds'] for line in done.values()):.0f} s"
    )
    for test in failed:
        _say(f"failed or skipped: {test}; see {KEPT / _name(test)}")
    return 1 if failed else 0


def _tests() -> list[str]:
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "tests/faults", *ELSEWHERE]
    collected = subprocess.run(command, cwd=ROOT, env=_environment(), capture_output=True, text=True, check=True)
    return [line for line in collected.stdout.splitlines() if "::" in line]


def _run(test: str) -> dict[str, object]:
    begun = time.monotonic()
    options = ["-q", "-rs", "-o", "timeout=0", "-o", "log_file_level=INFO", "-o", f"log_file={KEPT / _name(test)}.log"]
    command = [sys.executable, "-m", "pytest", *options, test]
    ended = subprocess.run(
        command, cwd=ROOT, env=_environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    (KEPT / _name(test)).write_text(ended.stdout)
    words = ended.stdout.strip().rsplit("\n", 1)[-1].strip("= ")
    passed = ended.returncode == 0 and " skipped" not in words
    return {"test": test, "passed": passed, "words": words, "seconds": time.monotonic() - begun}


@contextmanager
def _server() -> Iterator[None]:
    if os.environ.get("HPO_TEST_PG"):
        yield
        return
    with tempfile.TemporaryDirectory(prefix="hpo-postgres-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        url = subprocess.run(["bash", str(SERVER), "up", folder], stdout=subprocess.PIPE, text=True, check=True).stdout
        os.environ["HPO_TEST_PG"] = url.strip()
        try:
            yield
        finally:
            subprocess.run(["bash", str(SERVER), "down", folder], check=True)


def _environment() -> dict[str, str]:
    return {**COUNTS, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", **os.environ}


def _commit() -> str:
    named = subprocess.run(
        ["git", "rev-parse", "--short=12", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return named.stdout.strip() or "unknown"


def _name(test: str) -> str:
    return re.sub(r"\W+", "-", test.removeprefix("tests/faults/"))


def _say(line: str) -> None:
    sys.stdout.write(f"{time.strftime('%H:%M:%S')} {line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())

"""Programs that stand for Slurm's on this machine: jobs run here, on nodes that exist by name only."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hpo.executors import Outcome, Pool, Slurm, Task

ECHO = """echo '{{"y": '$1'}}'"""

SBATCH = """
echo "$@" >> calls
cat > script
[ ! -e mood ] || . ./mood
name=; tasks=0-0; out=/dev/null
for option; do
    case $option in
        --job-name=*) name=${option#*=} ;;
        --array=*) tasks=${option#*=} ;;
        --output=*) out=${option#*=} ;;
        --test-only) exit 0 ;;
    esac
done
id=$(($(cat last) + 1))
echo $id > last
mv script script-$id
for i in $(seq "${tasks%-*}" "${tasks#*-}"); do
    file=$(echo "$out" | sed "s/%A/$id/; s/%a/$i/")
    echo "$name|$id|$i|${state:-RUNNING}|${node-n1}|None" > jobs/$id-$i
    [ -z "$state" ] || continue
    setsid ./job "$name" $id $i "${node-n1}" "$file" < /dev/null > /dev/null 2>&1 &
done
echo $id
"""
JOB = """
export SLURM_ARRAY_JOB_ID=$2 SLURM_ARRAY_TASK_ID=$3 SLURMD_NODENAME=$4
if sh script-$2 >> "$5" 2>&1; then ended=COMPLETED; else ended=FAILED; fi
echo "$1|$2|$3|$ended|$4|None" > jobs/$2-$3
"""
SQUEUE = "cat jobs/* 2>/dev/null; true"
OTHER = 'echo "$(basename $0) $*" >> calls'


class FakeSlurm:
    """In a folder that is to be on the PATH."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "jobs").mkdir(parents=True)
        (folder / "last").write_text("0")
        programs = {"sbatch": SBATCH, "job": JOB, "squeue": SQUEUE, "scancel": OTHER, "scontrol": OTHER}
        for program, script in programs.items():
            self.write(program, f'cd "$(dirname "$0")"\n{script}')

    def write(self, program: str, script: str) -> None:
        """Let the program be another."""
        path = self.folder / program
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def mood(self, script: str) -> None:
        """What sbatch does first from now on."""
        new = self.folder / "new-mood"
        new.write_text(script)
        new.replace(self.folder / "mood")

    def calls(self) -> list[str]:
        """Arguments of all calls of sbatch, and whole calls of scancel and scontrol."""
        path = self.folder / "calls"
        return path.read_text().splitlines() if path.exists() else []


def start(tmp_path: Path, script: str = ECHO, slots: int = 4, **settings: Any) -> Pool:
    """A pool of commands."""
    return Slurm(tmp_path / "shared", slots, command=["sh", "-c", script, "sh", "{x}"], grace=0.5, **settings).start()


def submit(pool: Pool, n: int = 1, first: int = 0) -> None:
    """Tasks w0, w1 and so on."""
    pool.submit(*(Task(id=f"w{i}", payload={"x": i}) for i in range(first, first + n)))


def ended(pool: Pool, n: int = 1) -> list[Outcome]:
    """The next `n` outcomes, by their ids."""
    outcomes: list[Outcome] = []
    end = time.monotonic() + 120.0
    while len(outcomes) < n:
        assert time.monotonic() < end, f"only {outcomes}"
        outcomes += pool.wait(1.0)
    return sorted(outcomes, key=lambda outcome: outcome.id)


def until(holds: Callable[[], object]) -> None:
    """Look until it holds; the deadline detects a hang."""
    end = time.monotonic() + 120.0
    while not holds():
        assert time.monotonic() < end, "it does not come"
        time.sleep(0.05)

"""What is said to Slurm and what it says: sbatch, squeue and scancel, and how to read their words.

Accounting (sacct) is not needed. Every call ends in time; an answer that does not come is no news. ConnectionError says
so: what was asked may have been done or not.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hpo.errors import ExecutorError
from hpo.executors.base import Kind

PATIENCE = 15.0
"""Seconds a call may take: with a dead controller, Slurm's programs go on trying for longer."""

AWAY = ("unable to contact", "connect", "communicat", "timed out", "temporar", "transmi", "receive", "maxsubmit")
"""Words in errors that may pass: the controller is away or has enough for now. Any other error is a refusal."""

ALIVE = {"PENDING", "CONFIGURING", "RUNNING", "SUSPENDED", "REQUEUED", "RESIZING", "SIGNALING", "STAGE_OUT", "STOPPED"}
"""States of a job that may still bring a result. COMPLETING is none: its processes are gone, or their node is."""

KINDS: Mapping[str, Kind] = {"TIMEOUT": "timeout", "DEADLINE": "timeout", "OUT_OF_MEMORY": "oom"}
"""States that say why a job was ended; all others are nobody's fault."""

FORMAT = "%j|%F|%K|%T|%r"


@dataclass(frozen=True)
class Sighting:
    """One task of one array, as squeue shows it."""

    name: str
    """Of the array."""
    job: str
    """Slurm's id of the task: 12_1."""
    index: int
    state: str
    reason: str

    @property
    def is_alive(self) -> bool:
        """Whether it will bring a result, as far as Slurm knows. What is held after a requeue stays so for ever."""
        reason = self.reason.lower()
        return self.state in ALIVE and not ("held" in reason and "requeue" in reason)


Sightings = dict[tuple[str, int], list[Sighting]]
"""All sightings of a task, by the name of its array and its index."""


@dataclass(frozen=True)
class Loss:
    """Why no result is to be expected."""

    kind: Kind
    message: str


def check_programs() -> None:
    """Raise ExecutorError where Slurm's programs are missing."""
    missing = [program for program in ("sbatch", "squeue", "scancel") if shutil.which(program) is None]
    if missing:
        raise ExecutorError(
            f"Slurm's programs are not on this machine's PATH: {', '.join(missing)}. Run this on a login node of the"
            " cluster, or use Processes here"
        )


def submit(name: str, count: int, options: Sequence[str], script: str) -> None:
    """Hand over an array of `count` tasks. Raises ConnectionError, or ExecutorError if refused."""
    _call("sbatch", *options, f"--job-name={name}", f"--array=0-{count - 1}", "--parsable", text=script)


def look() -> Sightings:
    """All of this user's jobs that Slurm knows, ended a while ago or not, by name and index. Raises ConnectionError."""
    seen: defaultdict[tuple[str, int], list[Sighting]] = defaultdict(list)
    try:
        lines = _call("squeue", "--me", "--noheader", "--array", "--states=all", f"--format={FORMAT}").splitlines()
    except ExecutorError as error:
        raise ConnectionError(str(error)) from error
    for line in lines:
        fields = line.split("|")
        if len(fields) == 5 and fields[2].isdecimal():
            name, array, index, state, reason = fields
            seen[name, int(index)].append(Sighting(name, f"{array}_{index}", int(index), state, reason))
    return seen


def cancel(jobs: Sequence[str]) -> None:
    """End these. Raises ConnectionError."""
    try:
        for begin in range(0, len(jobs), 1000):
            _call("scancel", *jobs[begin : begin + 1000])
    except ExecutorError as error:  # one has ended meanwhile
        raise ConnectionError(str(error)) from error


def judge(sightings: Sequence[Sighting]) -> Loss | None:
    """Why no result is to be expected of a task that Slurm shows so; None while one is alive."""
    if any(sighting.is_alive for sighting in sightings):
        return None
    if not sightings:
        return Loss("infra", "Slurm does not know its job any more")
    last = sightings[-1]
    kind = KINDS.get(last.state, "infra")
    reason = "" if last.reason in ("", "None") else f", {last.reason}"
    return Loss(kind, f"Slurm says of its job {last.job}: {last.state}{reason}")


def _call(*command: str, text: str = "") -> str:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("SQUEUE_", "SCANCEL_"))}
    try:
        done = subprocess.run(
            command,
            input=text,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PATIENCE,
            env=env,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ConnectionError(f"{command[0]} did not answer in {PATIENCE:g} s") from error
    except OSError as error:  # no process to be had; a file system that is away
        raise ConnectionError(f"{command[0]} could not be called: {error}") from error
    if done.returncode == 0:
        return done.stdout
    said = " ".join((done.stderr or done.stdout).split()) or f"{command[0]} ended with exit code {done.returncode}"
    if done.returncode < 0 or any(word in said.lower() for word in AWAY):
        raise ConnectionError(said)
    raise ExecutorError(f"Slurm refuses: {said}")

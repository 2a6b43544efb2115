"""Commands for Slurm and their answers: the arguments of sbatch, squeue and scancel, and how to read their output.

Accounting (sacct) is not needed. `Programs` makes the calls; where no answer comes, they raise
ConnectionError: what was asked may have been done or not.
"""

from __future__ import annotations

import re
import shutil
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise

from hpo.errors import ExecutorError
from hpo.executors.base import Kind
from hpo.executors.slurm.programs import Programs

LIMITED = re.compile(r"accounting/qos policy|\(inactive or drain\)|busy|licenses", re.IGNORECASE)
"""A refusal that may end by itself: hours are used up, a partition is closed."""
TOO_LARGE = re.compile("submitjob|maxsubmit|job array", re.IGNORECASE)
FOR_EVER = re.compile("perjob", re.IGNORECASE)
"""A limit of each job, which this one breaks."""

ALIVE = {"PENDING", "CONFIGURING", "RUNNING", "SUSPENDED", "REQUEUED", "RESIZING", "SIGNALING", "STAGE_OUT", "STOPPED"}
"""States of a job that may still bring a result. COMPLETING is none: its processes are gone, or their node is."""

KINDS: Mapping[str, Kind] = {"TIMEOUT": "timeout", "DEADLINE": "timeout", "OUT_OF_MEMORY": "oom"}
"""States that say why a job was ended; all others are nobody's fault."""

HELD = re.compile("held.*requeue|requeue.*held|hold.*requeue", re.IGNORECASE)
"""Reasons of what waits after a requeue, and stays so for ever."""

BLAMELESS = {"CANCELLED", "PREEMPTED", "REVOKED", "TIMEOUT", "DEADLINE"}
"""States of lost jobs that say nothing against their node."""

FORMAT = "%j|%F|%K|%T|%B|%r"


@dataclass(frozen=True)
class JobStatus:
    """One task of one array, as squeue shows it."""

    name: str
    """Of the array."""
    job: str
    """Slurm's id of the task: 12_1."""
    index: int
    state: str
    reason: str
    place: str = ""
    """The node that has or had it."""

    @property
    def is_alive(self) -> bool:
        """Whether it will bring a result, as far as Slurm knows."""
        return self.state in ALIVE and not HELD.search(self.reason)


Sightings = dict[tuple[str, int], list[JobStatus]]
"""All sightings of a task, by the name of its array and its index."""


@dataclass(frozen=True)
class LostJob:
    """Why no result is to be expected."""

    kind: Kind
    message: str
    job: str = ""
    """Slurm's id of the task, where it is known."""
    place: str | None = None
    """The node; empty where that says nothing about it, None where it is not known."""


def check_programs() -> None:
    """Raise ExecutorError where Slurm's programs are missing."""
    missing = [program for program in ("sbatch", "squeue", "scancel") if shutil.which(program) is None]
    if missing:
        raise ExecutorError(
            f"Slurm's programs are not on this machine's PATH: {', '.join(missing)}. Run this on a login node of the"
            " cluster, or use Processes here"
        )


def submit(call: Programs, name: str, tasks: range, options: Sequence[str], script: str) -> None:
    """Hand over an array. Raises ConnectionError, or ExecutorError if refused."""
    call("sbatch", *options, f"--job-name={name}", f"--array={tasks.start}-{tasks.stop - 1}", "--parsable", text=script)


def may_pass(refusal: ExecutorError) -> bool:
    """Whether what Slurm refuses now may be accepted at another time."""
    return LIMITED.search(str(refusal)) is not None and not FOR_EVER.search(str(refusal))


def is_too_large(error: Exception) -> bool:
    """Whether fewer tasks at once may be accepted."""
    return TOO_LARGE.search(str(error)) is not None


def excluding(options: Sequence[str], places: Collection[str]) -> tuple[str, ...]:
    """The options, and these nodes excluded beside those that they exclude themselves."""
    nodes = excluded(options, places)
    if not places or "/" in nodes:  # the name of a file, to which nothing can be added
        return tuple(options)
    return (*options, f"--exclude={nodes}")  # of several, the last counts


def excluded(options: Sequence[str], places: Collection[str]) -> str:
    """All that is excluded, as Slurm writes it."""
    own = ""
    for option, following in pairwise((*options, "")):
        if option in ("-x", "--exclude"):
            own = following
        elif option.startswith(("-x", "--exclude=")):
            own = option.removeprefix("-x").removeprefix("--exclude=")
    return ",".join(filter(None, (own, *sorted(places))))


def exclude(call: Programs, jobs: Sequence[str], options: Sequence[str], places: Collection[str]) -> None:
    """Keep the waiting tasks of arrays from these nodes, and from no others but those of their options. A wish: nothing
    happens where that leaves no node, which Slurm would not refuse for a job that it has."""
    with suppress(ConnectionError, ExecutorError):
        if places:
            call("sbatch", "--test-only", *excluding(options, places), "--wrap=true")
        call("scontrol", "update", f"JobId={','.join(jobs)}", f"ExcNodeList={excluded(options, places)}")


def look(call: Programs) -> Sightings:
    """All of this user's jobs that Slurm knows, ended a while ago or not, by name and index. Raises ConnectionError."""
    seen: defaultdict[tuple[str, int], list[JobStatus]] = defaultdict(list)
    try:
        said = call("squeue", "--me", "--noheader", "--array", "--states=all", f"--format={FORMAT}")
    except ExecutorError as error:
        raise call.passing("squeue", str(error)) from error
    if said and not said.endswith("\n"):
        raise call.passing("squeue", "its answer breaks off in the middle of a line")
    for line in said.splitlines():
        fields = line.split("|", 5)
        if len(fields) == 6 and fields[2].isdecimal():
            name, array, index, state, place, reason = fields
            if (state, reason) == ("FAILED", "BadConstraints"):
                continue  # what sbatch has refused stays to be seen for a while
            place = "" if place.lower() in ("n/a", "(null)", "none") else place
            seen[name, int(index)].append(JobStatus(name, f"{array}_{index}", int(index), state, reason, place))
    return seen


def cancel(call: Programs, jobs: Sequence[str]) -> None:
    """End these. Raises ConnectionError."""
    _in_parts(call, jobs, "scancel")


def _in_parts(call: Programs, jobs: Sequence[str], *command: str) -> None:
    try:
        for begin in range(0, len(jobs), 1000):
            call(*command, *jobs[begin : begin + 1000])
    except ExecutorError as error:  # one has ended meanwhile
        raise ConnectionError(str(error)) from error


def lost_reason(statuses: Sequence[JobStatus]) -> LostJob | None:
    """Why no result is to be expected of a task that Slurm shows so; None while one is alive."""
    if any(status.is_alive for status in statuses):
        return None
    if not statuses:
        return LostJob("infra", "Slurm does not know its job any more")
    last = max(statuses, key=lambda status: int(status.job.partition("_")[0]))
    kind = KINDS.get(last.state, "infra")
    reason = "" if last.reason in ("", "None") else f", {last.reason}"
    place = "" if last.state in BLAMELESS else last.place or None
    return LostJob(kind, f"Slurm says of its job {last.job}: {last.state}{reason}", last.job, place)

"""What a pool knows of the workers of a Dask cluster: which can run what, and how a person calls them."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from hpo.executors.base import Task
from hpo.executors.cluster.pool import QUIET, Handed


@dataclass(frozen=True)
class Workers:
    """The workers at one moment, by address."""

    known: Mapping[str, Mapping[str, Any]]
    """What the scheduler says of each."""
    unfit: Mapping[str, str]
    """Why nothing can run on some of them."""

    @cached_property
    def fit(self) -> list[str]:
        """Where tasks can run."""
        return [address for address in self.known if address not in self.unfit]

    def place(self, address: str) -> str:
        """The machine of a worker, even of one that has left: its host, whose faults all workers there share. Where there
        is one host alone, the worker itself."""
        host = _host(address)
        others = {_host(known) for known in self.known} - {host}
        return host if others and not _is_loopback(host) else address

    def threads(self, addresses: Collection[str]) -> int:
        """How many tasks run at once at these."""
        return sum(self.known[address]["nthreads"] for address in addresses)

    def left_out(self, avoided: Collection[str]) -> frozenset[str]:
        """Where tasks could run, and nothing is to start."""
        return frozenset(self.fit) - frozenset(self._not(avoided, self.fit))

    def threads_each(self) -> int:
        """Of a worker; 1 while there was none."""
        return min((worker["nthreads"] for worker in self.known.values()), default=1)

    def asked(self, task: Task) -> dict[str, float]:
        """The resources of a task, of those that workers declare."""
        asked = {"CPU": task.cpus, "GPU": task.gpus, "MEMORY": task.memory}
        return {name: amount for name, amount in asked.items() if amount and name in self._declared}

    @cached_property
    def _declared(self) -> set[str]:
        return {name for worker in self.known.values() for name in worker["resources"]}

    def allowed(self, task: Task, avoided: Collection[str]) -> frozenset[str] | None:
        """The workers that may run a task; None where all may. Places are avoided only while others are left."""
        asked = self.asked(task)
        able = [a for a in self.fit if all(self.known[a]["resources"].get(n, 0) >= x for n, x in asked.items())]
        chosen = frozenset(self._not(avoided, able or self.fit))
        return None if len(chosen) == len(self.known) or (not avoided and not self.unfit) else chosen

    def lack(self, task: Task) -> str:
        """What no worker has that a task asks for; empty where one has it."""
        asked = self.asked(task)
        workers = [self.known[address]["resources"] for address in self.fit]
        if not asked or any(all(worker.get(n, 0) >= x for n, x in asked.items()) for worker in workers):
            return ""
        most = {name: max((worker.get(name, 0) for worker in workers), default=0) for name in asked}
        return f"a trial asks for {_amounts(asked)}, and the most that a worker has is {_amounts(most)}"

    def _not(self, avoided: Collection[str], addresses: list[str]) -> list[str]:
        left = [a for a in addresses if a not in avoided and _host(a) not in avoided]
        return left or addresses


class Watch:
    """Tells what tasks wait for: once, when that has lasted for a while, and again when it has changed."""

    def __init__(self) -> None:
        self._alone_since: float | None = None
        self._had_workers = self._is_told = False
        self._lack = ""

    def words(self, scheduler: str, workers: Workers, waiting: Sequence[Handed], n_waiting: str) -> list[str]:
        """What is to be said now. waiting: what Dask has and has not begun. n_waiting: all that waits, in words."""
        now, words = time.monotonic(), []
        if workers.fit or not n_waiting:
            self._alone_since = None
        elif self._alone_since is None:
            self._alone_since = now
        elif not self._is_told and now - self._alone_since >= QUIET:
            self._is_told = True
            which = " that can run a trial" if workers.unfit else "" if self._had_workers else " yet"
            had = f"the last worker of the Dask scheduler at {scheduler} has left"
            none = f"the Dask scheduler at {scheduler} has no workers{which}"
            words.append(f"{had if self._had_workers else none}; {n_waiting}")
        if workers.fit:
            self._had_workers = True
            if self._is_told:
                self._is_told, n = False, len(workers.fit)
                words.append(f"the Dask scheduler at {scheduler} has {n} worker{'' if n == 1 else 's'} now")
            lack = next((said for h in waiting if now - h.since >= QUIET and (said := workers.lack(h.task))), "")
            if lack and lack != self._lack:
                words.append(f"no worker of the Dask scheduler at {scheduler} can hold a trial: {lack}; {n_waiting}")
            self._lack = lack
        return words


def _host(address: str) -> str:
    """Of `tcp://host:port`."""
    return address.rpartition("://")[2].rpartition(":")[0]


def _is_loopback(host: str) -> bool:
    """Whether one machine plays several."""
    return host.startswith("127.") or host in ("localhost", "[::1]")


def _amounts(resources: Mapping[str, float]) -> str:
    return ", ".join(f"{name}={amount:g}" for name, amount in resources.items())

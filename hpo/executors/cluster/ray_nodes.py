"""What a pool knows of the nodes of a Ray cluster: which can hold what, and how a person calls them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hpo.executors.base import Task


@dataclass(frozen=True)
class Shape:
    """What Ray sets aside for a task."""

    num_cpus: float
    num_gpus: int
    memory: int | None

    @classmethod
    def of(cls, task: Task) -> Shape:
        """As it asks; one CPU if it says nothing."""
        return cls(1.0 if task.cpus is None else task.cpus, task.gpus, task.memory)

    @property
    def asked(self) -> dict[str, float]:
        """By Ray's names."""
        asked = {"CPU": self.num_cpus, "GPU": self.num_gpus, "memory": self.memory}
        return {name: amount for name, amount in asked.items() if amount}

    def share(self, resources: Mapping[str, float], slots: int | None) -> int | None:
        """The part of the memory of a node with these resources that is one's, if as many of its kind run there as can."""
        if "memory" not in resources:
            return None
        at_once = [int(resources.get(name, 0) // amount) for name, amount in self.asked.items()]
        at_once += [slots] if slots else []
        return int(resources["memory"]) // max(1, min(at_once, default=1))


@dataclass(frozen=True)
class Nodes:
    """The nodes that are up at one moment, by id."""

    known: Mapping[str, Mapping[str, Any]]
    """What Ray says of each."""
    unfit: Mapping[str, str]
    """Why nothing can run on some of them."""

    @classmethod
    def of(cls, nodes: Sequence[Mapping[str, Any]], unfit: Mapping[str, str]) -> Nodes:
        """From what `ray.nodes()` says."""
        known = {node["NodeID"]: node for node in nodes if node["Alive"]}
        return cls(known, {id: why for id, why in unfit.items() if id in known})

    def place(self, id: str) -> str:
        """A node's name, which is its address where none was given; with a part of its id where several have that name."""
        name = str(self.known[id]["NodeName"]) if id in self.known else id
        names = Counter(str(node["NodeName"]) for node in self.known.values())
        return name if names[name] < 2 else f"{name} ({id[:12]})"

    @property
    def fit(self) -> list[str]:
        """Where tasks can run."""
        return [id for id in self.known if id not in self.unfit]

    def cpus(self, ids: Collection[str]) -> int:
        """How many there are on these."""
        return int(sum(self._has(id).get("CPU", 0) for id in ids))

    def left_out(self, avoided: Collection[str]) -> frozenset[str]:
        """Where tasks could run, and nothing is to start."""
        return frozenset(self.fit) - frozenset(self._not(avoided, self.fit))

    def barred(self, shape: Shape, avoided: Collection[str]) -> frozenset[str]:
        """Where a task must not run. Places are avoided only while others are left that can hold it."""
        if not avoided and not self.unfit:
            return frozenset()
        able = [id for id in self.fit if self._holds(id, shape)]
        return frozenset(self.known) - frozenset(self._not(avoided, able or self.fit))

    def lack(self, shape: Shape, free: Mapping[str, float]) -> str:
        """What a task asks for that waits, and what there is. free: by Ray's names, of the whole cluster."""
        asked = _amounts(shape.asked)
        if any(self._holds(id, shape) for id in self.fit):
            total: Counter[str] = Counter()
            for id in self.known:
                total.update(self._has(id))
            have = ", ".join(_amounts({n: free.get(n, 0)}) + f" of {_amounts({n: total[n]}, '')}" for n in shape.asked)
            return f"no node of the Ray cluster has enough free for a trial: it asks for {asked}, and free are {have}"
        most = {name: max((self._has(id).get(name, 0) for id in self.known), default=0) for name in shape.asked}
        return (
            f"no node of the Ray cluster can hold a trial: it asks for {asked}, and the most that one has is "
            + _amounts(most)
        )

    def _has(self, id: str) -> Mapping[str, float]:
        resources: Mapping[str, float] = self.known[id]["Resources"]
        return resources

    def _holds(self, id: str, shape: Shape) -> bool:
        return all(self._has(id).get(name, 0) >= amount for name, amount in shape.asked.items())

    def _not(self, avoided: Collection[str], ids: list[str]) -> list[str]:
        left = [id for id in ids if not {self.place(id), str(self.known[id]["NodeName"])} & set(avoided)]
        return left or ids


_UNITS = {"CPU": " CPU", "GPU": " GPU", "memory": " MiB of memory"}


def _amounts(resources: Mapping[str, float], unit: str | None = None) -> str:
    return ", ".join(
        f"{amount / 2**20 if name == 'memory' else amount:g}{_UNITS[name] if unit is None else unit}"
        for name, amount in resources.items()
    )

"""study.toml: a whole study in one file.

constraints = ["serve.threads + 0.1*data.window <= 20"]     # linear, optional, before the first table

[study]
name = "digits"            # needed
storage = "hpo.db"         # seed, strategy (text or table), author, reason: optional

[space."model.lr"]         # or [space.model.lr]
type = "float"             # float, int, categorical; the fields are those of Float, Int, Categorical
low = 1e-5
high = 1e-1
log = true                 # None, as a choice, a default or in active_if, is written { none = true }

[[metrics]]
role = "objective"         # objective, constraint, tracked; the fields are those of Objective, Constraint, Tracked
name = "accuracy"

[budget]                   # the fields of Budget; `hpo run --trials` replaces `trials`
trials = 60

[run]
command = ["python", "train.py", "--lr", "{model.lr}", ["--momentum", "{model.momentum}"]]
workers = 2                # timeout (seconds, "10min"), memory (bytes, "2GB"), cpus, gpus, devices, logs (a folder),
                           # lease, notice, outage: optional; so is
executor = { type = "slurm", folder = "/shared/hpo" }    # local, dask, ray, slurm, and its fields
"""

from __future__ import annotations

import dataclasses
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hpo.cli.console import echo
from hpo.cli.executors import executor_of
from hpo.cli.toml_reader import Table, TomlReader, flattened, read_toml
from hpo.errors import SettingsError, did_you_mean, listing
from hpo.executors import Subprocess
from hpo.executors.supervisor.command import Command, variables
from hpo.problem.json_format import metric_from_json, parameter_from_json
from hpo.problem.metrics import Metric
from hpo.problem.parameters import Parameter
from hpo.problem.problem import Problem
from hpo.problem.space import Space
from hpo.running.budget import Budget, seconds
from hpo.running.heartbeat import LEASE
from hpo.running.outage import OUTAGE
from hpo.running.trial_limits import NOTICE
from hpo.strategies import Strategy
from hpo.strategies.registry import from_json
from hpo.study.provenance import fingerprint

_KEYS: Mapping[str, tuple[str, ...]] = {
    "": ("constraints", "study", "space", "metrics", "budget", "run"),
    "study": ("name", "storage", "seed", "strategy", "author", "reason", "data"),
    "budget": tuple(f.name for f in dataclasses.fields(Budget) if f.init),
    "run": (
        *("command", "workers", "executor", "timeout", "memory", "cpus", "gpus", "devices", "logs"),
        *("lease", "notice", "outage"),
    ),
}
_KINDS: Mapping[str, tuple[type, str]] = {
    "log": (bool, "true or false"),
    "ordered": (bool, "true or false"),
    "business": (bool, "true or false"),
    "unit": (str, "text"),
    "description": (str, "text"),
    "owner": (str, "text"),
    "active_if": (dict, 'a table, {"model.optimizer" = ["sgd"]}'),
}
"""Fields of parameters and metrics that do not check themselves."""
_BYTES = {"": 1, "B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


@dataclass(frozen=True, kw_only=True)
class StudyFile:
    """What a study.toml says."""

    name: str
    problem: Problem
    command: Sequence[str | Sequence[str]]
    budget: Budget | None = None
    storage: str | None = None
    seed: int | None = None
    strategy: Strategy | None = None
    author: str = ""
    reason: str = ""
    data: str = ""
    """Fingerprint of the files that the training runs read."""
    workers: int = 1
    executor: Table = field(default_factory=dict)
    """Where the command runs; see `executors.executor_of`."""
    timeout: float | None = None
    """Seconds one trial may take."""
    memory: int | None = None
    """Bytes one trial may hold."""
    cpus: float | None = None
    gpus: int = 0
    devices: Sequence[str | int] = ()
    """GPUs of this machine."""
    logs: str | None = None
    lease: float = LEASE
    """Seconds for which this driver holds a trial without being heard of."""
    notice: float = NOTICE
    """Seconds that running trials have after SIGTERM."""
    outage: float = OUTAGE
    """Seconds for which the run goes on without its storage."""


def read_study_file(path: str | Path) -> StudyFile:
    """The study that the file declares. Raises SettingsError with every fault of the file, each with its key."""
    where = Path(path)
    return _StudyReader(read_toml(where), where, _KEYS).read()


class _StudyReader(TomlReader):
    def read(self) -> StudyFile:
        self.known("", self.data)
        study, run = self.section("study"), self.section("run")
        space, metrics = self.space(), self.metrics()
        problem = self.built("", lambda: Problem(space, metrics)) if space and metrics is not None else None
        budget = self.budget(problem)
        command = self.command(run, space)
        out = {
            "name": self.value(study, "study.name", str, "text", needed=True),
            "storage": self.value(study, "study.storage", str, "text: a file or a database URL"),
            "seed": self.value(study, "study.seed", int, "a whole number"),
            "strategy": self.strategy(study),
            "author": self.value(study, "study.author", str, "text") or "",
            "reason": self.value(study, "study.reason", str, "text") or "",
            "data": self.data_fingerprint(study),
            "workers": self.workers(run),
            "executor": self.executor(run),
            "timeout": self.built("run.timeout", lambda: seconds(run["timeout"])) if "timeout" in run else None,
            "memory": self.built("run.memory", lambda: in_bytes(run["memory"])) if "memory" in run else None,
            "cpus": self.value(run, "run.cpus", (int, float), "a number"),
            "gpus": self.value(run, "run.gpus", int, "a whole number") or 0,
            "devices": run.get("devices", ()),
            "logs": self.value(run, "run.logs", str, "text: a folder"),
            "lease": self.built("run.lease", lambda: seconds(run.get("lease", LEASE))),
            "notice": self.built("run.notice", lambda: seconds(run.get("notice", NOTICE))),
            "outage": self.built("run.outage", lambda: seconds(run.get("outage", OUTAGE))),
        }
        if self.faults:
            raise SettingsError(*(f"{self.where}: {fault}" for fault in self.faults))
        assert problem is not None
        assert command is not None
        return StudyFile(problem=problem, budget=budget, command=command, **out)

    # -- the tables -----------------------------------------------------------------------------------------------

    def space(self) -> Space | None:
        before = len(self.faults)
        tables = flattened(self.section("space"), _is_table_of_tables)
        parameters = {name: self.parameter(name, table) for name, table in tables.items()}
        constraints = self.data.get("constraints", [])
        if not isinstance(constraints, list) or not all(isinstance(text, str) for text in constraints):
            self.faults.append(f'constraints: expected a list of text like ["2*a + b <= 10"], got {constraints!r}')
        if len(self.faults) > before:
            return None
        return self.built("space", lambda: Space({k: p for k, p in parameters.items() if p}, constraints))

    def parameter(self, name: str, table: Any) -> Parameter | None:
        where = f"space.{name}"
        if isinstance(table, dict) and isinstance(table.get("active_if"), dict):
            table = {**table, "active_if": flattened(table["active_if"], _is_table)}
        if isinstance(table, dict) and "constraints" in table:
            self.faults.append(
                f"{where}.constraints: constraints stand at the head of the file, before the first [table]"
            )
            return None
        return self.built("", lambda: parameter_from_json(table, where)) if self.fields(where, table) else None

    def metrics(self) -> list[Metric] | None:
        tables = self.data.get("metrics")
        if not isinstance(tables, list) or not tables:
            given = "" if tables is None else f", got {tables!r}"
            self.faults.append(f'metrics: expected at least one [[metrics]] table, like role = "objective"{given}')
            return None
        before = len(self.faults)
        metrics = [self.metric(i, table) for i, table in enumerate(tables)]
        return None if len(self.faults) > before else [m for m in metrics if m]

    def metric(self, i: int, table: Any) -> Metric | None:
        name = table.get("name") if isinstance(table, dict) else None
        where = f"metrics.{name}" if isinstance(name, str) and name else f"metrics[{i}]"
        if not self.fields(where, table):
            return None
        with warnings.catch_warnings(record=True) as asked:
            warnings.simplefilter("always")
            metric: Metric | None = self.built("", lambda: metric_from_json(table, where))
        for question in asked:
            echo(f"{self.where}: {question.message}", err=True)
        return metric

    def fields(self, where: str, table: Any) -> bool:
        """Whether the fields that do not check themselves hold what they must."""
        before = len(self.faults)
        for key, value in table.items() if isinstance(table, dict) else ():
            kind, words = _KINDS.get(key, (object, ""))
            if not isinstance(value, kind):
                self.faults.append(f"{where}.{key}: expected {words}, got {value!r}")
        return len(self.faults) == before

    def budget(self, problem: Problem | None) -> Budget | None:
        if "budget" not in self.data:
            return None
        before = len(self.faults)
        table = self.section("budget")
        self.value(table, "budget.target", (int, float), "a number")
        budget = self.built("", lambda: Budget(**table)) if len(self.faults) == before else None
        if budget is not None and problem is not None:
            with self.at("budget"):
                budget.check(problem)
        return budget

    def strategy(self, study: Table) -> Strategy | None:
        given = study.get("strategy")
        if given is None:
            return None
        table = {"name": given} if isinstance(given, str) else given
        return self.built("study.strategy", lambda: from_json(table, trust=True))

    def data_fingerprint(self, study: Table) -> str:
        given = study.get("data", [])
        paths = [given] if isinstance(given, str) else given
        if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
            self.faults.append(f"study.data: expected a path, or a list of paths, got {given!r}")
            return ""
        try:
            return fingerprint(self.where.parent / path for path in paths) if paths else ""
        except OSError as error:
            self.faults.append(f"study.data: {error.filename} cannot be read: {error.strerror}")
        except ValueError as error:  # a NUL in a path
            self.faults.append(f"study.data: {given!r} cannot be read: {error}")
        return ""

    def workers(self, run: Table) -> int:
        workers = self.value(run, "run.workers", int, "a whole number of at least 1")
        if workers is not None and workers < 1:
            self.faults.append(f"run.workers: expected a whole number of at least 1, got {workers}")
        return workers or 1

    def executor(self, run: Table) -> Table:
        table = self.value(run, "run.executor", dict, 'a table, like { type = "slurm", folder = "/shared/hpo" }') or {}
        devices = self.value(run, "run.devices", list, "a list of devices, like [0, 1]") or ()
        self.built("run.executor", lambda: executor_of(table, ["any"], 1, None, devices))
        return table

    def command(self, run: Table, space: Space | None) -> Any:
        if "run" not in self.data:
            return None
        given = run.get("command")
        hint = 'a list of text, like ["python", "train.py", "--lr", "{model.lr}"]'
        if given is None:
            self.faults.append(f"run.command: needed: {hint}")
            return None
        if not isinstance(given, str) and not _is_command(given):
            self.faults.append(f"run.command: expected {hint}, got {given!r}")
            return None
        with self.at("run.command"):
            Subprocess(given)
            if space is not None:
                _check_command(Command.of(given), space)
        return given


def in_bytes(given: object) -> int:
    """`2000000`, `"500MB"`, `"2GB"`, `"1.5GiB"` in bytes. Raises SettingsError."""
    text = str(given) if not isinstance(given, bool) else ""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMG]?I?B?)", text.strip().upper())
    if match is None or match[2] not in _BYTES or not 0 < float(match[1]) < 1e300:
        raise SettingsError(f'{given!r} is no amount of memory; write bytes, or text like "500MB", "2GB", "1.5GiB"')
    return int(float(match[1]) * _BYTES[match[2]])


def _is_table(value: object) -> bool:
    return isinstance(value, dict)


def _is_table_of_tables(value: object) -> bool:
    return isinstance(value, dict) and bool(value) and all(isinstance(inner, dict) for inner in value.values())


def _is_command(given: object) -> bool:
    return isinstance(given, list) and all(
        isinstance(part, str) or (isinstance(part, list) and all(isinstance(text, str) for text in part))
        for part in given
    )


def _check_command(command: Command, space: Space) -> None:
    """Raise SettingsError with every placeholder that `space` cannot always fill."""
    faults = [
        f"no parameter for {{{name}}} (have: {listing(space.names)}).{did_you_mean(name, space.names)}"
        for name in sorted(command.names - set(space.names))
    ]
    for part in command.parts:
        for name in sorted(Command((part,)).names) if isinstance(part, str) else ():
            if name in space.names and space[name].active_if:
                faults.append(
                    f"{part!r} is not always there, because {name} has a condition. Put the argument and its option in a "
                    f'list of their own, ["--option", "{{{name}}}"], which is left out when the parameter is absent'
                )
    if faults:
        raise SettingsError(*faults)
    variables(dict.fromkeys(space.names))

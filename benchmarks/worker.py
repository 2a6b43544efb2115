"""One contender in a process of its own: a JSON request a line in, a JSON answer a line out.

    python -m benchmarks.worker NAME            ->  {"import_cpu": ...}
    {"do": "open", "problem": {...}, "seed": 3, "budget": 30, "q": 1}
    {"do": "ask", "n": 2}                       ->  {"trials": [{"id": 0, "params": {...}}, ...]}
    {"do": "tell", "id": 0, "values": {...}, "failure": null}
    {"do": "add", "params": {...}, "values": {...}}
    {"do": "recommend"}                         ->  {"params": {...} or null}
    {"do": "versions"}                          ->  {"versions": {...}}
    {"do": "memory"}                            ->  {"peak": ...}      MB, the largest resident set so far

Every answer also has `cpu`, the processor time of all threads of this process (time.process_time), and `wall`, the
elapsed time, both in seconds, of that request alone; or it is {"error": ...} when the contender raised. Opening again
starts over with a new contender and freshly seeded global generators. The end of the input ends the process.

This module runs in the environments of the peers: it imports the standard library, numpy, `benchmarks.contenders` and
`benchmarks.settings`.
"""

from __future__ import annotations

import json
import os
import platform
import random
import resource
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterable, Mapping
from importlib import metadata
from typing import Any

import numpy as np

from benchmarks.contenders import contender, load
from benchmarks.contenders.base import Adapter, Opening, Proposal, Result
from benchmarks.contenders.spec import parse
from benchmarks.settings import apply_settings

VERBOSE = "HPO_BENCH_VERBOSE"
"""Set to anything, it lets what a contender prints through to standard error."""
_INSTALLED_AS = {"hpo": "joint-hpo"}
MEMORY = 8 << 30
"""Bytes of address space. A contender that needs more fails by itself, not the machine with it."""


class Session:
    """The runs of one contender, one after the other; the state between the requests."""

    def __init__(self, name: str, opener: Callable[[Opening], Adapter]) -> None:
        self._name = name
        self._opener = opener
        self._adapter: Adapter | None = None
        self._open: dict[int, Proposal] = {}
        self._next = 0

    def answer(self, request: Mapping[str, Any]) -> dict[str, Any]:  # noqa: PLR0911  one a request
        """Do what is requested. Raises ValueError for an unknown request."""
        match request["do"]:
            case "open":
                self._start(request)
                return {}
            case "ask":
                return {"trials": self._ask(request["n"])}
            case "tell":
                self._tell(request)
                return {}
            case "add":
                result = Result(request["params"], request["values"])
                self._opened.results.append(result)
                self._opened.add(result)
                return {}
            case "recommend":
                return {"params": self._opened.recommend()}
            case "versions":
                return {"versions": versions(contender(self._name).packages)}
            case "memory":
                return {"peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}
            case other:
                raise ValueError(f"request {other!r} is not open, ask, tell, add, recommend, versions or memory")

    def close(self) -> None:
        """End the run that is open."""
        if self._adapter is not None:
            self._adapter.close()
        self._adapter, self._open, self._next = None, {}, 0

    @property
    def _opened(self) -> Adapter:
        if self._adapter is None:
            raise ValueError("open a problem first")
        return self._adapter

    def _start(self, request: Mapping[str, Any]) -> None:
        self.close()
        reseed(request["seed"])
        spec = parse(request["problem"])
        self._adapter = self._opener(Opening(spec, request["seed"], request["budget"], request["q"]))

    def _ask(self, n: int) -> list[dict[str, Any]]:
        trials = []
        for proposal in self._opened.ask(n):
            self._open[self._next] = proposal
            trials.append({"id": self._next, "params": proposal.params})
            self._next += 1
        return trials

    def _tell(self, request: Mapping[str, Any]) -> None:
        adapter, number = self._opened, request["id"]
        if number not in self._open:
            raise ValueError(f"trial {number} is not open; open are {sorted(self._open)}")
        proposal = self._open.pop(number)
        result = Result(proposal.params, request["values"], request["failure"])
        adapter.results.append(result)
        adapter.tell(proposal, result)


def serve(session: Session, requests: Iterable[str], reply: Callable[[str], object]) -> None:
    """Answer every request in turn."""
    for line in requests:
        cpu, wall = time.process_time(), time.perf_counter()
        try:
            answer = session.answer(json.loads(line))
            answer |= {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}
        except Exception:  # whatever a library raises is for the other side to report
            answer = {"error": traceback.format_exc()}
        reply(json.dumps(answer) + "\n")
    session.close()


def reseed(seed: int) -> None:
    """Start the global generators anew, which some libraries use beside the seed they are given."""
    random.seed(seed)
    np.random.seed(seed)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(seed)


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Versions of Python and of these distributions."""
    return {
        "python": platform.python_version(),
        **{name: metadata.version(_INSTALLED_AS.get(name, name)) for name in packages},
    }


def main(name: str) -> None:
    """Speak over what standard input and output were; all else that is printed or asked goes nowhere."""
    requests = os.fdopen(os.dup(0), "r")
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    os.dup2(2 if os.environ.get(VERBOSE) else nowhere, 1)
    os.dup2(1, 2)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    warnings.simplefilter("default" if os.environ.get(VERBOSE) else "ignore")
    try:
        opener = load(name)
        apply_settings()
    except Exception:
        replies.write(json.dumps({"error": traceback.format_exc()}) + "\n")
        return
    replies.write(json.dumps({"import_cpu": time.process_time()}) + "\n")
    serve(Session(name, opener), requests, replies.write)


if __name__ == "__main__":
    main(sys.argv[1])

"""A contender in a process of its own, seen from the outside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[1]
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


@dataclass(frozen=True)
class Asked:
    """Params, and the seconds it took to choose them."""

    params: dict[str, Any]
    cpu: float
    wall: float


class ContenderProcess:
    """Use as a context manager; one thread, fixed hash seed, its own memory.

    Raises RuntimeError when the process dies; what it had to say is on standard error.
    """

    def __init__(self, contender: str) -> None:
        self.contender = contender
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, **ONE_THREAD, "PYTHONHASHSEED": "0"},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._process.kill()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def open(self, problem: str, seed: int) -> float:
        """Start over on the problem of this name; CPU seconds, imports included the first time."""
        return float(self._request(do="open", contender=self.contender, problem=problem, seed=seed)["cpu"])

    def ask(self) -> Asked:
        """The next params."""
        answer = self._request(do="ask")
        return Asked(answer["params"], answer["cpu"], answer["wall"])

    def tell(self, params: Mapping[str, Any], values: Mapping[str, float]) -> float:
        """Hand over a result; CPU seconds."""
        return float(self._request(do="tell", params=params, values=values)["cpu"])

    def versions(self) -> dict[str, str]:
        """Versions of what the process has loaded."""
        versions: dict[str, str] = self._request(do="versions")["versions"]
        return versions

    def _request(self, **request: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise RuntimeError(f"the process of {self.contender!r} ended with code {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

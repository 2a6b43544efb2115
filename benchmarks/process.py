"""A contender in a process of its own, seen from the outside."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from benchmarks import environments
from benchmarks.contenders import contender
from hpo.problem.json_format import problem_to_json

if TYPE_CHECKING:
    import hpo
    from benchmarks.problems.base import Outcome

ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "LOKY_MAX_CPU_COUNT"), "1"
)


@dataclass(frozen=True)
class AskedTrial:
    """A configuration to evaluate, and the number to tell its result by."""

    id: int
    params: dict[str, Any]


@dataclass(frozen=True)
class Asked:
    """The trials of one ask, and the seconds it took to choose them. No trials: there is nothing more to suggest."""

    trials: list[AskedTrial]
    cpu: float
    wall: float


class ContenderProcess:
    """Use as a context manager: a process in the contender's environment, with one thread and a fixed hash seed.

    Raises ValueError for an unknown contender or an environment that is not built, RuntimeError when the contender
    raises or its process dies. What it prints is dropped unless HPO_BENCH_VERBOSE is set.

    Attributes:
        import_cpu: CPU seconds from the start of the process until all imports were done, numpy included.
    """

    def __init__(self, name: str, variables: Mapping[str, str] | None = None) -> None:
        environment = contender(name).environment
        if environment is not None and not environments.is_built(environment):
            raise ValueError(
                f"contender {name!r} runs in the environment {environment!r}, which is not built: "
                f"python -m benchmarks environments {environment}"
            )
        # BoTorch compiles its hypervolume kernel at first use. Torch keeps one per name and makes it anew when its source
        # moves, so two environments that shared a folder would compile at every start.
        extensions = environments.VENVS / (environment or "main") / "torch_extensions"
        self.contender = name
        self._process = subprocess.Popen(
            [environments.python(environment), "-m", "benchmarks.worker", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=environments.ROOT,
            env={
                **os.environ,
                **ONE_THREAD,
                "PYTHONHASHSEED": "0",
                "TORCH_EXTENSIONS_DIR": str(extensions),
                **(variables or {}),
            },
        )
        try:
            self.import_cpu = float(self._answer()["import_cpu"])
        except BaseException:
            self._end(kill=True)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end(kill=error is not None)

    def open(self, problem: hpo.Problem, seed: int, *, budget: int, q: int) -> None:
        """Start over on `problem`. `budget` evaluations in batches of `q` are announced to those that plan for them.

        Raises ValueError for a problem that the contender cannot enter.
        """
        if not contender(self.contender).takes(problem):
            raise ValueError(f"contender {self.contender!r} cannot enter this problem: {problem.metrics}")
        self._request(do="open", problem=problem_to_json(problem), seed=seed, budget=budget, q=q)

    def ask(self, n: int = 1) -> Asked:
        """The next trials: `n`, or fewer when the contender has no more to suggest."""
        answer = self._request(do="ask", n=n)
        return Asked([AskedTrial(t["id"], t["params"]) for t in answer["trials"]], answer["cpu"], answer["wall"])

    def tell(self, id: int, outcome: Outcome) -> float:
        """Hand over how a trial ended; CPU seconds."""
        values = None if outcome.values is None else {k: float(v) for k, v in outcome.values.items()}
        return float(self._request(do="tell", id=id, values=values, failure=outcome.failure)["cpu"])

    def add(self, params: Mapping[str, Any], values: Mapping[str, float]) -> float:
        """Hand over a result of a configuration that was not asked for; CPU seconds."""
        plain = {k: float(v) for k, v in values.items()}
        return float(self._request(do="add", params=dict(params), values=plain)["cpu"])

    def recommend(self) -> dict[str, Any] | None:
        """The configuration the contender would deploy now; None while it knows no feasible one."""
        params: dict[str, Any] | None = self._request(do="recommend")["params"]
        return params

    def versions(self) -> dict[str, str]:
        """Versions of Python and of what the contender is made of."""
        versions: dict[str, str] = self._request(do="versions")["versions"]
        return versions

    def peak_memory(self) -> float:
        """The largest resident set of the process so far, MB."""
        return float(self._request(do="memory")["peak"])

    def _request(self, **request: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._died() from None
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise self._died()
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise RuntimeError(f"contender {self.contender!r} failed:\n{answer['error']}")
        return answer

    def _died(self) -> RuntimeError:
        return RuntimeError(f"the process of {self.contender!r} ended with code {self._process.wait()}")

    def _end(self, kill: bool) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        if kill:
            self._process.kill()
        with contextlib.suppress(BrokenPipeError):  # a request that a dead process never read
            self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

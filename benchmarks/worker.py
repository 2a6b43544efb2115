"""One contender in a process of its own: a JSON request a line in, a JSON answer a line out.

    {"do": "open", "contender": "hpo", "problem": "branin", "seed": 3}   ->  {"cpu": ..., "wall": ...}
    {"do": "ask"}                                                        ->  {"params": {...}, "cpu": ..., "wall": ...}
    {"do": "tell", "params": {...}, "values": {...}}                     ->  {"cpu": ..., "wall": ...}
    {"do": "versions"}                                                   ->  {"versions": {...}, ...}

`cpu` is the processor time of all threads of this process (time.process_time), `wall` the elapsed time, both in
seconds, of that request alone. Opening again starts over with a new contender. The end of the input ends the process.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

from benchmarks.contenders import load
from benchmarks.contenders.base import Contender
from benchmarks.problems import BY_NAME

PACKAGES = ("hpo", "numpy", "scipy", "torch", "gpytorch", "botorch")


def serve(requests: Iterable[str], reply: Callable[[str], object]) -> None:
    """Answer every request in turn."""
    contender: Contender | None = None
    for line in requests:
        request = json.loads(line)
        answer: dict[str, Any] = {}
        cpu, wall = time.process_time(), time.perf_counter()
        match request["do"]:
            case "open":
                contender = load(request["contender"])(BY_NAME[request["problem"]].problem, request["seed"])
            case "ask":
                answer["params"] = _opened(contender).ask()
            case "tell":
                _opened(contender).tell(request["params"], request["values"])
            case "versions":
                answer["versions"] = versions()
            case other:
                raise ValueError(f"request {other!r} is not open, ask, tell or versions")
        answer["cpu"], answer["wall"] = time.process_time() - cpu, time.perf_counter() - wall
        reply(json.dumps(answer) + "\n")


def versions() -> dict[str, str]:
    """Versions of Python and of those packages that this process has loaded."""
    loaded = {name: sys.modules[name].__version__ for name in PACKAGES if name in sys.modules}
    return {"python": platform.python_version(), **loaded}


def _opened(contender: Contender | None) -> Contender:
    if contender is None:
        raise ValueError("open a problem first")
    return contender


def main() -> None:
    """Speak over standard input and output; whatever else prints goes to standard error."""
    with os.fdopen(os.dup(1), "w", buffering=1) as out:
        os.dup2(2, 1)
        serve(sys.stdin, out.write)


if __name__ == "__main__":
    main()

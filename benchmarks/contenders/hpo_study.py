"""This library as a user meets it: a study with its defaults, stored in memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import hpo


class HpoStudy:
    """`open_study`, `ask`, `tell`; results from elsewhere by `add`."""

    def __init__(self, problem: hpo.Problem, seed: int) -> None:
        self._study = hpo.open_study("benchmark", problem, storage=":memory:", seed=seed)
        self._trial: hpo.Trial | None = None

    def ask(self) -> dict[str, Any]:
        """The whole of `study.ask()`."""
        self._trial = self._study.ask()
        return dict(self._trial.params)

    def tell(self, params: Mapping[str, Any], values: Mapping[str, float]) -> None:
        """The result of the open trial, or of a training done elsewhere."""
        if self._trial is not None and params == dict(self._trial.params):
            self._study.tell(self._trial, values)
            self._trial = None
        else:
            self._study.add(params, values)

"""Strategies: what suggests configurations. The face of the room."""

from typing import TYPE_CHECKING

from hpo.boundary.public import face
from hpo.strategies.base import Strategy, Suggestion
from hpo.strategies.bayesian import Bayesian
from hpo.strategies.grid import Grid
from hpo.strategies.one_at_a_time import OneAtATime
from hpo.strategies.random import Random
from hpo.strategies.sobol import Sobol

__all__ = ["Bayesian", "Grid", "OneAtATime", "Random", "Sobol", "Strategy", "Suggestion"]
if not TYPE_CHECKING:  # which would take any name then
    __getattr__ = face(__name__, {})

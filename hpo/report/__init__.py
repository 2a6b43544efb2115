"""Reports: `tables` (plain data) -> `plots` (figures) -> `html` (one file that opens anywhere)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpo.boundary.public import face
from hpo.report.comparison import Comparison, Contender
from hpo.report.html import write_report

__all__ = ["Comparison", "Contender", "write_report"]

if not TYPE_CHECKING:  # which would take any name then
    __getattr__ = face(__name__, {})

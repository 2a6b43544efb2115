"""Reports: `tables` (plain data) -> `plots` (figures) -> `html` (one file that opens anywhere)."""

from __future__ import annotations

from hpo.report.comparison import Comparison, Contender
from hpo.report.html import write_report

__all__ = ["Comparison", "Contender", "write_report"]

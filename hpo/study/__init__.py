"""Ask and tell: a study, its log, and what is done with whole studies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpo.boundary.public import face

if not TYPE_CHECKING:  # which would take any name then
    __getattr__ = face(__name__, {})

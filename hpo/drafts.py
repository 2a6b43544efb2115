"""Drafts: what a study writes when a trial is opened, given out, or handed back without a result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hpo.encoding import key
from hpo.events import Draft, Ledger
from hpo.provenance import stored_text
from hpo.suggestion import Suggestion
from hpo.trial import RETRIED_KINDS, Trial

MOST_ATTEMPTS = 3
"""How often a trial is run before a failure of the machines counts as its failure."""
MOST_DEATHS = 10
"""The same where its driver died, which took along all that ran: most of them, or all, are not to blame."""
_LONGEST_MESSAGE = 1000


def opened(ledger: Ledger, params: Mapping[str, Any], kind: str, data: Mapping[str, Any]) -> Draft:
    """A trial made by hand. Raises ParamsError."""
    canonical = ledger.problem.space.canonical(params)
    role = "replicate" if key(canonical) in ledger.history().taken else kind
    return Draft(kind, len(ledger.trials), {"params": canonical, "why": {"role": role}, **data})


def asked(
    number: int, s: Suggestion, strategy: Mapping[str, Any], saw: int, batch: tuple[int, int], owner: str
) -> Draft:
    """A trial that `strategy` suggests, having seen the log up to event `saw`; `batch`: its first number, and its size."""
    data = {"params": s.params, "why": s.why, "saw": saw, "batch": list(batch), "strategy": strategy, "owner": owner}
    return Draft("asked", number, {**data, "fitted": s.fitted} if s.fitted else data)


def handed_back(
    trial: Trial, kind: str, message: str, seconds: float | None = None, *, most: int = MOST_ATTEMPTS
) -> Draft:
    """How a trial without a result goes on: to be run again after a failure of the machines, `most` times, else failed."""
    if kind in RETRIED_KINDS and trial.attempt < most:
        reason = f"{kind}: {message}" if message else kind
        return Draft("requeued", trial.number, {"reason": reason, "seconds": seconds})
    return Draft(
        "failed",
        trial.number,
        {"kind": kind, "message": stored_text(str(message))[:_LONGEST_MESSAGE], "seconds": seconds},
    )

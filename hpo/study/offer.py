"""Offer: what one ask would give out, as of the history that it has seen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hpo.problem.space import key
from hpo.study.new_events import renumbered
from hpo.trials.events import Draft, StudyState
from hpo.trials.history import History
from hpo.trials.trial import Trial, TrialState


@dataclass(frozen=True)
class Offer:
    """Trials that wait, and drafts of new ones; `last_ask` is the last event in `history` that gave out any."""

    history: History
    last_ask: int
    waiting: Sequence[Trial]
    new: Sequence[Draft]

    def fits(self, study_state: StudyState) -> bool:
        """Whether nobody has asked or enqueued since, and those that waited still do."""
        is_same = study_state.last_ask == self.last_ask and len(study_state.trials) == len(self.history.trials)
        return is_same and self._still_wait(study_state)

    def kept(self, study_state: StudyState) -> Offer | None:
        """The same under the numbers that are next now; None if another was given one of its configurations."""
        seen, now = len(self.history.trials), study_state.trials
        given = {trial.key for trial in now[seen:]}
        if not self._still_wait(study_state) or any(key(draft.data["params"]) in given for draft in self.new):
            return None
        new = [renumbered(draft, len(now) - seen) for draft in self.new]
        return Offer(study_state.history(), study_state.last_ask, self.waiting, new)

    def drafts(self, owner: str) -> list[Draft]:
        """What is to be written, in order."""
        return [*(Draft("started", trial.number, {"owner": owner}) for trial in self.waiting), *self.new]

    def attempts(self, drafts: Sequence[Draft]) -> Iterator[tuple[int, int]]:
        """The number and the attempt of each trial of `drafts`."""
        again = {trial.number: trial.attempt for trial in self.waiting}
        return ((draft.number, again.get(draft.number, 1)) for draft in drafts if draft.number is not None)

    def _still_wait(self, study_state: StudyState) -> bool:
        return all(study_state.trials[trial.number].state is TrialState.WAITING for trial in self.waiting)

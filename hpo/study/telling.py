"""What is written of a trial when somebody tells what was measured."""

from __future__ import annotations

from collections.abc import Sequence

from hpo.problem.metrics import Results
from hpo.problem.problem import Problem
from hpo.study.new_events import corrected, told
from hpo.study.study_log import Decision, Look
from hpo.trials.events import Draft
from hpo.trials.results import checked_result, compared, may_leap
from hpo.trials.trial import Trial, TrialState


def telling(
    number: int,
    values: Results,
    attempt: int | None = None,
    seconds: float | None = None,
    *,
    replace: bool = False,
    reason: str = "",
) -> Decision:
    """Checks a result and says what to write: see `Study.tell`. `attempt` is the one that brought it; by default the
    trial's present one."""

    def decide(problem: Problem, current: Trial, look: Look) -> Sequence[Draft]:
        checked = checked_result(problem.metrics, values, f"trial {number}")
        if may_leap(checked, problem.metrics, look(False), number):
            checked = compared(checked, problem.metrics, look(True), number)
        if replace and current.state is TrialState.COMPLETED:
            return corrected(current, checked, reason)
        return told(current, checked, current.attempt if attempt is None else attempt, seconds)

    return decide

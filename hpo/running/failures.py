"""Failures of a run: which of them are new, and which say that the program itself is at fault."""

from __future__ import annotations

import logging
import re
import shlex
from collections import Counter
from pathlib import Path

from hpo.common.redact import redact
from hpo.common.text import counted, shown
from hpo.errors import ExecutorError
from hpo.executors import Outcome
from hpo.running.progress import trial_words
from hpo.storage.paths import file_of, is_url
from hpo.study.study import Study
from hpo.trials.history import History
from hpo.trials.trial import RETRIED_KINDS, Trial, TrialState

log = logging.getLogger(__name__)

HOPELESS = 10
"""A run stops after so many failures without a result. Failures of the machines do not count."""

_BUGS = (
    *("TypeError", "AttributeError", "NameError", "UnboundLocalError", "KeyError", "NotImplementedError"),
    *("ImportError", "ModuleNotFoundError", "SyntaxError", "IndentationError", "TabError"),
    *("FileNotFoundError", "PermissionError", "NotADirectoryError", "IsADirectoryError"),
)
_NAMED = re.compile(rf"(?:^|\s)(?:{'|'.join(_BUGS)})(?::|$)")
_COMMAND = re.compile(r"the command (?:ended with exit code (\d+)(?:: |$)|.*reported no metrics)")
_MISUSED = re.compile(r"(^|: )error: |can't open file|cannot open|usage", re.IGNORECASE)


def is_bug(trial: Trial) -> bool:
    """Whether a trial failed for a reason that no params cause, as far as its message tells: an exception such as
    NameError or TypeError, a file or a module that is not there, a command that cannot be run or used so, or that reports
    no metrics. Exceptions of classes that the user has made are never taken for one."""
    if trial.state is not TrialState.FAILED or trial.kind != "error":
        return False
    if command := _COMMAND.match(trial.message):
        code, last = command[1], trial.message[command.end() :]
        return code in (None, "126", "127") or bool(code == "2" and _MISUSED.search(last)) or bool(_NAMED.match(last))
    is_syntax = trial.message.startswith("File ") and _NAMED.search(trial.message)
    return bool(_NAMED.match(trial.message) or is_syntax)


class Repeats:
    """How often failures with the same words have come."""

    def __init__(self) -> None:
        self._seen: Counter[str] = Counter()

    def count(self, trial: Trial) -> int:
        """This time included; numbers in the words do not count."""
        words = f"{trial.kind}: {re.sub('[0-9]+', '0', trial.message)}"
        self._seen[words] += 1
        return self._seen[words]


def is_told(n: int) -> bool:
    """Whether the `n`th failure with the same words is worth a warning: the first, and whenever they have doubled."""
    return n & (n - 1) == 0


def has_results(history: History) -> bool:
    """Whether a run has brought any; what was added from elsewhere does not count."""
    return any(t.source != "added" for t in history.completed)


def blamed(history: History) -> list[Trial]:
    """Trials that failed, but by no fault of the machines."""
    return [trial for trial in history.failed if trial.kind not in RETRIED_KINDS]


def hopeless_words(study: Study, trace: str) -> str:
    """Why a run stops after so many failures."""
    failed = blamed(study.history)
    last = failed[-1]
    return (
        f"the first {len(failed)} trials all failed; the last, #{last.number}: {last.message}. The run stops here, "
        f"to spend no more. Fix the cause, then {way_back(study)}\n" + shown(trace, lines=True).rstrip()
    ).rstrip()


class Failures:
    """Those of one run: counted, logged, and judged."""

    def __init__(self, study: Study) -> None:
        self._study = study
        self._repeats = Repeats()
        self._suspects: list[tuple[Trial, str]] = []
        """Trials that failed by what looks like a bug while none had a result, each with its traceback."""

    def note(self, trial: Trial, outcome: Outcome, history: History) -> str:
        """Log how a trial ended; a failure is a warning, unless the same has been told often. Returns the traceback, or the
        last lines written, of one with new words."""
        facts = {"trial": trial.number, "state": str(trial.state)}
        is_lost = trial.state is TrialState.WAITING and outcome.kind not in (None, "cancelled")
        if trial.state is not TrialState.FAILED and not is_lost:
            log.info("trial %d %s", trial.number, trial.state, extra=facts)
            return ""
        is_meant = "failed" in (outcome.value or {})  # TrialFailed says so, and is no bug
        if is_bug(trial) and not is_meant and not has_results(history):
            self._suspects.append((trial, outcome.log_tail))
        n = self._repeats.count(trial)
        trace = shown(outcome.log_tail, lines=True) if n == 1 else ""
        log.log(
            logging.WARNING if is_told(n) else logging.INFO,
            "%s%s%s",
            shown(trial_words(history, trial), lines=True),
            f" ({n} times so far)" if n > 1 else "",
            f"\nthe whole: {outcome.logs[-1]}" if outcome.logs else f"\n{trace}" if trace else "",
            extra=facts,
        )
        return trace

    @property
    def show_a_bug(self) -> bool:
        """Whether a trial has failed by what looks like a bug, and no result shows that the program works."""
        return bool(self._suspects) and not has_results(self._study.history)

    def bug(self) -> ExecutorError:
        """Why the run stops."""
        trials = [trial for trial, _ in self._suspects]
        return ExecutorError(_bug_words(trials, self._suspects[0][1], is_stored=_where(self._study) is not None))


def mended(study: Study) -> list[Trial]:
    """Hand back the trials that bugs have failed in a study without results, for whoever runs it again has fixed the
    program. Returns them."""
    history = study.history
    if has_results(history):
        return []
    return [study.requeue(trial, "its program was run again") for trial in history.failed if is_bug(trial)]


def way_back(study: Study) -> str:
    """How failed trials are run again without using up the budget; the command only where it can reach the study."""
    words, where = 'have these trials run again: study.requeue_failed("fixed")', _where(study)
    if where is None:
        return words
    return f"{words}, or hpo requeue --failed {shlex.quote(study.name)} --storage {shlex.quote(where)}"


def _where(study: Study) -> str | None:
    """The storage of a study as the command line takes it, without a password: its file, from the present folder where it
    lies below, or its URL; None for one in memory."""
    url = study.storage.url
    if not is_url(url):
        return None
    if (path := file_of(url)) is None:
        return redact(url)
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def no_result_words(study: Study, history: History) -> str:
    """`; no trial has a result: 5 failed, ...`, to follow why a run ended; nothing where there are results."""
    if has_results(history) or not history.failed:
        return ""
    last = history.failed[-1]
    said = f"#{last.number} ({last.kind}): {last.message}"
    return (
        f"; no trial has a result: {counted(len(history.failed), 'trial')} failed, the last, {said}. Fix the cause, "
        f"then {way_back(study)}"
    )


def _bug_words(trials: list[Trial], trace: str, *, is_stored: bool) -> str:
    """Why a run stops at the first failure of this sort."""
    first, message, hint = trials[0], trials[0].message, ""
    if message.startswith(("KeyError", "AttributeError")) and "trial.params[" not in message:
        hint = f"The trial has params {', '.join(first.params)}: trial.params['{next(iter(first.params))}']"
    say_so = 'raise hpo.TrialFailed("error", "why") for them'
    if message.startswith("the command"):
        say_so = "have the command end with an exit code and a message of its own for them"
    first_again = ": failed trials are run again first, and use up no trial of the budget" if is_stored else ""
    rows = [f"  {row}" for row in shown(trace, lines=True).strip().splitlines()]
    return "\n".join(
        [
            f"trial {first.number} failed because of an error in the program, not because of its params: "
            + shown(message, lines=True),
            *rows,
            *([hint] if hint else []),
            f"No trial has a result yet, so the run stops here. Fix the program and run it again{first_again}. If only "
            f"some params are to blame, {say_so}, and the run goes on",
        ]
    )

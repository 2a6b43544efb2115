"""Failures of a run: which of them are new, and which say that the program itself is at fault."""

from __future__ import annotations

import re
import shlex
from collections import Counter

from hpo.executors import Outcome
from hpo.history import History
from hpo.progress import counted
from hpo.trial import Trial

HOPELESS = 10
"""Failures and no result after which a run is given up, whatever their kinds."""

_BUGS = (
    *("TypeError", "AttributeError", "NameError", "UnboundLocalError", "KeyError", "NotImplementedError"),
    *("ImportError", "ModuleNotFoundError", "SyntaxError", "IndentationError", "TabError"),
    *("FileNotFoundError", "PermissionError", "NotADirectoryError", "IsADirectoryError"),
)
_NAMED = re.compile(rf"(?:^|\s)(?:{'|'.join(_BUGS)})(?::|$)")
_COMMAND = re.compile(r"^the command ended (?:with exit code (\d+)|well but reported no metrics)")
_USAGE = re.compile(
    r"^usage:|can't open file|cannot open|unrecognized (?:arguments|option)", re.IGNORECASE | re.MULTILINE
)


def is_bug(outcome: Outcome) -> bool:
    """Whether a work failed by what no params are to blame for, as far as its last words tell: an exception such as
    NameError or TypeError, a file or a module that is not there, a command that cannot be run or used so, or that reports
    no metrics. Exceptions of classes that the user has made are never taken for one."""
    if outcome.kind != "error":
        return False
    if command := _COMMAND.match(outcome.message):
        last = outcome.log_tail.rstrip().rsplit("\n", 1)[-1]
        is_misused = command[1] == "2" and _USAGE.search(outcome.log_tail)
        return command[1] in (None, "126", "127") or bool(is_misused) or _begins_so(last)
    return _begins_so(outcome.message) or (outcome.message.startswith("File ") and bool(_NAMED.search(outcome.message)))


def _begins_so(line: str) -> bool:
    named = _NAMED.match(line)
    return named is not None


class Failures:
    """Those of one run, counted."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()

    def count(self, kind: str, message: str) -> int:
        """How often it has failed with these words by now, this time included; numbers in them do not count."""
        words = f"{kind}: {re.sub(r'[0-9]+', '0', message)}"
        self.seen[words] += 1
        return self.seen[words]


def is_told(n: int) -> bool:
    """Whether the `n`th failure with the same words is worth a warning: the first, and whenever they have doubled."""
    return n & (n - 1) == 0


def has_results(history: History) -> bool:
    """Whether a run has brought any; what was added from elsewhere does not count."""
    return any(t.source != "added" for t in history.completed)


def bug_words(study: str, trials: list[Trial], message: str, trace: str) -> str:
    """Why a run stops at the first failure of this sort."""
    first = trials[0]
    hint = ""
    if message.startswith("TypeError") and "argument" in message and "  File " not in trace:
        hint = "\nThe objective is called with one argument, the trial: def train(trial): ... trial.params['lr'] ..."
    elif message.startswith(("KeyError", "AttributeError")):
        hint = f"\nThe trial has params {', '.join(first.params)}: trial.params['{next(iter(first.params))}']"
    waiting = f"trial {first.number} waits" if len(trials) == 1 else f"{len(trials)} trials wait"
    return (
        f"trial {first.number} failed by a fault of the program, whatever the params: {message}\n{_indented(trace)}{hint}\n"
        f"Nothing has a result yet, so the run stops here and nothing of the budget is used: {waiting} to be run again. "
        f"Mend it, and run study {study!r} again. Where only some params are to blame, raise "
        'hpo.TrialFailed("error", "why") for them, and the run goes on'
    )


def hopeless_words(study: str, history: History, trace: str) -> str:
    """Why a run is given up after so many failures."""
    last = history.failed[-1]
    return (
        f"the first {len(history.failed)} trials all failed; the last, #{last.number}: {last.message}. Nothing more is "
        f"started, so that no more is spent. When the fault is mended, {way_back(study)}\n{trace}".rstrip()
    )


def way_back(study: str) -> str:
    """How failed trials are run again without using up the budget."""
    return f'have them run again: study.requeue_failed("mended"), or hpo requeue --failed {shlex.quote(study)}'


def no_result_words(study: str, history: History) -> str:
    """`; no trial has a result: 5 failed, ...`, to follow why a run ended; nothing where there are results."""
    if has_results(history) or not history.failed:
        return ""
    last = history.failed[-1]
    said = f"#{last.number} ({last.kind}): {last.message}"
    return (
        f"; no trial has a result: {counted(len(history.failed), 'trial')} failed, the last, {said}. When the fault is "
        f"mended, {way_back(study)}"
    )


def _indented(trace: str) -> str:
    return "\n".join(f"  {line}" for line in trace.strip().splitlines())

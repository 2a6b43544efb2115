"""Text of others: what may be a name, and how what is not visible is shown on a screen or a page.

Names, messages and notes come from files, logs and colleagues. On a terminal an escape code in them would be obeyed, a
line break would tear a table, and a change of the reading direction would show something else than is there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_UNSEEN = (
    r"\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters, C0 and C1
    r"\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"  # widthless, separators, direction
    r"\ud800-\udfff\U000e0000-\U000e007f"  # halves of a character, invisible tags
)
INVISIBLE = re.compile(f"[{_UNSEEN}]")
"""One invisible character, other than a line break or a tab."""
_IN_LINE = re.compile(f"[\t\n{_UNSEEN}]")


def shown(text: str, *, lines: bool = False) -> str:
    r"""`text` with everything invisible written as an escape: `\x1b`, `\n`, `\u202e`. Plain text comes back as it is.

    lines: keep line breaks and tabs, for texts of several lines.
    """
    return (INVISIBLE if lines else _IN_LINE).sub(_escape, text)


def forbidden(text: str, *, lines: bool = False) -> str:
    """Why `text` cannot be a name, to follow it in a message; empty where it can.

    Names are one line of visible characters: they stand in tables, on command lines and in names of files.

    lines: for choices, which may have line breaks and tabs.
    """
    found = None if _is_stored.get() else (INVISIBLE if lines else _IN_LINE).search(text)
    on_one_line = "" if lines else ", on one line"
    return f"holds {_quoted(found[0])}, which is not visible; use visible characters{on_one_line}" if found else ""


@contextmanager
def stored_names() -> Iterator[None]:
    """Meanwhile nothing is forbidden: what an earlier version has stored is read as it is, and shown with escapes."""
    token = _is_stored.set(True)
    try:
        yield
    finally:
        _is_stored.reset(token)


_is_stored: ContextVar[bool] = ContextVar("hpo_stored_names", default=False)


def _quoted(character: str) -> str:
    return f"'{_escape(character)}'"


def _escape(found: re.Match[str] | str) -> str:
    return found[0].encode("unicode_escape").decode("ascii")


def counted(n: int, what: str) -> str:
    """`1 trial`, `2 trials`."""
    return f"{n} {what}{'' if n == 1 else 's'}"

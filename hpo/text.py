"""Text that people give: which characters no name and no choice may hold."""

from __future__ import annotations

import re

_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def forbidden_characters(text: str) -> str:
    r"""What `text` holds that cannot be stored and shown everywhere, as the end of a sentence that begins with it; the
    empty string when nothing.

    Control characters (NUL, line breaks, escape codes: C0 and C1) and lone halves of surrogate pairs are refused. All
    other Unicode is fine.
    """
    found = _FORBIDDEN.search(text)
    return f"holds {found[0]!r}; text must be free of control characters and lone surrogates" if found else ""

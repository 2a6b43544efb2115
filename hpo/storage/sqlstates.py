"""What PostgreSQL, its driver and the poolers before it say, and which of it passes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlalchemy as sa

LOCKED, CANCELLED, READ_ONLY, DISK_FULL = "55P03", "57014", "25006", "53100"

_PASSING = ("08", "25P0", "40001", "40003", "40P01", "53", "57P0", "58000", READ_ONLY, CANCELLED, LOCKED)
"""Beginnings of SQLSTATEs: a lost connection (of poolers also no free one), a transaction that was idle or took too long,
a serialization failure, a deadlock, no resources, shutting down or starting up, a pooler without a server (pgcat)."""

_NEVER = re.compile(
    r"password authentication failed|no password supplied|authentication failed for user|pg_hba\.conf"
    r"|(?:role|database) .* does not exist|permission denied for|is not permitted to log in|no such (?:user|database)"
    r"|unsupported startup parameter|server does not support SSL|certificate|private key|invalid (?:port|integer) "
    r"|requires? (?:a )?(?:password|peer|SSL)|SASL|SCRAM"
)
"""Refusals of a connection that the driver hands on without their SQLSTATE, and that stay as they are."""

_UNANSWERED = re.compile(
    r"refused|translate host name|resolve host|[Nn]ame or service not known|nodename nor servname|[Nn]ame resolution"
    r"|No such file or directory|No route to host|[Uu]nreachable"
)
"""Nobody is there who could refuse."""


def sqlstate(error: sa.exc.DBAPIError) -> str:
    """The server's code; empty where it gave none, or the driver did not hand it on."""
    return getattr(error.orig, "sqlstate", None) or ""


def is_passing(error: sa.exc.DBAPIError) -> bool:
    """Whether the same step may succeed a little later."""
    import sqlalchemy as sa

    if state := sqlstate(error):
        return state.startswith(_PASSING)
    if error.connection_invalidated:
        return True
    return isinstance(error, sa.exc.OperationalError | sa.exc.InterfaceError) and not _NEVER.search(str(error.orig))


def is_unanswered(error: sa.exc.DBAPIError) -> bool:
    """Whether nobody is at that address: it is wrong, or the server is not up."""
    return is_passing(error) and not sqlstate(error) and bool(_UNANSWERED.search(str(error.orig)))


WORDS = (
    (READ_ONLY, "{where} is read-only now, as a server is during a failover, and a replica always"),
    (DISK_FULL, "the disk of {where} is full; free some space there"),
    ("53", "{where} has no room for more, such as connections"),
    (CANCELLED, "{where} has broken off a statement, by its statement_timeout or an administrator's word"),
)
"""What passes in words, where nothing of a step was stored, by the beginnings of its code."""

"""Which words of a server, a driver, a pooler pass."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from hpo.storage.sqlstates import is_passing, is_unanswered

FAILED = 'connection failed: connection to server at "10.0.0.7", port 5432 failed: '


def error(text: str, state: str | None, kind: type[sa.exc.DBAPIError] = sa.exc.OperationalError) -> sa.exc.DBAPIError:
    orig = Exception(text)
    orig.sqlstate = state  # type: ignore[attr-defined]
    return kind("SELECT 1", {}, orig)


@pytest.mark.parametrize(
    "state",
    [
        *("08006", "08P01", "25006", "25P03", "25P04", "40001", "40P01", "53100", "53200", "53300", "53400", "55P03"),
        *("57014", "57P01", "57P02", "57P03", "57P05", "58000"),
    ],
)
def test_what_passes(state: str) -> None:
    assert is_passing(error("of the server", state))
    assert not is_unanswered(error("refused", state))


@pytest.mark.parametrize("state", ["28P01", "28000", "3D000", "42501", "42P01", "22003", "23505", "XX000"])
def test_what_stays(state: str) -> None:
    assert not is_passing(error("of the server", state))


@pytest.mark.parametrize(
    "text",
    [
        FAILED + "FATAL:  the database system is starting up",
        FAILED + "FATAL:  the database system is in recovery mode",
        FAILED + "FATAL:  sorry, too many clients already",
        FAILED + "FATAL:  no more connections allowed (max_client_conn)",
        FAILED + "FATAL:  query_wait_timeout",
        FAILED + "session is read-only",
        FAILED + "server closed the connection unexpectedly",
        "server conn crashed?",
        "connection timeout expired",
        "no answer for 20 s, so the connection was given up",
    ],
)
def test_what_passes_without_a_code(text: str) -> None:
    assert is_passing(error(text, None))
    assert not is_unanswered(error(text, None))


@pytest.mark.parametrize(
    "text",
    [
        FAILED + "Connection refused\n\tIs the server running on that host and accepting TCP/IP connections?",
        FAILED + "No route to host",
        FAILED + "Network is unreachable",
        "[Errno -2] Name or service not known",
        'could not translate host name "no.such" to address: Temporary failure in name resolution',
        "failed to resolve host 'no.such': [Errno -2] Name or service not known",
        'connection to server on socket "/run/.s.PGSQL.5432" failed: No such file or directory',
    ],
)
def test_where_nobody_answers(text: str) -> None:
    assert is_passing(error(text, None))
    assert is_unanswered(error(text, None))


@pytest.mark.parametrize(
    "text",
    [
        FAILED + 'FATAL:  password authentication failed for user "joe"',
        FAILED + "fe_sendauth: no password supplied",
        FAILED + 'FATAL:  role "joe" does not exist',
        FAILED + 'FATAL:  database "joe" does not exist',
        FAILED + 'FATAL:  no pg_hba.conf entry for host "10.0.0.8", user "joe", database "hpo", no encryption',
        FAILED + 'FATAL:  permission denied for database "hpo"',
        FAILED + 'FATAL:  role "joe" is not permitted to log in',
        FAILED + 'FATAL:  no such user: "joe"',
        FAILED + "FATAL:  unsupported startup parameter: options",
        FAILED + "server does not support SSL, but SSL was required",
        FAILED + "SSL error: certificate verify failed",
        'root certificate file "/root/.postgresql/root.crt" does not exist',
    ],
)
def test_what_stays_without_a_code(text: str) -> None:
    assert not is_passing(error(text, None))
    assert not is_unanswered(error(text, None))


def test_a_mistake_of_the_url_stays() -> None:
    assert not is_passing(error('invalid connection option "color"', None, sa.exc.ProgrammingError))

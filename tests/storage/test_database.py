"""The protocol of databases: SQLite and PostgreSQL have its shape, no more and no less of it is called.

What they do is tested in `test_sqlite.py` and `test_postgres.py`.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

import hpo.storage.connections
import hpo.storage.schema
import hpo.storage.sql
import hpo.storage.sql_log
from hpo.storage.database import Database
from hpo.storage.postgres import PostgresServer
from hpo.storage.sqlite import SqliteFile

MEMBERS = {name: member for name, member in vars(Database).items() if not name.startswith("_")}


@pytest.mark.parametrize("database", [SqliteFile, PostgresServer])
@pytest.mark.parametrize("name", MEMBERS)
def test_a_database_is_called_as_the_protocol_says(database: type, name: str, tmp_path: Path) -> None:
    wanted, own = MEMBERS[name], getattr(database, name, None)
    if inspect.isfunction(wanted):
        assert inspect.isfunction(own)
        assert list(inspect.signature(own).parameters) == list(inspect.signature(wanted).parameters)
    else:  # patience may be an attribute
        assert isinstance(own, property) or hasattr(SqliteFile(tmp_path / "hpo.db", 1.0), name)


def test_all_of_the_protocol_is_used() -> None:
    users = (hpo.storage.connections, hpo.storage.schema, hpo.storage.sql, hpo.storage.sql_log)
    text = "".join(inspect.getsource(module) for module in users)
    used = set(re.findall(r"\b_?database\.(\w+)", text))
    assert used == set(MEMBERS)

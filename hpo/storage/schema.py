"""The tables, and how a database comes to have them."""

from __future__ import annotations

import threading
from importlib.util import find_spec
from pathlib import Path

import sqlalchemy as sa

from hpo.errors import MissingExtra, StorageError
from hpo.storage.connections import Connections
from hpo.storage.database import Database

HEAD = "0002"
"""The revision this version of the library works with: the last of `migrations/versions`."""
MIGRATIONS = Path(__file__).with_name("migrations")

_upgrading = threading.Lock()
"""Alembic keeps the migration that runs in module globals."""

metadata = sa.MetaData()

study = sa.Table(
    "study",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("definition", sa.Text, nullable=False),
    sa.Column("facts", sa.Text, nullable=False),
    sa.Column("created_at", sa.Text, nullable=False),
    sa.Column("last_seq", sa.Integer, nullable=False),
)

event = sa.Table(
    "event",
    metadata,
    sa.Column("study_id", sa.Integer, sa.ForeignKey("study.id"), primary_key=True),
    sa.Column("seq", sa.Integer, primary_key=True),
    sa.Column("at", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("number", sa.Integer),
    sa.Column("data", sa.Text, nullable=False),
    sa.Column("request", sa.Text),
    sa.Index("event_number", "study_id", "number"),
    sa.Index("event_request", "study_id", "request"),
)

lease = sa.Table(
    "lease",
    metadata,
    sa.Column("study_id", sa.Integer, sa.ForeignKey("study.id"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("owner", sa.Text, nullable=False),
    sa.Column("until", sa.Double, nullable=False),
)

version = sa.Table(
    "hpo_version",
    sa.MetaData(),
    sa.Column("version_num", sa.String(32), nullable=False),
    sa.PrimaryKeyConstraint("version_num", name="hpo_version_pkc"),
)
"""Alembic's own table, under our name: another program in the database may use Alembic too."""

OWN = frozenset({"study", "event", "hpo_version"})
"""Tables of every revision: a database that has them is ours."""


def prepare(database: Database, connections: Connections) -> None:
    """Give a new database its tables, bring an older one up to date, and do nothing at all to one that is neither.

    Changes are made in one exclusive transaction: whoever looks sees the old or the new, and of several processes one
    does the work. Raises StorageError for a database of another program or of a later version of the library.
    """
    with connections.reading() as connection, connections.explained():
        tables = frozenset(sa.inspect(connection).get_table_names())
        database.adopt(connection, tables, OWN)
        if tables >= OWN and _revision(connection, database) == HEAD:
            return
    with connections.writing() as connection, connections.explained():
        database.lock_schema(connection)
        if sa.inspect(connection).has_table(version.name):
            revision = _revision(connection, database)
            if revision != HEAD:
                if find_spec("alembic") is None:
                    raise MissingExtra(
                        f"an earlier version of hpo made {database.where}; to bring it up to date needs alembic: "
                        "pip install alembic. Nothing was changed"
                    )
                database.back_up(HEAD)
                upgrade(connection)
        else:
            metadata.create_all(connection)
            version.create(connection)
            connection.execute(version.insert().values(version_num=HEAD))


def upgrade(connection: sa.Connection, revision: str = "head") -> None:
    """Run the migrations up to `revision` inside the connection's transaction. An empty database may start there."""
    from alembic import command
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    with _upgrading:
        command.upgrade(config, revision)


def check_version(found: object, database: Database) -> str:
    """The revision of the tables, if this version may work with them. Raises StorageError: a later version has upgraded
    them, perhaps while this process was at work."""
    if not str(found).isdecimal():
        raise StorageError(f"{database.where} has no revision this version knows (it says {found!r}); is it damaged?")
    if int(str(found)) > int(HEAD):
        raise StorageError(
            f"{database.where} has schema {found}, made by a later version of hpo; this one knows up to {HEAD}. "
            "Nothing was changed; use that version of hpo, or a newer one"
        )
    return str(found)


def _revision(connection: sa.Connection, database: Database) -> str:
    found = connection.execute(sa.select(version.c.version_num)).scalars().all()
    return check_version(found[0] if len(found) == 1 else list(found), database)

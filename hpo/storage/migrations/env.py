"""Run by Alembic: the migrations, on the connection that `hpo.storage.schema.upgrade` hands over.

The connection is inside a transaction of ours, which Alembic leaves alone: all migrations are kept, or none.
"""

from __future__ import annotations

from alembic import context

from hpo.storage.schema import version

context.configure(connection=context.config.attributes["connection"], version_table=version.name)
context.run_migrations()

"""Run by Alembic: the migrations, on the connection that `hpo.storage.schema.upgrade` hands over."""

from __future__ import annotations

from alembic import context

from hpo.storage.schema import metadata, version


def run() -> None:
    """One transaction, ours: SQLite can take tables back too, as long as its driver is not asked to begin."""
    context.configure(
        connection=context.config.attributes["connection"],
        target_metadata=metadata,
        version_table=version.name,
        transactional_ddl=True,
        render_as_batch=True,
    )
    with context.begin_transaction():
        context.run_migrations()


run()

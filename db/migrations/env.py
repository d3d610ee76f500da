"""Alembic's entry: runs what `db.migrate` asks for on the connection it gives, in its transaction."""

from __future__ import annotations

from alembic import context

from db.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    compare_type=True,
    compare_server_default=False,  # sequences and casts read back differently than written
)
context.run_migrations()

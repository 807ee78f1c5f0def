"""Alembic's entry: runs the migrations on the connection that ``engine.migrate`` opened."""

from __future__ import annotations

from alembic import context

from cluster.storage.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    # SQLite cannot alter a table in place.
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()

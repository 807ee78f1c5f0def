"""Alembic's entry: runs the migrations on the connection that ``engine.migrate`` opened."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection
from sqlalchemy.dialects.mysql.base import MySQLDialect

from cluster.storage.tables import METADATA


def compare_to_the_byte(connection: Connection) -> None:
    """Let new tables of MariaDB and MySQL tell "Anna" from "anna" and "a " from "a"."""
    dialect = connection.dialect
    if isinstance(dialect, MySQLDialect):
        collation = "utf8mb4_nopad_bin" if dialect.is_mariadb else "utf8mb4_0900_bin"
        connection.exec_driver_sql(f"ALTER DATABASE CHARACTER SET utf8mb4 COLLATE {collation}")


compare_to_the_byte(context.config.attributes["connection"])
context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    # SQLite cannot alter a table in place.
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()

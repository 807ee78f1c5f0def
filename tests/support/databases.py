"""Databases for tests: fresh ones, cheaply, of every kind that is installed here."""

from __future__ import annotations

import functools
import itertools
import tempfile
from pathlib import Path

from sqlalchemy import insert, select, text

from cluster.storage.engine import migrate, open_engine, reading
from cluster.storage.tables import METADATA
from tests.support.servers import Mariadb, Postgresql

KINDS = ["sqlite", "postgresql", "mariadb"]

SqlServer = Postgresql | Mariadb

_numbers = itertools.count(1)


@functools.cache
def _template() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "parkgrid.sqlite"
        engine = open_engine(f"sqlite:///{path}")
        migrate(engine)
        engine.dispose()
        return path.read_bytes()


def migrated_sqlite(path: Path) -> str:
    """Return the URL of a migrated SQLite database; a copy, so that only the first one costs."""
    path.write_bytes(_template())
    return f"sqlite:///{path}"


class ServerDatabases:
    """The databases on one server.

    Args:
        server: a running one.
    """

    def __init__(self, server: SqlServer) -> None:
        self.server = server

    def empty(self) -> str:
        """Return the URL of a new database without tables."""
        name = f"test{next(_numbers)}"
        engine = open_engine(self.server.url, statement_s=60.0)
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
        engine.dispose()
        return self.server.database(name)

    @functools.cached_property
    def _shared(self) -> tuple[str, dict[str, list[dict[str, object]]]]:
        url = self.empty()
        engine = open_engine(url)
        migrate(engine)
        with reading(engine) as connection:
            seeds = {
                table.name: [dict(row) for row in connection.execute(select(table)).mappings()]
                for table in METADATA.sorted_tables
            }
        engine.dispose()
        return url, seeds

    def migrated(self) -> str:
        """Return the URL of a database as migration leaves it.

        It is the same one every time, emptied of what the last test left.
        """
        url, seeds = self._shared
        engine = open_engine(url, lock_wait_s=10.0, statement_s=30.0)
        unchecked = {
            "postgresql": "SET session_replication_role = replica",
            "mysql": "SET foreign_key_checks = 0",
        }[engine.dialect.name]
        with engine.execution_options(purpose="write").begin() as connection:
            connection.execute(text(unchecked))
            for table in METADATA.sorted_tables:
                connection.execute(table.delete())
                if seeds[table.name]:
                    connection.execute(insert(table), seeds[table.name])
        engine.dispose()
        return url

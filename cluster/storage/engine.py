"""Opening the database: SQLite made durable, one way to write, one map of errors, migration.

The only module that knows which database it is. SQLite runs in WAL mode with ``synchronous=FULL``:
readers never wait for the writer, and what was committed survives the loss of power. A writing
transaction takes the write lock first, so that it cannot fail half way for having read too early.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, create_engine, event, exc, make_url

from controllers.kernel.errors import StorageUnavailableError

if TYPE_CHECKING:
    from alembic.config import Config

LOCK_WAIT_S = 1.0
"""How long a transaction waits for another process's lock."""

_MIGRATIONS = Path(__file__).parent / "migrations"


def open_engine(url: str, *, lock_wait_s: float = LOCK_WAIT_S) -> Engine:
    """Return an engine; connects at the first use.

    Raises:
        StorageUnavailableError: the URL names no usable database.
    """
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() != "sqlite":
            return create_engine(parsed, pool_pre_ping=True, pool_timeout=lock_wait_s)
        engine = create_engine(parsed, connect_args={"timeout": lock_wait_s})
    except (exc.ArgumentError, ImportError) as error:
        raise StorageUnavailableError("the database URL cannot be used") from error
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: object) -> None:
    # Transactions are begun by _begin_sqlite, not by the driver behind our back.
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Open a writing transaction; commits at the end, rolls back on an error.

    Raises:
        StorageUnavailableError: locked for too long, full, damaged or gone; nothing was written.
    """
    with mapped_errors(), engine.execution_options(writes=True).begin() as connection:
        yield connection


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Open a reading transaction: one consistent picture.

    Raises:
        StorageUnavailableError: the database does not answer.
    """
    with mapped_errors(), engine.begin() as connection:
        yield connection


@contextmanager
def mapped_errors() -> Iterator[None]:
    """Turn the library's errors into ours, without the statement and its values.

    Raises:
        StorageUnavailableError: the database failed, not the statement.
    """
    try:
        yield
    except (exc.IntegrityError, exc.ProgrammingError, exc.DataError):
        raise
    except exc.DBAPIError as error:
        raise StorageUnavailableError(f"database: {error.orig}") from error
    except exc.TimeoutError as error:
        raise StorageUnavailableError("database: no connection became free in time") from error


def migrate(engine: Engine) -> None:
    """Bring the tables to the newest revision; doing it again changes nothing.

    Raises:
        StorageUnavailableError: the database is locked or gone; nothing was changed.
    """
    # Only who migrates pays for Alembic: it takes as long to import as all the rest of SQL.
    from alembic import command  # noqa: PLC0415

    with writing(engine) as connection:
        command.upgrade(migration_config(connection), "head")


def migration_config(connection: Connection) -> Config:
    """Return what Alembic's commands need to work on an open connection."""
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config

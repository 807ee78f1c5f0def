"""Opening the database: one way to read, one way to write, one map of errors, migration.

SQLite runs in WAL mode with ``synchronous=FULL``: readers never wait for the writer, and what was
committed survives the loss of power. What differs between databases is in ``dialects``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, exc, make_url
from sqlalchemy.engine import ExceptionContext

from cluster.storage.dialects import (
    BACKENDS,
    Limits,
    Purpose,
    error_class,
    is_lost_connection,
    is_of_statement,
    reason,
    sqlstate,
)
from controllers.kernel.errors import StorageUnavailableError

if TYPE_CHECKING:
    from alembic.config import Config

LOCK_WAIT_S = 1.0
"""How long a transaction waits for another one's lock."""
STATEMENT_S = 2.0
"""How long a server works on one statement."""
PATIENT_S = 900.0
"""The same where a statement may go through a whole table: migration, backup."""

_MIGRATIONS = Path(__file__).parent / "migrations"
_POOL_SIZE = 5
_RECYCLE_S = 1800
_PURPOSE = "purpose"


def open_engine(
    url: str | URL, *, lock_wait_s: float = LOCK_WAIT_S, statement_s: float = STATEMENT_S
) -> Engine:
    """Return an engine; connects at the first use.

    Args:
        url: ``sqlite:///FILE``, ``postgresql://…``, ``mysql://…`` or ``mariadb://…``; the driver is
            chosen here.
        lock_wait_s: see ``LOCK_WAIT_S``.
        statement_s: see ``STATEMENT_S``.

    Raises:
        StorageUnavailableError: the URL names no usable database.
    """
    limits = Limits(lock_s=lock_wait_s, statement_s=statement_s)
    try:
        parsed = make_url(url)
        backend = BACKENDS[parsed.get_backend_name()]
        if parsed.drivername in BACKENDS:
            parsed = parsed.set(drivername=backend.driver)
        elif parsed.drivername != backend.driver:
            raise KeyError(parsed.drivername)
        more: dict[str, Any] = {}
        if parsed.get_backend_name() != "sqlite":
            more = {
                "pool_size": _POOL_SIZE,
                "pool_timeout": lock_wait_s,
                "pool_recycle": _RECYCLE_S,
                "pool_pre_ping": True,
            }
        arguments = dict(backend.connect_args(limits))
        engine = create_engine(parsed, connect_args=arguments, hide_parameters=True, **more)
    except (exc.ArgumentError, ImportError, KeyError) as error:
        raise StorageUnavailableError(
            "the database URL cannot be used; it begins with sqlite, postgresql, mysql or mariadb"
        ) from error

    # Many rows in one statement, where the driver would send them one by one.
    engine.dialect.use_insertmanyvalues_wo_returning = backend.inserts_one_by_one

    def prepare(connection: Any, _record: object) -> None:
        try:
            backend.prepare(connection, limits)
        except BaseException:
            # Nobody else knows of it yet.
            connection.close()
            raise

    def begin(connection: Connection) -> None:
        purpose = connection.get_execution_options().get(_PURPOSE, Purpose.READ)
        for statement in backend.begin[purpose]:
            connection.exec_driver_sql(statement)

    event.listen(engine, "connect", prepare)
    event.listen(engine, "begin", begin)
    event.listen(engine, "handle_error", _tell_apart, retval=True)
    return engine


def _tell_apart(context: ExceptionContext) -> BaseException | None:
    """Give errors of PostgreSQL the class that other databases give them."""
    if isinstance(context.original_exception, OSError):
        # Its driver lets a time-out through as it is.
        context.is_disconnect = True
        return exc.OperationalError(None, None, context.original_exception)
    state = sqlstate(context.original_exception)
    if state is None:
        return None
    context.is_disconnect = context.is_disconnect or is_lost_connection(state)
    class_ = error_class(state)
    return class_(context.statement, None, context.original_exception, hide_parameters=True)


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Open a writing transaction; commits at the end, rolls back on an error.

    Writing transactions of all processes follow one another, on every database.

    Raises:
        StorageUnavailableError: locked for too long, full, damaged or gone; nothing was written,
            unless the connection was lost during the commit.
    """
    with _transaction(engine, Purpose.WRITE) as connection:
        yield connection


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Open a reading transaction: one consistent picture.

    Raises:
        StorageUnavailableError: the database does not answer.
    """
    with _transaction(engine, Purpose.READ) as connection:
        yield connection


@contextmanager
def _transaction(engine: Engine, purpose: Purpose) -> Iterator[Connection]:
    options = {_PURPOSE: purpose}
    with mapped_errors(), engine.execution_options(**options).begin() as connection:
        yield connection


@contextmanager
def mapped_errors() -> Iterator[None]:
    """Turn the library's errors into ours, without the statement and its values.

    Raises:
        StorageUnavailableError: the database failed, not the statement.
    """
    try:
        yield
    except exc.DBAPIError as error:
        if is_of_statement(error):
            raise
        raise StorageUnavailableError(f"database: {reason(error)}") from error
    except OSError as error:
        raise StorageUnavailableError(f"database: {error.strerror or error}") from error
    except exc.TimeoutError as error:
        raise StorageUnavailableError("database: no connection became free in time") from error


def migrate(engine: Engine) -> None:
    """Bring the tables to the newest revision; doing it again changes nothing.

    Raises:
        StorageUnavailableError: the database is locked or gone; nothing was changed, except on
            MariaDB and MySQL, which keep the revisions that were complete.
    """
    # Only who migrates pays for Alembic: it takes as long to import as all the rest of SQL.
    from alembic import command  # noqa: PLC0415

    with migrating(engine) as connection:
        command.upgrade(migration_config(connection), "head")


@contextmanager
def migrating(engine: Engine) -> Iterator[Connection]:
    """Open a transaction that may alter tables, one at a time and without haste.

    Raises:
        StorageUnavailableError: as ``migrate``.
    """
    # A connection of its own, for the settings of such a transaction outlast it.
    patient = open_engine(engine.url, lock_wait_s=LOCK_WAIT_S, statement_s=PATIENT_S)
    try:
        with _transaction(patient, Purpose.MIGRATE) as connection:
            yield connection
            if connection.dialect.name == "sqlite":
                _refuse_orphans(connection)
    finally:
        patient.dispose()


def revision_of(connection: Connection) -> str | None:
    """Return the revision of a database's tables; None before the first migration."""
    from alembic.migration import MigrationContext  # noqa: PLC0415

    return MigrationContext.configure(connection).get_current_revision()


def revisions() -> list[str]:
    """Return the revisions that this program knows, the newest first."""
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    return [script.revision for script in ScriptDirectory(str(_MIGRATIONS)).walk_revisions()]


def _refuse_orphans(connection: Connection) -> None:
    # Foreign keys were not looked at while tables were copied.
    orphan = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
    if orphan is not None:
        raise StorageUnavailableError(
            f"database: a row of {orphan[0]} belongs to none in {orphan[2]}; nothing was migrated"
        )


def migration_config(connection: Connection) -> Config:
    """Return what Alembic's commands need to work on an open connection."""
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config

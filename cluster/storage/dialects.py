"""What differs between the databases: driver, time-outs, how transactions begin, what errors mean.

Everything else treats SQLite, PostgreSQL and MariaDB or MySQL alike. On all of them a reading
transaction sees one consistent picture, and writing transactions follow one another: each takes the
one write lock first, so that what it checked still holds when it writes. Every call to a server is
bounded twice, by the server's own limits and by the socket's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import exc

CONNECT_S = 2.0
"""How long a server may take to accept a connection."""

_SOCKET_SPARE_S = 1.0
_IDLE_IN_TRANSACTION_S = 10
_MIGRATION_LOCK_S = 60
_MIGRATION_LOCK = 0x7061726B  # "park"
_WRITE_LOCK = "SELECT seq FROM audit_head WHERE id = 1 FOR UPDATE"


class Purpose(StrEnum):
    """What a transaction is for."""

    READ = "read"
    WRITE = "write"
    MIGRATE = "migrate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long a database may take."""

    lock_s: float
    """To get a lock."""
    statement_s: float
    """For one statement."""

    @property
    def socket_s(self) -> float:
        """For one answer of a server, whatever it does."""
        return self.statement_s + _SOCKET_SPARE_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """One kind of database."""

    driver: str
    connect_args: Callable[[Limits], Mapping[str, object]]
    prepare: Callable[[Any, Limits], None]
    """Sets up a new connection of the driver."""
    begin: Mapping[Purpose, Sequence[str]]
    """Statements at the start of a transaction."""
    inserts_one_by_one: bool = False
    """Whether the driver makes many statements of many rows."""


def _prepare_sqlite(connection: Any, _limits: Limits) -> None:
    # Transactions are begun by the statements below, not by the driver behind our back.
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _prepare_postgresql(connection: Any, limits: Limits) -> None:
    settings = {
        "TimeZone": "UTC",
        "statement_timeout": _ms(limits.statement_s),
        "lock_timeout": _ms(limits.lock_s),
        # A client that hangs inside a transaction must not hold its locks for ever.
        "idle_in_transaction_session_timeout": _ms(_IDLE_IN_TRANSACTION_S),
    }
    _execute(connection, *(f"SET {name} = '{value}'" for name, value in settings.items()))
    connection.commit()


def _prepare_mysql(connection: Any, limits: Limits) -> None:
    # MySQL has no limit but for reading statements, and none for an idle transaction.
    own = f"max_execution_time = {_ms(limits.statement_s)}"
    if "MariaDB" in connection.get_server_info():
        own = (
            f"max_statement_time = {limits.statement_s:g}, "
            f"idle_transaction_timeout = {_IDLE_IN_TRANSACTION_S}"
        )
    lock_s = max(1, round(limits.lock_s))
    _execute(
        connection,
        "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
        # Without "traditional" a value that does not fit would be cut to size.
        f"SET time_zone = '+00:00', sql_mode = 'TRADITIONAL', innodb_lock_wait_timeout = {lock_s}, "
        f"lock_wait_timeout = {lock_s}, {own}",
    )


def _execute(connection: Any, *statements: str) -> None:
    cursor = connection.cursor()
    for statement in statements:
        cursor.execute(statement)
    cursor.close()


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


_SQLITE = Backend(
    driver="sqlite",
    connect_args=lambda limits: {"timeout": limits.lock_s},
    prepare=_prepare_sqlite,
    begin={
        Purpose.READ: ["BEGIN"],
        Purpose.WRITE: ["BEGIN IMMEDIATE"],
        # Tables are altered by copying, which foreign keys would take for deleting.
        Purpose.MIGRATE: ["PRAGMA foreign_keys=OFF", "BEGIN IMMEDIATE"],
    },
)
_POSTGRESQL = Backend(
    driver="postgresql+pg8000",
    connect_args=lambda limits: {
        "timeout": max(CONNECT_S, limits.socket_s),
        "application_name": "parkgrid",
    },
    prepare=_prepare_postgresql,
    inserts_one_by_one=True,
    begin={
        Purpose.READ: ["SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"],
        Purpose.WRITE: [_WRITE_LOCK],
        Purpose.MIGRATE: [f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})"],
    },
)
_MYSQL = Backend(
    driver="mysql+pymysql",
    connect_args=lambda limits: {
        "connect_timeout": CONNECT_S,
        "read_timeout": limits.socket_s,
        "write_timeout": limits.socket_s,
        "charset": "utf8mb4",
    },
    prepare=_prepare_mysql,
    begin={
        Purpose.READ: ["START TRANSACTION READ ONLY"],
        Purpose.WRITE: [_WRITE_LOCK],
        # Ends with the connection: its tables are altered outside of any transaction.
        Purpose.MIGRATE: [f"SELECT GET_LOCK('{_MIGRATION_LOCK}', {_MIGRATION_LOCK_S})"],
    },
)

BACKENDS: Mapping[str, Backend] = {
    "sqlite": _SQLITE,
    "postgresql": _POSTGRESQL,
    "postgres": _POSTGRESQL,
    "mysql": _MYSQL,
    "mariadb": _MYSQL,
}
"""By the name that a URL begins with."""

_CLASSES_BY_STATE: Mapping[str, type[exc.DatabaseError]] = {
    "22": exc.DataError,
    "23": exc.IntegrityError,
    "42": exc.ProgrammingError,
}
# The tables are not there, or not ours: the database is not as it must be.
_UNPREPARED_STATES = frozenset({"42P01", "42501"})
_UNPREPARED_NUMBERS = frozenset({1044, 1142, 1146})
# A check that a row breaks; the driver takes it for a failure of the server.
_CHECK_NUMBERS = frozenset({3819, 4025})
_CONNECTION_LOST_STATES = ("08", "57P")


def sqlstate(error: BaseException | None) -> str | None:
    """Return PostgreSQL's code of an error of its driver."""
    detail = _first_argument(error)
    state = detail.get("C") if isinstance(detail, dict) else None
    return state if isinstance(state, str) else None


def error_class(state: str) -> type[exc.DatabaseError]:
    """Return the class of a PostgreSQL error; its driver has one for almost all."""
    if state in _UNPREPARED_STATES:
        return exc.OperationalError
    return _CLASSES_BY_STATE.get(state[:2], exc.OperationalError)


def is_lost_connection(state: str) -> bool:
    """Whether PostgreSQL ended the connection with this error."""
    return state.startswith(_CONNECTION_LOST_STATES)


def is_of_statement(error: exc.DBAPIError) -> bool:
    """Whether a statement is to blame for an error, and not the database."""
    argument = _first_argument(error.orig)
    number = argument if isinstance(argument, int) else None
    if not isinstance(error, exc.IntegrityError | exc.ProgrammingError | exc.DataError):
        return number in _CHECK_NUMBERS
    return number not in _UNPREPARED_NUMBERS


def reason(error: exc.DBAPIError) -> str:
    """Return what a driver says of an error, without the values it was given."""
    detail = _first_argument(error.orig)
    return str(detail["M"]) if isinstance(detail, dict) and "M" in detail else str(error.orig)


def _first_argument(error: BaseException | None) -> object:
    return error.args[0] if error is not None and error.args else None

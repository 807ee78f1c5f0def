"""Rows for every table there is, made up from its columns."""

from __future__ import annotations

from datetime import UTC, date, datetime

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Connection,
    Date,
    DateTime,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    String,
    Table,
    func,
    insert,
    select,
)
from sqlalchemy.dialects.mysql import TINYINT

N_ROWS = 2


def value_of(column: Column[object], n: int) -> object:
    """Return what a column holds in row n; the same for the same type, so that keys fit."""
    kinds: list[tuple[type, object]] = [
        (Boolean, n == 1),
        (TINYINT, n == 1),
        (DateTime, datetime(2026, 1, n, tzinfo=UTC)),
        (Date, date(2026, 1, n)),
        (JSON, [n]),
        (Integer, n),
        (Numeric, 0.5 + n),
        (Float, 0.5 + n),
        (LargeBinary, b"%d" % n),
        # Valid JSON too, which is a string to MariaDB.
        (String, str(n)),
    ]
    return next(value for kind, value in kinds if isinstance(column.type, kind))


def row_of(connection: Connection, table: Table, n: int) -> dict[str, object]:
    """Return row n of a table; where it refers to another table, to a row that is there."""
    row = {column.name: value_of(column, n) for column in table.columns}
    for key in table.foreign_key_constraints:
        names = [element.column.name for element in key.elements]
        parents = connection.execute(select(key.referred_table).order_by(*names)).mappings().all()
        if parents:
            parent = parents[(n - 1) % len(parents)]
            row |= dict(zip(key.column_keys, (parent[name] for name in names), strict=True))
    return row


def fill(connection: Connection) -> None:
    """Put rows into every table that has none."""
    tables = MetaData()
    tables.reflect(connection)
    for table in tables.sorted_tables:
        if connection.execute(select(func.count()).select_from(table)).scalar_one() == 0:
            rows = [row_of(connection, table, n) for n in range(1, N_ROWS + 1)]
            connection.execute(insert(table), rows)

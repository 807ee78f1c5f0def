"""Rows of any table as lines of JSON and back, the same whichever database they come from."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

import msgspec
from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Connection,
    Date,
    Double,
    Float,
    Integer,
    LargeBinary,
    Numeric,
    Row,
    String,
    Table,
    TableClause,
    TypeDecorator,
    column,
    insert,
    select,
    table,
    tuple_,
)
from sqlalchemy.types import TypeEngine

from cluster.storage.tables.base import UtcInstant
from controllers.kernel.errors import DomainError
from controllers.kernel.wire import Wire

_PORTION_ROWS = 1000


class Kind(StrEnum):
    """What a column holds, as the file says it."""

    INSTANT = "instant"
    DATE = "date"
    JSON = "json"
    BOOLEAN = "boolean"
    INTEGER = "integer"
    NUMBER = "number"
    DECIMAL = "decimal"
    BYTES = "bytes"
    TEXT = "text"


class ColumnHead(Wire):
    """One column of a table."""

    name: str
    kind: Kind
    nullable: bool


# The first that fits counts: a number with a point is a Numeric to the library, too.
_KINDS: Sequence[tuple[type[TypeEngine[Any]], Kind]] = (
    (UtcInstant, Kind.INSTANT),
    (Date, Kind.DATE),
    (JSON, Kind.JSON),
    (Boolean, Kind.BOOLEAN),
    (Integer, Kind.INTEGER),
    (Float, Kind.NUMBER),
    (Numeric, Kind.DECIMAL),
    (LargeBinary, Kind.BYTES),
    (String, Kind.TEXT),
)
_VALUES: Mapping[Kind, Any] = {
    Kind.INSTANT: datetime,
    Kind.DATE: date,
    Kind.JSON: Any,
    Kind.BOOLEAN: bool,
    Kind.INTEGER: int,
    Kind.NUMBER: float,
    Kind.DECIMAL: Decimal,
    Kind.BYTES: bytes,
    Kind.TEXT: str,
}
_TYPES: Mapping[Kind, TypeEngine[Any]] = {
    Kind.INSTANT: UtcInstant(),
    Kind.DATE: Date(),
    Kind.BOOLEAN: Boolean(),
    Kind.INTEGER: BigInteger(),
    Kind.NUMBER: Double(),
    Kind.DECIMAL: Numeric(),
    Kind.BYTES: LargeBinary(),
    Kind.TEXT: String(),
}


def heads_of(source: Table) -> list[ColumnHead]:
    """Return what the columns of a table hold.

    Raises:
        DomainError: one of a type that has no form in the file yet.
    """
    return [
        ColumnHead(name=str(one.name), kind=_kind_of(one), nullable=bool(one.nullable))
        for one in source.columns
    ]


def _kind_of(one: Column[Any]) -> Kind:
    for type_, kind in _KINDS:
        if isinstance(one.type, type_) or _wraps(one.type, type_):
            return kind
    raise DomainError(str(one), one.type, "must be of a type that a backup can hold")


def _wraps(type_: TypeEngine[Any], inner: type[TypeEngine[Any]]) -> bool:
    return isinstance(type_, TypeDecorator) and isinstance(type_.impl_instance, inner)


def lines(connection: Connection, source: Table) -> Iterator[bytes]:
    """Yield every row of a table as a line, in the order of its key."""
    encoder = msgspec.json.Encoder()
    for row in _rows(connection, source):
        if any(isinstance(value, float) and not math.isfinite(value) for value in row):
            raise DomainError(source.name, "a row", "must hold finite numbers only")
        yield encoder.encode(list(row)) + b"\n"


def _rows(connection: Connection, source: Table) -> Iterator[Row[Any]]:
    key = list(source.primary_key)
    query = select(source).order_by(*key)
    if connection.dialect.name != "postgresql":
        yield from connection.execution_options(yield_per=_PORTION_ROWS).execute(query)
        return
    # Its driver would fetch the whole table at once.
    portion = query.limit(_PORTION_ROWS)
    rows = connection.execute(portion).all()
    while rows:
        yield from rows
        last = rows[-1]._mapping
        after = tuple_(*key) > tuple_(*[last[one.name] for one in key])
        rows = connection.execute(portion.where(after)).all()


def load(
    connection: Connection, name: str, heads: Sequence[ColumnHead], source: Iterable[bytes]
) -> int:
    """Insert lines into an empty table and return how many there were.

    Raises:
        DomainError: a line is not a row of these columns.
    """
    target = _target(name, heads)
    names = [head.name for head in heads]
    wanted: Any = tuple[tuple(_value_of(head) for head in heads)]  # type: ignore[misc]  # made here
    decoder = msgspec.json.Decoder(wanted)
    n_rows = 0
    gathered: list[dict[str, Any]] = []
    for line in source:
        try:
            values = decoder.decode(line)
        except msgspec.DecodeError as error:
            raise DomainError(f"{name}, line {n_rows + 1}", "(not shown)", str(error)) from error
        gathered.append(dict(zip(names, values, strict=True)))
        n_rows += 1
        if len(gathered) == _PORTION_ROWS:
            connection.execute(insert(target), gathered)
            gathered = []
    if gathered:
        connection.execute(insert(target), gathered)
    return n_rows


def _value_of(head: ColumnHead) -> Any:
    value = _VALUES[head.kind]
    return value | None if head.nullable and value is not Any else value


def _target(name: str, heads: Sequence[ColumnHead]) -> TableClause:
    columns: list[Any] = [
        column(head.name, _TYPES.get(head.kind, JSON(none_as_null=head.nullable))) for head in heads
    ]
    return table(name, *columns)

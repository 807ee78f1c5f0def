"""Pages of a query by the place where the last one ended, so that page 1,000 costs as much as 1.

A cursor holds the order and the sort value and id of the last row. It is checked, not trusted: it
can only say where to begin, so a forged one shows nothing that the caller could not list.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Column, ColumnElement, Connection, RowMapping, Select, and_, func, or_

from cluster.storage.tables.base import UtcInstant
from controllers.kernel.errors import DomainError
from controllers.kernel.wire import Wire
from controllers.ports.pages import Page, PageRequest

T = TypeVar("T")

_MAX_CURSOR_CHARS = 2000


class _Place(Wire):
    sort: str
    value: str | float | None
    id: str | int


def page_of(
    connection: Connection,
    query: Select[Any],
    request: PageRequest,
    *,
    sorts: Mapping[str, Column[Any]],
    default_sort: str,
    id_column: Column[Any],
    build: Callable[[RowMapping], T],
) -> Page[T]:
    """Return one page of a query.

    Args:
        connection: an open transaction.
        query: selects the sort columns and the id among others; unordered, filters applied.
        request: which part.
        sorts: what may be sorted by, none of them nullable.
        default_sort: used when the request names none.
        id_column: breaks ties; unique within the query.
        build: turns a row into an item.

    Raises:
        DomainError: unknown sort field, or a cursor that is not of this list.
    """
    sort = request.sort or default_sort
    name, descending = sort.removeprefix("-"), sort.startswith("-")
    column = sorts.get(name)
    if column is None:
        raise DomainError("sort", sort, f"must be one of {', '.join(sorted(sorts))}, or -…")
    if request.cursor is not None:
        query = query.where(_beyond(_read(request.cursor, sort), column, id_column, descending))
    order = (column, id_column)
    ordered = query.order_by(*(c.desc() if descending else c.asc() for c in order))
    rows = list(connection.execute(ordered.limit(request.limit + 1)).mappings())
    kept = rows[: request.limit]
    more = len(rows) > request.limit
    cursor = _write(sort, kept[-1][column.name], kept[-1][id_column.name]) if more else None
    return Page(items=[build(row) for row in kept], next_cursor=cursor)


def holds_text(column: Column[str], text: str) -> ColumnElement[bool]:
    """Return the condition that a column holds a text, in upper or lower case."""
    return func.lower(column).contains(text.lower(), autoescape=True)


def _beyond(place: _Place, column: Column[Any], id_column: Column[Any], descending: bool) -> Any:
    value: Any = place.value
    if isinstance(column.type, UtcInstant):
        value = _instant(place.value)
    if type(place.id) is not id_column.type.python_type:
        raise _bad_cursor()
    further = column < value if descending else column > value
    next_id = id_column < place.id if descending else id_column > place.id
    return or_(further, and_(column == value, next_id))


def _instant(value: object) -> datetime:
    try:
        instant = datetime.fromisoformat(str(value))
    except ValueError as error:
        raise _bad_cursor() from error
    if instant.tzinfo is None:
        raise _bad_cursor()
    return instant


def _write(sort: str, value: object, id_: str | int) -> str:
    text = value.isoformat() if isinstance(value, datetime) else value
    place = msgspec.json.encode({"sort": sort, "value": text, "id": id_})
    return base64.urlsafe_b64encode(place).decode().rstrip("=")


def _read(cursor: str, sort: str) -> _Place:
    if len(cursor) > _MAX_CURSOR_CHARS:
        raise _bad_cursor()
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        place = msgspec.json.decode(raw, type=_Place)
    except (binascii.Error, ValueError, msgspec.MsgspecError) as error:
        raise _bad_cursor() from error
    if place.sort != sort:
        raise _bad_cursor()
    return place


def _bad_cursor() -> DomainError:
    return DomainError("cursor", "(not shown)", "must be the next_cursor of a page in this order")

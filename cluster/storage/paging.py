"""Pages of a query by the place where the last one ended, so that page 1,000 costs as much as 1.

A cursor holds the order and the sort value and id of the last row. It is checked, not trusted: it
can only say where to begin, so a forged one shows nothing that the caller could not list.

Where rows follow something live, an overlay of what is newer than they are is merged into a page.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

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


_Key = tuple[Any, Any]
"""Sort value and id of a row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlay(Generic[T]):
    """What is newer than the rows of a query."""

    hidden: Set[str | int]
    """Ids of rows that are out of date."""
    shown: Sequence[T]
    """Items to show besides; the sort columns and the id are attributes of theirs."""


def page_of(
    connection: Connection,
    query: Select[Any],
    request: PageRequest,
    *,
    sorts: Mapping[str, Column[Any]],
    default_sort: str,
    id_column: Column[Any],
    build: Callable[[RowMapping], T],
    overlay: Overlay[T] | None = None,
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
        overlay: what is newer; needs an id column that is compared byte by byte.

    Raises:
        DomainError: unknown sort field, or a cursor that is not of this list.
    """
    sort = request.sort or default_sort
    name, descending = sort.removeprefix("-"), sort.startswith("-")
    column = sorts.get(name)
    if column is None:
        raise DomainError("sort", sort, f"must be one of {', '.join(sorted(sorts))}, or -…")
    start = None
    if request.cursor is not None:
        start = _key_in(_read(request.cursor, sort), column, id_column)
    ordered = query.order_by(*(c.desc() if descending else c.asc() for c in (column, id_column)))

    def rows_from(place: _Key | None) -> list[RowMapping]:
        further = ordered
        if place is not None:
            further = further.where(_beyond(place, column, id_column, descending))
        return list(connection.execute(further.limit(request.limit + 1)).mappings())

    def key_of(row: RowMapping) -> _Key:
        return row[column.name], row[id_column.name]

    rows = rows_from(start)
    found = [(key_of(row), row) for row in rows]
    if overlay is None:
        items = [(key, build(row)) for key, row in found]
    else:
        hidden = overlay.hidden
        kept = [one for one in found if one[0][1] not in hidden]
        while len(rows) > request.limit and len(kept) <= request.limit:
            rows = rows_from(key_of(rows[-1]))
            kept += [(key_of(row), row) for row in rows if key_of(row)[1] not in hidden]
        items = [(key, build(row)) for key, row in kept]
        items += _shown(overlay, start, column.name, id_column.name, descending)
        items.sort(key=lambda one: one[0], reverse=descending)
    page = items[: request.limit]
    cursor = _write(sort, *page[-1][0]) if len(items) > request.limit else None
    return Page(items=[item for _, item in page], next_cursor=cursor)


def holds_text(column: Column[str], text: str) -> ColumnElement[bool]:
    """Return the condition that a column holds a text, in upper or lower case."""
    return func.lower(column).contains(text.lower(), autoescape=True)


def _shown(
    overlay: Overlay[T], start: _Key | None, sort_name: str, id_name: str, descending: bool
) -> list[tuple[_Key, T]]:
    keyed = [((getattr(one, sort_name), getattr(one, id_name)), one) for one in overlay.shown]
    if start is None:
        return keyed
    return [one for one in keyed if (one[0] < start if descending else one[0] > start)]


def _key_in(place: _Place, column: Column[Any], id_column: Column[Any]) -> _Key:
    if type(place.id) is not id_column.type.python_type:
        raise _bad_cursor()
    value: Any = place.value
    return (_instant(value) if isinstance(column.type, UtcInstant) else value), place.id


def _beyond(place: _Key, column: Column[Any], id_column: Column[Any], descending: bool) -> Any:
    value, id_ = place
    further = column < value if descending else column > value
    next_id = id_column < id_ if descending else id_column > id_
    return or_(further, and_(column == value, next_id))


def _instant(value: object) -> datetime:
    try:
        instant = datetime.fromisoformat(str(value))
    except ValueError as error:
        raise _bad_cursor() from error
    if instant.tzinfo is None:
        raise _bad_cursor()
    try:
        return instant.astimezone(UTC)
    except OverflowError as error:
        # Beyond the first or last year, once it is in UTC.
        raise _bad_cursor() from error


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

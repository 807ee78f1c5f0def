"""Pages of long lists: the caller names a size, an order and where the last page ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from controllers.kernel.wire import Wire

T = TypeVar("T")


class PageRequest(Wire):
    """Which part of a list is wanted."""

    limit: int = 50
    sort: str = ""
    """Name of a sortable field, ``-`` before it for descending; empty is the list's own order."""
    cursor: str | None = None
    """``next_cursor`` of the page before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[T]):
    """One part of a list."""

    items: list[T]
    next_cursor: str | None
    """None on the last page."""

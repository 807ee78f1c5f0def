"""Ids in paths and the parts of a list that queries ask for."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Query
from pydantic import StringConstraints

from controllers.ports.pages import PageRequest

API_ROOT = "/api/"
"""Everything but the page, the probes and the document."""
_ID = r"^[a-z0-9][a-z0-9_-]{0,63}$"

PathId = Annotated[str, Path(pattern=_ID, max_length=64)]
"""An id in a path."""
BodyId = Annotated[str, StringConstraints(strict=True, pattern=_ID, max_length=64)]
"""An id in a body."""
Limit = Annotated[int, Query(ge=1, le=200, description="Most items of one page.")]
Sort = Annotated[
    str, Query(max_length=40, description="Field to sort by, `-` before it for descending.")
]
Cursor = Annotated[
    str | None, Query(max_length=2000, description="`next_cursor` of the page before.")
]
Text = Annotated[str | None, Query(min_length=1, max_length=120, pattern=r"^[^\x00-\x1f\x7f]+$")]
"""Part of a name."""


def page_request(limit: int, sort: str, cursor: str | None) -> PageRequest:
    """Return what a query asks for."""
    return PageRequest(limit=limit, sort=sort, cursor=cursor)

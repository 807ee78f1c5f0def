"""Who a request is from, and what they reach."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import TypeVar

from controllers.accounts.reach import Reach
from controllers.kernel.errors import NotFoundError
from serve_apps.web.problems import RefusedError

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who a request is from."""

    username: str
    """What the audit log calls them: a person's account, or ``account/key`` for an API key."""
    person: str
    """The account, also behind an API key."""
    roles: tuple[str, ...]
    reach: Reach | None
    """The part of the park that exists for them; None is all of it."""
    expires_at: datetime
    """When the token or key that named them ends."""
    session_id: str | None = None
    key_id: str | None = None

    def sees_resource(self, resource_id: str) -> bool:
        """Tell whether a resource exists for them."""
        return self.reach is None or resource_id in self.reach.resources

    def sees_aggregate(self, aggregate_id: str) -> bool:
        """Tell whether an aggregate exists for them."""
        return self.reach is None or aggregate_id in self.reach.aggregates

    def sees(self, id_: str) -> bool:
        """Tell whether a resource or an aggregate exists for them."""
        return self.sees_resource(id_) or self.sees_aggregate(id_)

    def visible(self, items: Iterable[T], id_of: Callable[[T], str]) -> list[T]:
        """Return those items whose resource or aggregate exists for them.

        Args:
            items: of a list.
            id_of: returns the id of the resource or aggregate that an item belongs to.
        """
        if self.reach is None:
            return list(items)
        return [item for item in items if self.sees(id_of(item))]

    def require_resource(self, resource_id: str) -> None:
        """Refuse a resource that a body names and that does not exist for them.

        Raises:
            NotFoundError: as for one that does not exist at all.
        """
        if not self.sees_resource(resource_id):
            raise NotFoundError("resource", resource_id)

    def require_aggregate(self, aggregate_id: str) -> None:
        """Refuse an aggregate that a body or query names and that does not exist for them.

        Raises:
            NotFoundError: as for one that does not exist at all.
        """
        if not self.sees_aggregate(aggregate_id):
            raise NotFoundError("aggregation", aggregate_id)


def unauthenticated(detail: str) -> RefusedError:
    """Return the refusal of someone unknown (401)."""
    return RefusedError(
        HTTPStatus.UNAUTHORIZED,
        "unauthenticated",
        detail,
        headers={"WWW-Authenticate": "Bearer"},
    )


def forbidden(detail: str) -> RefusedError:
    """Return the refusal of someone known (403)."""
    return RefusedError(HTTPStatus.FORBIDDEN, "forbidden", detail)

"""An act of a principal: what goes into the audit chain together with its effect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from controllers.kernel.wire import Wire

T_co = TypeVar("T_co", covariant=True)


class Act(Wire):
    """Who does what to which subject; stored in one transaction with what it changes."""

    principal: str
    action: str
    subject: str
    """Id of what is changed, or will have been created."""
    data: dict[str, object]
    """What the audit entry tells; no secrets."""
    key: str | None = None
    """Idempotency key: a repeat by the same principal returns the first result, without effect."""
    fingerprint: str = ""
    """Hash of the request; a repeat of the key must have the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done(Generic[T_co]):
    """The result of an act."""

    value: T_co
    replayed: bool = False
    """True when an earlier use of the same key had done it."""

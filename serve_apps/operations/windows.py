"""The rules of a window that the edge checks: not past, not too far ahead, not too long."""

from __future__ import annotations

from datetime import datetime, timedelta

from controllers.kernel.errors import DomainError
from serve_apps.web.bodies import MAX_WINDOW_S, MIN_WINDOW_S

_SLACK = timedelta(seconds=5)
"""A start this far in the past still counts as now: clocks differ and requests travel."""
_MAX_AHEAD = timedelta(days=7)


def check_window(start_at: datetime, end_at: datetime, now: datetime) -> None:
    """Check the window of a new dispatch.

    Raises:
        DomainError: it begins in the past or too far ahead, or is too short or too long.
    """
    if start_at < now - _SLACK:
        raise DomainError("start_at", _text(start_at), f"must not be before now ({_text(now)})")
    if start_at > now + _MAX_AHEAD:
        raise DomainError("start_at", _text(start_at), f"must be within {_MAX_AHEAD.days} days")
    check_end(start_at, end_at, now)


def check_end(start_at: datetime, end_at: datetime, now: datetime) -> None:
    """Check the end of a window that begins at ``start_at`` or has already begun.

    Raises:
        DomainError: it is in the past, or the window would be too short or too long.
    """
    if end_at <= now:
        raise DomainError("end_at", _text(end_at), f"must be after now ({_text(now)})")
    length_s = (end_at - start_at).total_seconds()
    if length_s < MIN_WINDOW_S:
        rule = f"must be at least {MIN_WINDOW_S:g} s after start_at ({_text(start_at)})"
        raise DomainError("end_at", _text(end_at), rule)
    if length_s > MAX_WINDOW_S:
        rule = f"must be at most {MAX_WINDOW_S / 3600:g} h after start_at ({_text(start_at)})"
        raise DomainError("end_at", _text(end_at), rule)


def check_until(until: datetime, now: datetime) -> None:
    """Check the end of a manual override.

    Raises:
        DomainError: it is in the past or too far ahead.
    """
    if until <= now:
        raise DomainError("until", _text(until), f"must be after now ({_text(now)})")
    if until > now + timedelta(seconds=MAX_WINDOW_S):
        rule = f"must be within {MAX_WINDOW_S / 3600:g} h"
        raise DomainError("until", _text(until), rule)


def _text(instant: datetime) -> str:
    return instant.isoformat(timespec="seconds")

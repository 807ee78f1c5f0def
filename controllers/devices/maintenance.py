"""Maintenance: windows in which nobody dispatches the resource, and the log of what was done.

While a window is open the resource runs free under its own control; a person at the device may
still take it in hand, and everything protective stands. The resource's control holds the window
itself, with its end, so it ends in time whatever else has stopped.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import msgspec

from controllers.kernel.errors import ConflictError, DomainError
from controllers.kernel.fsm import Machine
from controllers.kernel.wire import Identifier, Wire

MAX_LENGTH = timedelta(days=31)
MAX_AHEAD = timedelta(days=366)
MIN_LENGTH = timedelta(seconds=60)


class WindowState(StrEnum):
    """Where a maintenance window stands."""

    PLANNED = "planned"
    OPEN = "open"
    """The resource has confirmed that it is excluded."""
    ENDING = "ending"
    """Ended by hand; the resource has not yet confirmed."""
    ENDED = "ended"
    CANCELLED = "cancelled"


class WindowTrigger(StrEnum):
    """What moves a maintenance window."""

    CONFIRM = "confirm"
    """The resource holds it."""
    END = "end"
    """By hand."""
    CANCEL = "cancel"
    """By hand, before it began."""
    RELEASE = "release"
    """The resource has let go, or its time has passed."""


_S, _T = WindowState, WindowTrigger
WINDOW_MACHINE: Machine[WindowState, WindowTrigger] = Machine(
    "maintenance window",
    {
        (_S.PLANNED, _T.CONFIRM): _S.OPEN,
        (_S.PLANNED, _T.CANCEL): _S.CANCELLED,
        # Begun, though the resource may not have confirmed yet.
        (_S.PLANNED, _T.END): _S.ENDING,
        (_S.PLANNED, _T.RELEASE): _S.ENDED,
        (_S.OPEN, _T.CONFIRM): _S.OPEN,
        (_S.OPEN, _T.END): _S.ENDING,
        (_S.OPEN, _T.RELEASE): _S.ENDED,
        (_S.ENDING, _T.RELEASE): _S.ENDED,
    },
)
LIVE = frozenset({_S.PLANNED, _S.OPEN})
UNSETTLED = LIVE | {_S.ENDING}
"""States in which the resource may still have to be told something."""


class MaintenanceWindow(Wire):
    """One maintenance window, half open ``[start_at, end_at)``."""

    id: str
    device_id: Identifier
    resource_id: Identifier
    start_at: datetime
    end_at: datetime
    reason: str
    state: WindowState = WindowState.PLANNED
    version: int = 1
    planned_by: str
    planned_at: datetime
    opened_at: datetime | None = None
    """When the resource confirmed."""
    ended_at: datetime | None = None


class WorkEntry(Wire):
    """One entry of a device's work log; never changed."""

    id: str
    device_id: Identifier
    window_id: str | None
    text: str
    written_by: str
    written_at: datetime


def check_window(start_at: datetime, end_at: datetime, now: datetime) -> None:
    """Check when a window begins and ends.

    Raises:
        DomainError: over already, too short, too long or too far ahead.
    """
    if end_at <= now:
        raise DomainError("end_at", end_at.isoformat(), "must be after now")
    if start_at > now + MAX_AHEAD:
        rule = f"must be within {MAX_AHEAD.days} days"
        raise DomainError("start_at", start_at.isoformat(), rule)
    if end_at - start_at < MIN_LENGTH:
        rule = f"must be at least {MIN_LENGTH.seconds} s after start_at"
        raise DomainError("end_at", end_at.isoformat(), rule)
    if end_at - start_at > MAX_LENGTH:
        rule = f"must be at most {MAX_LENGTH.days} days after start_at"
        raise DomainError("end_at", end_at.isoformat(), rule)


def ended_by_hand(window: MaintenanceWindow, now: datetime) -> MaintenanceWindow:
    """Return a window ended by a person.

    Raises:
        InvalidTransitionError: it is over already.
    """
    begun = window.state is not WindowState.PLANNED or window.start_at <= now
    trigger = WindowTrigger.END if begun else WindowTrigger.CANCEL
    return after(window, trigger, version=window.version + 1, ended_at=now)


def require_live(window: MaintenanceWindow) -> None:
    """Refuse to change a window that is over.

    Raises:
        ConflictError: it is over, or ending.
    """
    if window.state not in LIVE:
        raise ConflictError("the window is over; plan another", current=window.state)


def after(window: MaintenanceWindow, trigger: WindowTrigger, **changes: Any) -> MaintenanceWindow:
    """Return a window after a trigger.

    Raises:
        InvalidTransitionError: the table has no such row.
    """
    state = WINDOW_MACHINE.next(window.state, trigger)
    return msgspec.structs.replace(window, state=state, **changes)

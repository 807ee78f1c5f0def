"""How well a device is connected, in rows per day: share online, disconnects, messages, gaps.

Time counts as watched only while somebody was there to hear; a row of half a watched day is half a
row, not half offline. Days are UTC.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import msgspec

from controllers.kernel.wire import Identifier, Wire

MAX_STEP_S = 120.0
"""A longer time between two looks was not watched."""


class ConnectivityDay(Wire):
    """One device's connectivity on one UTC day, as far as it was watched."""

    device_id: Identifier
    day: date
    watched_s: float = 0.0
    online_s: float = 0.0
    """Not signed off and heard within its heartbeat."""
    n_disconnects: int = 0
    n_messages: int = 0
    """Samples received."""
    n_gaps: int = 0
    """Times without a sample for longer than the gap limit."""
    longest_gap_s: float = 0.0
    last_seen_at: datetime | None = None


class Heard(Wire):
    """What a resource has heard of its device since it started; counters only rise."""

    n_messages: int = 0
    n_gaps: int = 0
    last_gap_s: float = 0.0
    last_seen_at: datetime | None = None


class Look(Wire):
    """What was seen of a device at one instant."""

    at: datetime
    online: bool
    life: str
    """Changes when the counters start anew."""
    heard: Heard


def seen(
    row: ConnectivityDay | None, before: Look | None, look: Look, device_id: str
) -> ConnectivityDay:
    """Return the day's row after another look.

    Args:
        row: of the device, so far; of an earlier day or None begins a new one.
        before: the look before this.
        look: the present one.
        device_id: whose.
    """
    row = _of_day(row, look.at, device_id)
    day = row.day
    heard = look.heard
    last_seen_at = heard.last_seen_at or row.last_seen_at
    if before is None:
        return msgspec.structs.replace(row, last_seen_at=last_seen_at)
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    elapsed_s = (look.at - max(before.at, midnight)) / timedelta(seconds=1)
    watched_s = elapsed_s if 0.0 < elapsed_s <= MAX_STEP_S else 0.0
    base = before.heard if before.life == look.life else Heard()
    n_gaps = max(0, heard.n_gaps - base.n_gaps)
    return msgspec.structs.replace(
        row,
        watched_s=row.watched_s + watched_s,
        online_s=row.online_s + (watched_s if before.online and look.online else 0.0),
        n_messages=row.n_messages + max(0, heard.n_messages - base.n_messages),
        n_gaps=row.n_gaps + n_gaps,
        longest_gap_s=max(row.longest_gap_s, heard.last_gap_s if n_gaps else 0.0),
        last_seen_at=last_seen_at,
    )


def disconnected(row: ConnectivityDay | None, at: datetime, device_id: str) -> ConnectivityDay:
    """Return the day's row after the device signed off, or its last will did."""
    row = _of_day(row, at, device_id)
    return msgspec.structs.replace(row, n_disconnects=row.n_disconnects + 1)


def _of_day(row: ConnectivityDay | None, at: datetime, device_id: str) -> ConnectivityDay:
    day = at.astimezone(UTC).date()
    if row is None or row.day != day:
        return ConnectivityDay(device_id=device_id, day=day)
    return row

"""The failsafe ladder of one resource: active command, default control, stricter failsafe.

A heartbeat is an accepted, fresh sample. Without one for the heartbeat time-out the resource falls
to FAILSAFE, whatever else is well. It leaves FAILSAFE for ACTIVE only with a heartbeat *and* a
command received since the fall; or, after a steady heartbeat for the recovery time, for DEFAULT. A
lost link or a device that signed off leads to DEFAULT at once and to FAILSAFE when the heartbeat
time-out has passed, so that a short cut costs no bump. The rung and its timers are part of the
checkpoint. (The rules follow the EEBus use case "limitation of power consumption", LPC-911 to 921.)
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

from controllers.kernel.fsm import Machine
from controllers.kernel.states import Rung
from controllers.kernel.wire import Wire


class LadderTrigger(StrEnum):
    """What moves a resource on the ladder."""

    FRESH_COMMAND = "fresh_command"
    COMMANDS_ENDED = "commands_ended"
    LINK_LOST = "link_lost"
    HEARTBEAT_LOST = "heartbeat_lost"
    FIRST_HEARTBEAT = "first_heartbeat"
    HEARTBEAT_STEADY = "heartbeat_steady"


_R, _T = Rung, LadderTrigger
LADDER_MACHINE: Machine[Rung, LadderTrigger] = Machine(
    "ladder",
    {
        (_R.ACTIVE, _T.COMMANDS_ENDED): _R.DEFAULT,
        (_R.ACTIVE, _T.LINK_LOST): _R.DEFAULT,
        (_R.ACTIVE, _T.HEARTBEAT_LOST): _R.FAILSAFE,
        (_R.DEFAULT, _T.FRESH_COMMAND): _R.ACTIVE,
        (_R.DEFAULT, _T.HEARTBEAT_LOST): _R.FAILSAFE,
        (_R.FAILSAFE, _T.FRESH_COMMAND): _R.ACTIVE,
        (_R.FAILSAFE, _T.HEARTBEAT_STEADY): _R.DEFAULT,
        # Only after a cold start: nothing was ever commanded, so there is nothing to recover from.
        (_R.FAILSAFE, _T.FIRST_HEARTBEAT): _R.DEFAULT,
    },
)


class Ladder(Wire):
    """Where a resource stands, since when, and the timers that move it."""

    rung: Rung = Rung.FAILSAFE
    since: datetime
    cold: bool = True
    """Never had a heartbeat; ends with the first one."""
    heartbeat_at: datetime | None = None
    """Receipt of the last fresh sample."""
    steady_since: datetime | None = None
    """Start of the unbroken run of heartbeats."""


def with_heartbeat(ladder: Ladder, now: datetime, *, timeout_s: float) -> Ladder:
    """Return the ladder after a heartbeat at ``now``; a gap over ``timeout_s`` breaks the run."""
    unbroken = _heard_within(ladder, now, timeout_s)
    steady_since = ladder.steady_since if unbroken else None
    return msgspec.structs.replace(ladder, heartbeat_at=now, steady_since=steady_since or now)


def next_trigger(
    ladder: Ladder,
    now: datetime,
    *,
    cut_off: bool,
    commanded: bool,
    listening_since: datetime,
    timeout_s: float,
    recovery_s: float,
) -> LadderTrigger | None:
    """Return what moves the ladder at ``now``, if anything does.

    Args:
        ladder: where the resource stands.
        now: the present instant.
        cut_off: our link is down or the device has signed off.
        commanded: a live target stands that was received since the last fall.
        listening_since: no heartbeat can be missed for the time-out after this.
        timeout_s: without a heartbeat for this long it is lost.
        recovery_s: length of a steady heartbeat that leads out of FAILSAFE without a command.
    """
    heard = _heard_within(ladder, now, timeout_s)
    if ladder.rung is Rung.FAILSAFE:
        return _way_out(ladder, now, commanded, recovery_s) if heard and not cut_off else None
    if not heard and (now - listening_since).total_seconds() > timeout_s:
        return LadderTrigger.HEARTBEAT_LOST
    if ladder.rung is Rung.ACTIVE:
        if cut_off:
            return LadderTrigger.LINK_LOST
        return None if commanded else LadderTrigger.COMMANDS_ENDED
    return LadderTrigger.FRESH_COMMAND if commanded and not cut_off else None


def _heard_within(ladder: Ladder, now: datetime, timeout_s: float) -> bool:
    heard_at = ladder.heartbeat_at
    return heard_at is not None and (now - heard_at).total_seconds() <= timeout_s


def _way_out(
    ladder: Ladder, now: datetime, commanded: bool, recovery_s: float
) -> LadderTrigger | None:
    if commanded:
        return LadderTrigger.FRESH_COMMAND
    if ladder.cold:
        return LadderTrigger.FIRST_HEARTBEAT
    if ladder.steady_since is None:
        return None
    steady_s = (now - ladder.steady_since).total_seconds()
    return LadderTrigger.HEARTBEAT_STEADY if steady_s >= recovery_s else None


def stepped(ladder: Ladder, trigger: LadderTrigger, now: datetime) -> Ladder:
    """Return the ladder after a trigger.

    Raises:
        InvalidTransitionError: the table has no such row.
    """
    rung = LADDER_MACHINE.next(ladder.rung, trigger)
    # The run of heartbeats that counts towards recovery begins after the fall.
    steady_since = None if rung is Rung.FAILSAFE else ladder.steady_since
    return msgspec.structs.replace(
        ladder, rung=rung, since=now, cold=False, steady_since=steady_since
    )

"""What an alarm rule may watch: signals of resources, aggregates and the live feed, as rows.

Power in kW, injection positive; shares 0 to 1; ages in seconds. A signal that a subject does not
have, or has not told yet, is NaN: it neither raises nor returns an alarm.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from controllers.kernel.states import (
    AggregateState,
    CommandState,
    Health,
    Quality,
    ResourceState,
    Rung,
)

DEVICE_PREFIX = "signals."
"""Before the name of a signal that the device itself tells, e.g. ``signals.soc_frac``."""
FEED_ID = "feed"
"""The one subject of kind ``feed``."""
AGE = "age_s"
COMMAND_WAIT = "command_wait_s"

_QUALITY = {quality: float(level) for level, quality in enumerate(Quality)}
_HEALTH = {health: float(level) for level, health in enumerate(Health)}
_RUNG = {Rung.ACTIVE: 0.0, Rung.DEFAULT: 0.0, Rung.FAILSAFE: 1.0}
_WAITING = (CommandState.SENT, CommandState.ACKNOWLEDGED)
_REFUSED = (CommandState.REJECTED, CommandState.FAILED)


class SubjectKind(StrEnum):
    """What an alarm can be about."""

    RESOURCE = "resource"
    AGGREGATE = "aggregate"
    FEED = "feed"
    """The stream of live states itself."""
    GROUP = "group"
    """Many alarms of one rule; raised by the system, never by a rule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """One thing that can be watched."""

    name: str
    unit: str
    meaning: str
    of_resource: Callable[[ResourceState], float] | None = None
    of_aggregate: Callable[[AggregateState], float] | None = None


def instant_s(instant: datetime | None) -> float:
    """Return seconds since 1970; NaN for None."""
    return math.nan if instant is None else instant.timestamp()


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _waiting_since_s(state: ResourceState) -> float:
    command = state.command
    if command is None or command.state not in _WAITING:
        return math.nan
    return instant_s(command.sent_at)


def _refused(state: ResourceState) -> float:
    return float(state.command is not None and state.command.state in _REFUSED)


SIGNALS: dict[str, Signal] = {
    signal.name: signal
    for signal in (
        Signal(
            name="power_kw",
            unit="kW",
            meaning="measured power",
            of_resource=lambda state: state.power_kw,
            of_aggregate=lambda state: state.power_kw,
        ),
        Signal(
            name="load_frac",
            unit="1",
            meaning="magnitude of the power over the rated power",
            of_resource=lambda state: (
                abs(state.power_kw) / state.rated_kw if state.rated_kw else math.nan
            ),
            of_aggregate=lambda state: (
                abs(state.power_kw) / state.rated_kw if state.rated_kw else math.nan
            ),
        ),
        # Kept as an instant; the board turns both into seconds as of now.
        Signal(
            name=AGE,
            unit="s",
            meaning="since the meter was read, an aggregate spoke, or the feed was up",
            of_resource=lambda state: instant_s(state.measured_at),
            of_aggregate=lambda state: instant_s(state.published_at),
        ),
        Signal(
            name=COMMAND_WAIT,
            unit="s",
            meaning="since a command was sent that is not applied; none while none waits",
            of_resource=_waiting_since_s,
        ),
        Signal(
            name="command_refused",
            unit="0/1",
            meaning="the last command was rejected or failed",
            of_resource=_refused,
        ),
        Signal(
            name="quality_level",
            unit="0..4",
            meaning="good 0, uncertain 1, stale 2, frozen 3, missing 4",
            of_resource=lambda state: _QUALITY[state.quality],
            of_aggregate=lambda state: _QUALITY[state.quality],
        ),
        Signal(
            name="health_level",
            unit="0..2",
            meaning="ok 0, degraded 1, failed 2",
            of_resource=lambda state: _HEALTH[state.health],
            of_aggregate=lambda state: _HEALTH[state.health],
        ),
        Signal(
            name="failsafe",
            unit="0/1",
            meaning="on the failsafe rung",
            of_resource=lambda state: _RUNG[state.rung],
            of_aggregate=lambda state: _RUNG[state.rung],
        ),
        Signal(
            name="killed",
            unit="0/1",
            meaning="stopped by the kill switch",
            of_resource=lambda state: float(state.killed),
            of_aggregate=lambda state: float(state.killed),
        ),
        Signal(
            name="setpoint_kw",
            unit="kW",
            meaning="set-point in force; none while released",
            of_resource=lambda state: _number(state.setpoint_kw),
        ),
        Signal(
            name="target_kw",
            unit="kW",
            meaning="target in force; none while released",
            of_aggregate=lambda state: _number(state.target_kw),
        ),
        Signal(
            name="shortfall_kw",
            unit="kW",
            meaning="magnitude of what cannot be delivered",
            of_aggregate=lambda state: abs(state.shortfall_kw),
        ),
        Signal(
            name="shortfall_frac",
            unit="1",
            meaning="the same over the rated power",
            of_aggregate=lambda state: (
                abs(state.shortfall_kw) / state.rated_kw if state.rated_kw else math.nan
            ),
        ),
        Signal(
            name="coverage_frac",
            unit="1",
            meaning="rated power with usable telemetry over all rated power",
            of_aggregate=lambda state: state.coverage_frac,
        ),
    )
}
"""By name; further ones are the devices' own, behind ``signals.``."""


def knows(kind: SubjectKind, signal: str) -> bool:
    """Tell whether subjects of a kind can have a signal."""
    if kind is SubjectKind.FEED:
        return signal == AGE
    if signal.startswith(DEVICE_PREFIX):
        return kind is SubjectKind.RESOURCE
    row = SIGNALS.get(signal)
    if row is None:
        return False
    return (row.of_resource if kind is SubjectKind.RESOURCE else row.of_aggregate) is not None


def resource_reader(signal: str) -> Callable[[ResourceState], float]:
    """Return what reads a signal from a resource's state."""
    if signal.startswith(DEVICE_PREFIX):
        name = signal.removeprefix(DEVICE_PREFIX)
        return lambda state: state.signals.get(name, math.nan)
    reader = SIGNALS[signal].of_resource
    return reader if reader is not None else lambda _: math.nan


def aggregate_reader(signal: str) -> Callable[[AggregateState], float]:
    """Return what reads a signal from an aggregate's state."""
    reader = SIGNALS[signal].of_aggregate if signal in SIGNALS else None
    return reader if reader is not None else lambda _: math.nan

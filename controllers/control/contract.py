"""What Parkgrid and a device say to each other over MQTT, version 1.

Topics are ``parkgrid/v1/{site}/{device}/{telemetry|command|ack|status|backfill}``.
``docs/mqtt.md`` tells the story with examples; the JSON schemas beside it are generated from these
types.

Power is in kW and positive when injected into the grid. A device that counts consumption as
positive declares so in its link and is turned round there. MQTT 3.1.1 suffices: lifetime,
correlation and order are in the payload.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

import msgspec

from controllers.kernel.wire import Count, Reason, Wire

TOPIC_ROOT = "parkgrid/v1"
TELEMETRY_MAX_BYTES = 65_536
FLEET_TELEMETRY_MAX_BYTES = 4_194_304
BACKFILL_MAX_BYTES = 1_048_576
FLEET_CHUNK_MAX_DEVICES = 10_000

AwareInstant = Annotated[datetime, msgspec.Meta(tz=True)]
Kw = Annotated[float, msgspec.Meta(ge=-1e7, le=1e7)]
Seconds = Annotated[float, msgspec.Meta(gt=0.0, le=86_400.0)]
RampKwPerMin = Annotated[float, msgspec.Meta(gt=0.0, le=1e9)]
SignalName = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_]{0,47}(?!\n)$")]


def topic(site: str, device: str, leaf: str) -> str:
    """Return a device topic, e.g. ``parkgrid/v1/park1/bess1/command``."""
    return f"{TOPIC_ROOT}/{site}/{device}/{leaf}"


class EvSession(Wire):
    """One plugged-in vehicle."""

    session_id: Annotated[str, msgspec.Meta(max_length=64)]
    energy_needed_kwh: Annotated[float, msgspec.Meta(ge=0.0, le=1e4)]
    """Energy still to be charged before departure."""
    departs_at: AwareInstant
    max_charge_kw: Annotated[float, msgspec.Meta(gt=0.0, le=1e4)]


class Telemetry(Wire):
    """One sample of a resource, device to Parkgrid, QoS 0."""

    schema: Literal[1] = 1
    seq: Count
    """Rises by one per sample within a boot; a repeat is a duplicate, a fall is out of order."""
    measured_at: AwareInstant
    """When the meter read the values, not when they were sent."""
    power_kw: Kw
    setpoint_kw: Kw | None = None
    """Read-back: the set-point the device is executing; absent when it runs free."""
    command_id: str | None = None
    """The command that set-point came from."""
    exported_kwh: Annotated[float, msgspec.Meta(ge=0.0, le=1e12)] | None = None
    """Cumulative meter register of injected energy."""
    imported_kwh: Annotated[float, msgspec.Meta(ge=0.0, le=1e12)] | None = None
    """Cumulative meter register of drawn energy."""
    signals: Annotated[dict[SignalName, float], msgspec.Meta(max_length=64)] = {}
    """Further readings by name with unit suffix, e.g. ``soc_frac``, ``available_kw``."""
    sessions: Annotated[list[EvSession], msgspec.Meta(max_length=512)] = []
    """Vehicles plugged in, EV stations only."""


class Backfill(Wire):
    """Samples of an outage, device to history, QoS 1; never used for control."""

    schema: Literal[1] = 1
    hold_s: Annotated[float, msgspec.Meta(gt=0.0, le=900.0)]
    """Each sample stands until the next one, at most for so long: the interval of the log."""
    samples: Annotated[list[Telemetry], msgspec.Meta(min_length=1, max_length=1000)]
    """In any order; ``measured_at`` tells one sample from another."""


class FleetTelemetry(Wire):
    """One sample of a run of consecutive small devices, from their gateway, as columns."""

    schema: Literal[1] = 1
    seq: Count
    measured_at: AwareInstant
    first: Count
    """Index of the first device in the columns."""
    power_kw: Annotated[list[Kw], msgspec.Meta(min_length=1, max_length=FLEET_CHUNK_MAX_DEVICES)]
    signals: Annotated[dict[SignalName, list[float]], msgspec.Meta(max_length=16)] = {}
    """Columns as long as ``power_kw``, e.g. ``store_frac``."""
    command_id: str | None = None
    command_seq: Count | None = None
    """Read-back: the fleet command the gateway is executing."""


class FallbackKind(StrEnum):
    """What a device does when its command ends without a successor."""

    HOLD = "hold"
    LIMIT = "limit"
    ZERO = "zero"
    RELEASE = "release"


class Fallback(Wire):
    """Declared behaviour on expiry."""

    kind: FallbackKind
    limit_kw: Annotated[float, msgspec.Meta(ge=0.0, le=1e7)] | None = None
    """Bound on absolute power; with ``limit`` only."""


class Command(Wire):
    """A set-point with a lifetime, Parkgrid to device, QoS 1, never retained.

    ``(epoch, seq)`` orders commands for one device for ever: a device refuses a pair not greater
    than the last it accepted. A keep-alive repeats ``command_id`` with a later ``seq`` and expiry.
    The command ends at ``expires_at`` or ``lifetime_s`` after its receipt, whichever is first.
    """

    schema: Literal[1] = 1
    command_id: str
    epoch: Count
    seq: Count
    issued_at: AwareInstant
    valid_from: AwareInstant
    expires_at: AwareInstant
    lifetime_s: Seconds
    setpoint_kw: Kw | None
    """None releases the device to its own control."""
    ramp_kw_per_min: RampKwPerMin | None = None
    fallback: Fallback


class FleetCommand(Wire):
    """Set-points for a run of consecutive fleet devices; lifetime rules as in Command."""

    schema: Literal[1] = 1
    command_id: str
    epoch: Count
    seq: Count
    issued_at: AwareInstant
    valid_from: AwareInstant
    expires_at: AwareInstant
    lifetime_s: Seconds
    first: Count
    n_devices: Count
    setpoints_kw: Annotated[list[Kw], msgspec.Meta(max_length=FLEET_CHUNK_MAX_DEVICES)] | None
    """One per device; None releases all of the run."""
    fallback: Fallback


class AckResult(StrEnum):
    """A device's answer to a command."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    EXPIRED = "expired"


class Ack(Wire):
    """A device's answer, device to Parkgrid, QoS 1. Accepting is not yet applying."""

    schema: Literal[1] = 1
    command_id: str
    epoch: Count
    seq: Count
    result: AckResult
    reason: Reason | None = None
    acked_at: AwareInstant


class DeviceMode(StrEnum):
    """How a device says it is; ``offline`` is also its last will."""

    ONLINE = "online"
    OFFLINE = "offline"
    FAULT = "fault"
    LOCAL = "local"


class Status(Wire):
    """Retained presence, device to Parkgrid, QoS 1."""

    schema: Literal[1] = 1
    mode: DeviceMode
    boot_id: Annotated[str, msgspec.Meta(max_length=64)]
    """Changes when the device restarts; telemetry ``seq`` starts anew with it."""
    at: AwareInstant | None = None
    """Absent in a last will, which is written before the connection is lost."""
    detail: Reason | None = None
    firmware: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] | None = None
    """Version of the device's software."""
    configuration_version: Count | None = None
    """The configuration the device runs; 0 before its first."""

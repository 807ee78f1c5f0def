"""What can happen to a resource's control, and what it can want done about it.

Events come in through the actor; effects go out through it. Both are values, so that a recorded
stream of events replays to the same effects.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

import msgspec

from controllers.control.contract import Ack, Command, Status, Telemetry
from controllers.kernel.states import Proposal, ResourceState
from controllers.kernel.wire import Wire


class Event(Wire, tag_field="type"):
    """Base of what can happen."""


class TelemetryReceived(Event, tag="telemetry"):
    """A well-formed sample arrived (already in our sign)."""

    sample: Telemetry


class AckReceived(Event, tag="ack"):
    """The device answered a command."""

    ack: Ack


class StatusReceived(Event, tag="status"):
    """The device, or its last will, said how it is."""

    status: Status


class ProposalReceived(Event, tag="proposal"):
    """Some source wishes something of this resource."""

    proposal: Proposal


class InputRefused(Event, tag="refused"):
    """A payload did not fit its type; counted under ``kind``."""

    kind: str
    reason: str


class LinkChanged(Event, tag="link"):
    """Our own connection to the broker went up or down."""

    up: bool


class OverrideSet(Event, tag="override"):
    """A person takes the resource in hand until a given instant."""

    target_kw: float
    until: datetime
    operator: str
    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=500)]


class OverrideCleared(Event, tag="override_cleared"):
    """The person lets go."""

    operator: str


class KillSet(Event, tag="kill"):
    """Emergency stop: power to zero, or released where zero is not reachable, until released."""

    operator: str
    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=500)]


class KillReleased(Event, tag="kill_released"):
    """The emergency stop is lifted; control needs a fresh command to move again."""

    operator: str
    reason: str


class MaintenanceSet(Event, tag="maintenance"):
    """Somebody works at the device: nobody dispatches it until a given instant."""

    window_id: str
    until: datetime
    operator: str
    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=500)]


class MaintenanceCleared(Event, tag="maintenance_cleared"):
    """The work is over; without effect when another window is open."""

    window_id: str


class Tick(Event, tag="tick"):
    """Time has passed; lifetimes and ages are judged."""


AnyEvent = (
    TelemetryReceived
    | AckReceived
    | StatusReceived
    | ProposalReceived
    | InputRefused
    | LinkChanged
    | OverrideSet
    | OverrideCleared
    | KillSet
    | KillReleased
    | MaintenanceSet
    | MaintenanceCleared
    | Tick
)
"""Every event there is; a type that recorded streams decode to."""


class Effect(Wire, tag_field="type"):
    """Base of what control wants done."""


class SendCommand(Effect, tag="send_command"):
    """Publish to the device; the checkpoint that holds it must be durable first."""

    command: Command


class PublishState(Effect, tag="publish_state"):
    """Publish on the retained state topic."""

    state: ResourceState
    sampled: bool
    """Whether it holds a new measurement; others can wait a moment."""


class Record(Effect, tag="record"):
    """A fact for the outbox: command life-cycle, ladder, override, kill, refusal."""

    kind: str
    at: datetime
    data: Mapping[str, object]


AnyEffect = SendCommand | PublishState | Record
"""Every effect there is."""

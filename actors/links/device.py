"""One device's side of the broker: decoding with limits, the device's sign, commands out.

What arrives becomes an Event in our sign; what does not fit its type becomes InputRefused. A device
that counts drawn power as positive is turned round here and nowhere else: power, read-back and
set-point. Energy registers name their direction and signals are the kind's own, so neither turns.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime

import msgspec

from actors.links.inbox import Inbound, Policy, Subscription
from actors.links.mqtt import MqttSession, MqttSettings, OpenSession
from controllers.control.contract import (
    TELEMETRY_MAX_BYTES,
    Ack,
    Command,
    Status,
    Telemetry,
    topic,
)
from controllers.control.events import (
    AckReceived,
    Effect,
    Event,
    InputRefused,
    LinkChanged,
    ProposalReceived,
    PublishState,
    SendCommand,
    StatusReceived,
    TelemetryReceived,
)
from controllers.devices.connectivity import Heard
from controllers.kernel.errors import DomainError
from controllers.kernel.states import Proposal, ResourceState, proposal_topic, resource_state_topic
from controllers.kernel.timebase import Clock
from controllers.kernel.wire import encode
from controllers.park import ResourceDefinition

ANSWER_MAX_BYTES = 8_192
"""Acknowledgements, status and proposals are small."""

GAP_S = 10.0
"""A longer time between two samples counts as a gap."""

_REASON_MAX_CHARS = 200


class DeviceLink:
    """The connection of one resource: its device topics, its proposals in, its state out.

    Args:
        park_id: the site in device topics.
        definition: the resource.
        settings: the broker.
        wake: set whenever ``drain`` has something.
        clock: tells when the device was heard.
        telemetry_max_bytes: longest sample that is decoded.
        open_session: makes the connection; another one only in simulated time.
    """

    def __init__(
        self,
        park_id: str,
        definition: ResourceDefinition,
        settings: MqttSettings,
        wake: asyncio.Event,
        *,
        clock: Clock,
        telemetry_max_bytes: int = TELEMETRY_MAX_BYTES,
        open_session: OpenSession = MqttSession,
    ) -> None:
        self._turned = definition.consumption_positive
        self._wake = wake
        self._clock = clock
        self._n_samples = 0
        self._n_gaps = 0
        self._last_gap_s = 0.0
        self._last_seen_at: datetime | None = None
        self._link_changes: list[Event] = []
        self._n_refused = 0
        self._command_topic = topic(park_id, definition.id, "command")
        self._ack_topic = topic(park_id, definition.id, "ack")
        self._state_topic = resource_state_topic(definition.id)
        self.last_state: ResourceState | None = None
        """What was last published, or would have been with the link up."""
        self._routes: dict[str, tuple[str, Callable[[Inbound], Event | None]]] = {
            topic(park_id, definition.id, "telemetry"): ("telemetry", self._telemetry),
            self._ack_topic: ("ack", self._ack),
            topic(park_id, definition.id, "status"): ("status", _status),
            proposal_topic(definition.id): ("proposal", _proposal),
        }
        self._session = open_session(
            settings,
            f"parkgrid-{park_id}-{definition.id}",
            subscriptions=[
                _subscription(name, kind, telemetry_max_bytes)
                for name, (kind, _) in self._routes.items()
            ],
            wake=wake,
            on_link=self._link_changed,
            peer=definition.id,
        )

    def drain(self, limit: int) -> list[Event]:
        """Return and forget up to ``limit`` messages as events; link changes come first."""
        events, self._link_changes = self._link_changes, []
        decoded = (self._decode(message) for message in self._session.drain(limit))
        events += [event for event in decoded if event is not None]
        return events

    async def perform(self, effect: Effect) -> None:
        """Send a command or publish the state.

        Raises:
            DeviceUnreachableError: the broker did not take it.
        """
        if isinstance(effect, SendCommand):
            await self._send(effect.command)
        elif isinstance(effect, PublishState):
            self.last_state = effect.state
            await self._session.publish(self._state_topic, encode(effect.state), retain=True)

    async def run(self, admit: Callable[[], Awaitable[None]]) -> None:
        """Keep the connection up until cancelled; await ``admit`` before each connect."""
        await self._session.run(admit)

    def metrics(self) -> dict[str, int]:
        """Return counters since the start of the process."""
        return {**self._session.metrics(), "payloads_refused": self._n_refused}

    @property
    def heard(self) -> Heard:
        """What has been heard of the device since the start of the process."""
        return Heard(
            n_messages=self._n_samples,
            n_gaps=self._n_gaps,
            last_gap_s=self._last_gap_s,
            last_seen_at=self._last_seen_at,
        )

    async def _send(self, command: Command) -> None:
        if self._turned and command.setpoint_kw is not None:
            command = msgspec.structs.replace(command, setpoint_kw=0.0 - command.setpoint_kw)
        await self._publish_command(encode(command), command.command_id, command.lifetime_s)

    async def _publish_command(self, payload: bytes, command_id: str, lifetime_s: float) -> None:
        await self._session.publish(
            self._command_topic,
            payload,
            qos=1,
            expiry_s=lifetime_s,
            reply_topic=self._ack_topic,
            correlation=command_id.encode(),
        )

    def _decode(self, message: Inbound) -> Event | None:
        kind, decode = self._routes[message.topic]
        if kind == "telemetry":
            self._hear()
        try:
            return decode(message)
        except DomainError as error:
            self._n_refused += 1
            return InputRefused(kind=kind, reason=str(error)[:_REASON_MAX_CHARS])

    def _hear(self) -> None:
        now, last = self._clock.now(), self._last_seen_at
        silent_s = 0.0 if last is None else (now - last).total_seconds()
        if silent_s > GAP_S:
            self._n_gaps += 1
            self._last_gap_s = silent_s
        self._n_samples += 1
        self._last_seen_at = now

    def _telemetry(self, message: Inbound) -> Event | None:
        sample = message.decode(Telemetry)
        if self._turned:
            setpoint_kw = sample.setpoint_kw
            sample = msgspec.structs.replace(
                sample,
                power_kw=0.0 - sample.power_kw,
                setpoint_kw=None if setpoint_kw is None else 0.0 - setpoint_kw,
            )
        return TelemetryReceived(sample=sample)

    def _ack(self, message: Inbound) -> Event | None:
        return AckReceived(ack=message.decode(Ack))

    def _link_changed(self, up: bool) -> None:
        self._link_changes.append(LinkChanged(up=up))
        self._wake.set()


def _subscription(name: str, kind: str, telemetry_max_bytes: int) -> Subscription:
    if kind == "telemetry":
        return Subscription(
            topic_filter=name, policy=Policy.DROP_OLDEST, max_bytes=telemetry_max_bytes
        )
    return Subscription(topic_filter=name, policy=Policy.KEEP, qos=1, max_bytes=ANSWER_MAX_BYTES)


def _status(message: Inbound) -> Event:
    return StatusReceived(status=message.decode(Status))


def _proposal(message: Inbound) -> Event:
    return ProposalReceived(proposal=message.decode(Proposal))

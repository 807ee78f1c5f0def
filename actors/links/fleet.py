"""A fleet's side of the broker: chunks of columns in, one aggregated sample out; set-points split.

To control a fleet looks like any device. Here its samples are folded into columns and summed up at
most twice a second, and a set-point becomes one command per run of devices. Runs share a gateway
that orders commands over all of them, so each run's command gets a sequence number of its own; an
acknowledgement counts when every run has given it, a refusal at once.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import msgspec
import numpy as np

from actors.links.device import DeviceLink
from actors.links.inbox import Inbound
from actors.links.mqtt import MqttSession, MqttSettings, OpenSession
from controllers.control.contract import (
    FLEET_TELEMETRY_MAX_BYTES,
    Ack,
    AckResult,
    Command,
    Fallback,
    FleetCommand,
    FleetTelemetry,
    Telemetry,
)
from controllers.control.events import AckReceived, Event, TelemetryReceived
from controllers.control.freshness import IntakeLimits
from controllers.kernel.errors import DomainError
from controllers.kernel.timebase import Clock
from controllers.kernel.wire import encode
from controllers.park import ResourceDefinition
from controllers.resources.fleet import Fleet
from controllers.resources.fleet_columns import FleetColumns

RUN_DEVICES = 5_000
"""Devices addressed by one command."""
SUM_UP_EVERY_S = 0.5

_SETPOINT_DECIMALS = 4  # tenths of a watt; keeps a command for a run under 50 kB


@dataclass(slots=True)
class _Sent:
    """What was last sent to all runs."""

    command_id: str
    setpoint_kw: float | None
    """What the devices' set-points add up to."""
    answered: dict[int, set[int]] = field(default_factory=dict)
    """Runs that accepted, by sequence number."""


class FleetLink(DeviceLink):
    """The connection of one fleet.

    Args:
        park_id: the site in device topics.
        definition: the fleet.
        fleet: its twin, for the number and the limits of the devices.
        settings: the broker.
        wake: set whenever ``drain`` has something.
        clock: judges the age of what arrives.
        open_session: makes the connection; another one only in simulated time.
    """

    def __init__(
        self,
        park_id: str,
        definition: ResourceDefinition,
        fleet: Fleet,
        settings: MqttSettings,
        wake: asyncio.Event,
        *,
        clock: Clock,
        open_session: OpenSession = MqttSession,
    ) -> None:
        super().__init__(
            park_id,
            definition,
            settings,
            wake,
            clock=clock,
            telemetry_max_bytes=FLEET_TELEMETRY_MAX_BYTES,
            open_session=open_session,
        )
        self._fleet = fleet
        self._columns = FleetColumns(fleet)
        self._n_runs = -(-fleet.n_devices // RUN_DEVICES)
        self._summed_up_at_s = -np.inf
        self._max_skew_s = IntakeLimits().max_future_skew_s
        self._sent: _Sent | None = None

    def _telemetry(self, message: Inbound) -> Event | None:
        chunk = message.decode(FleetTelemetry)
        now = self._clock.now()
        if (chunk.measured_at - now).total_seconds() > self._max_skew_s:
            # Folded in, it would make every honest sample after it look old.
            rule = f"must be at most {self._max_skew_s:g} s ahead of our clock"
            raise DomainError("measured_at", chunk.measured_at.isoformat(), rule)
        power_kw = np.asarray(chunk.power_kw)
        self._columns.observe_chunk(
            first=chunk.first,
            measured_at=chunk.measured_at,
            power_kw=0.0 - power_kw if self._turned else power_kw,
            signals=chunk.signals,
            command_id=chunk.command_id,
        )
        if now.timestamp() - self._summed_up_at_s < SUM_UP_EVERY_S:
            return None
        self._summed_up_at_s = now.timestamp()
        return self._sum_up()

    def _sum_up(self) -> Event | None:
        total = self._columns.aggregate(self._clock.now())
        if total is None:
            return None
        reading, sent = total.reading, self._sent
        executes = sent is not None and total.command_id == sent.command_id
        sample = Telemetry(
            # Rises with the measurement, also across restarts of this process.
            seq=int(reading.measured_at.timestamp() * 1e6),
            measured_at=reading.measured_at,
            power_kw=reading.power_kw,
            setpoint_kw=sent.setpoint_kw if sent is not None and executes else None,
            command_id=total.command_id,
            signals=dict(reading.signals),
        )
        return TelemetryReceived(sample=sample)

    def _ack(self, message: Inbound) -> Event | None:
        ack = message.decode(Ack)
        seq, run = divmod(ack.seq, self._n_runs)
        ack = msgspec.structs.replace(ack, seq=seq)
        sent = self._sent
        if sent is None or ack.command_id != sent.command_id or ack.result != AckResult.ACCEPTED:
            return AckReceived(ack=ack)
        answered = sent.answered.setdefault(seq, set())
        answered.add(run)
        return AckReceived(ack=ack) if len(answered) == self._n_runs else None

    async def _send(self, command: Command) -> None:
        setpoints_kw = None
        if command.setpoint_kw is not None:
            split_kw = self._columns.split(command.setpoint_kw, self._clock.now())
            setpoints_kw = np.round(split_kw, _SETPOINT_DECIMALS)
        total_kw = None if setpoints_kw is None else float(setpoints_kw.sum())
        if self._sent is None or self._sent.command_id != command.command_id:
            self._sent = _Sent(command.command_id, total_kw)
        self._sent.setpoint_kw = total_kw
        if setpoints_kw is not None and self._turned:
            setpoints_kw = 0.0 - setpoints_kw
        publishing = []
        for run in range(self._n_runs):
            first = run * RUN_DEVICES
            n_devices = min(RUN_DEVICES, self._fleet.n_devices - first)
            part = None if setpoints_kw is None else setpoints_kw[first : first + n_devices]
            order = FleetCommand(
                command_id=command.command_id,
                epoch=command.epoch,
                seq=command.seq * self._n_runs + run,
                issued_at=command.issued_at,
                valid_from=command.valid_from,
                expires_at=command.expires_at,
                lifetime_s=command.lifetime_s,
                first=first,
                n_devices=n_devices,
                setpoints_kw=None if part is None else part.tolist(),
                fallback=self._fallback(command.fallback),
            )
            publishing.append(
                self._publish_command(encode(order), command.command_id, command.lifetime_s)
            )
        await asyncio.gather(*publishing)

    def _fallback(self, fallback: Fallback) -> Fallback:
        if fallback.limit_kw is None:
            return fallback
        # The definition limits the fleet as a whole.
        share_kw = fallback.limit_kw / self._fleet.n_devices
        return msgspec.structs.replace(fallback, limit_kw=share_kw)

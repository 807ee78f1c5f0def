"""The live actor of one physical resource: its twin, its device link, its commands.

A shell only: ``controllers.control.resource`` decides, ``actors.host`` makes durable and performs.
Calls return once their effect is durable and are idempotent, so a caller may repeat them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime

from actors.host import Host
from actors.links.device import DeviceLink
from actors.links.mqtt import MqttSettings
from actors.precedence import Precedence
from controllers.control import resource as control
from controllers.control.events import (
    Event,
    KillReleased,
    KillSet,
    MaintenanceCleared,
    MaintenanceSet,
    OverrideCleared,
    OverrideSet,
)
from controllers.control.state import CHECKPOINT_MAX_BYTES, ControlState, Decision, ResourceSpec
from controllers.devices.connectivity import Heard
from controllers.kernel.errors import ActorUnavailableError, DomainError
from controllers.kernel.states import ResourceState
from controllers.kernel.timebase import Clock, SystemClock, require_utc
from controllers.kernel.wire import decode
from controllers.park import ResourceDefinition
from controllers.ports.actors import ActorStoreFactory, OutboxRecord
from controllers.resources.kinds import build_twin
from controllers.resources.twin import TwinState

logger = logging.getLogger(__name__)

TICK_S = 0.5
"""Longest time in which lifetimes and ages are judged again."""


class ResourceLogic:
    """Control of one resource in the form a host gives life to."""

    def __init__(self, spec: ResourceSpec) -> None:
        self._spec = spec

    def resume(self, epoch: int, checkpoint: bytes | None, now: datetime) -> Decision:
        """Return the first decision of an epoch."""
        restored = None
        if checkpoint is not None:
            try:
                restored = decode(checkpoint, ControlState, max_bytes=CHECKPOINT_MAX_BYTES)
            except DomainError:
                # A cold start is in failsafe until the device is heard, so it is the safe way on.
                logger.exception("%s: the checkpoint is unreadable; starting cold", self._spec.id)
        return control.resume(self._spec, epoch, restored, now)

    def decide(self, state: ControlState, event: Event, now: datetime) -> Decision:
        """Return what an event changes."""
        return control.decide(self._spec, state, event, now)


class ResourceActor:
    """Control of one resource, live; all constructor arguments are picklable.

    Args:
        park_id: the site in device topics.
        definition: the resource.
        homes: aggregates that list it, in file order; the first is its home.
        settings: the broker.
        open_store: from actor id to its store.
        new_clock: makes the clock; another one only in simulated time.
    """

    PRECEDENCE = Precedence.CONTROL

    def __init__(
        self,
        park_id: str,
        definition: ResourceDefinition,
        homes: tuple[str, ...],
        settings: MqttSettings,
        open_store: ActorStoreFactory,
        *,
        new_clock: Callable[[], Clock] = SystemClock,
    ) -> None:
        wake = asyncio.Event()
        self._clock = new_clock()
        self._spec = ResourceSpec(
            definition=definition,
            twin=build_twin(definition.kind, definition.parameters),
            home=homes[0] if homes else None,
        )
        self._link = self.make_link(park_id, self._spec, settings, wake, self._clock)
        self._host = Host(
            definition.id,
            open_store=lambda: open_store(definition.id),
            clock=self._clock,
            logic=ResourceLogic(self._spec),
            link=self._link,
            wake=wake,
            tick_s=TICK_S,
        )

    def make_link(
        self,
        park_id: str,
        spec: ResourceSpec,
        settings: MqttSettings,
        wake: asyncio.Event,
        clock: Clock,
    ) -> DeviceLink:
        """Return the link to the device."""
        return DeviceLink(park_id, spec.definition, settings, wake, clock=clock)

    async def ready(self) -> int:
        """Wait until restored; return the epoch."""
        return await self._host.ready()

    async def state(self) -> ResourceState:
        """Return the state as last published."""
        await self._host.ready()
        if self._link.last_state is None:
            raise ActorUnavailableError(self._spec.id)
        return self._link.last_state

    async def twin_state(self) -> TwinState:
        """Return what is believed of the resource, for planning."""
        return (await self._host.state()).twin

    async def health(self) -> dict[str, int | float | str | bool]:
        """Return what a supervisor and a metrics page want to know."""
        return self._host.health()

    async def set_override(
        self, target_kw: float, until: datetime, operator: str, reason: str
    ) -> None:
        """Take the resource in hand until a given instant.

        Raises:
            DomainError: the power is beyond the name-plate, or the instant has passed.
        """
        rated_kw = self._spec.twin.rated_kw
        if not abs(target_kw) <= rated_kw:
            raise DomainError("target_kw", target_kw, f"must be within ±{rated_kw:g} kW")
        if require_utc("until", until) <= self._clock.now():
            raise DomainError("until", until.isoformat(), "must be in the future")
        event = OverrideSet(target_kw=target_kw, until=until, operator=operator, reason=reason)
        await self._host.call(event)

    async def clear_override(self, operator: str) -> None:
        """Let go of the resource."""
        await self._host.call(OverrideCleared(operator=operator))

    async def kill(self, operator: str, reason: str) -> None:
        """Stop the resource until released."""
        await self._host.call(KillSet(operator=operator, reason=reason))

    async def release_kill(self, operator: str, reason: str) -> None:
        """Lift the stop; the resource moves again on a fresh command only."""
        await self._host.call(KillReleased(operator=operator, reason=reason))

    async def set_maintenance(
        self, window_id: str, until: datetime, operator: str, reason: str
    ) -> None:
        """Keep everybody but a person's hand off until an instant; a past one does nothing."""
        event = MaintenanceSet(
            window_id=window_id,
            until=require_utc("until", until),
            operator=operator,
            reason=reason,
        )
        await self._host.call(event)

    async def clear_maintenance(self, window_id: str) -> None:
        """Give the resource back."""
        await self._host.call(MaintenanceCleared(window_id=window_id))

    async def heard(self) -> tuple[int, Heard]:
        """Return the epoch, and what has been heard of the device since it began."""
        return await self._host.ready(), self._link.heard

    async def outbox(
        self, limit: int, confirmed: int = 0, wait_s: float = 0.0
    ) -> list[OutboxRecord]:
        """Return the oldest records not yet confirmed; see ``Host.outbox``."""
        return await self._host.outbox(limit, confirmed, wait_s)

    async def stop(self) -> None:
        """End in order; the device falls back when its command expires."""
        await self._host.stop()

"""The AlarmActor: watches the live states of one park and keeps its alarms.

A shell only: ``controllers.alarms`` decides, ``actors.host`` makes durable and performs. Calls
return once their effect is durable; repeating one changes nothing more. After a restart the alarms
stand as they stood, and notices whose delivery had not ended are delivered under the same ids.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime

from actors.host import Host
from actors.links.alarms import AlarmLink
from actors.links.mqtt import MqttSettings
from actors.notices.dispatcher import Patience
from actors.notices.guard import AddressGuard
from controllers.alarms.addresses import parse_networks
from controllers.alarms.channels import Delivery
from controllers.alarms.events import (
    Acknowledged,
    AlarmAct,
    AlarmCheckpoint,
    AlarmLogic,
    AlarmSubjects,
    Cleared,
    Shelved,
    Unshelved,
)
from controllers.alarms.lifecycle import Alarm
from controllers.alarms.notices import trial_notice
from controllers.kernel.ids import RandomIds
from controllers.kernel.timebase import Clock, SystemClock
from controllers.ports.actors import ActorStoreFactory, OutboxRecord
from controllers.ports.alarms import AlarmSourceFactory
from controllers.supervision import ALARMS

PERIOD_S = 1.0


class AlarmActor:
    """Alarms of one park, live; all constructor arguments are picklable.

    Args:
        subjects: what the park has.
        settings: the broker.
        open_store: from actor id to its store.
        open_source: opens rules and channels.
        allowed_networks: to which notices may go although they are not public.
        new_clock: makes the clock; another one only in simulated time.
        patience: how long to try a channel.
    """

    def __init__(
        self,
        subjects: AlarmSubjects,
        settings: MqttSettings,
        open_store: ActorStoreFactory,
        open_source: AlarmSourceFactory,
        allowed_networks: Sequence[str] = (),
        *,
        new_clock: Callable[[], Clock] = SystemClock,
        patience: Patience | None = None,
    ) -> None:
        wake = asyncio.Event()
        self._clock = new_clock()
        self._ids = RandomIds(self._clock)
        self._logic = AlarmLogic(subjects, self._ids)
        self._link = AlarmLink(
            subjects,
            settings,
            open_source,
            wake,
            clock=self._clock,
            guard=AddressGuard(parse_networks(allowed_networks)),
            patience=patience,
        )
        self._host: Host[AlarmCheckpoint] = Host(
            ALARMS,
            open_store=lambda: open_store(ALARMS),
            clock=self._clock,
            logic=self._logic,
            link=self._link,
            wake=wake,
            tick_s=PERIOD_S,
        )

    async def ready(self) -> int:
        """Wait until restored; return the epoch."""
        return await self._host.ready()

    async def health(self) -> dict[str, int | float | str | bool]:
        """Return what a supervisor and a metrics page want to know."""
        counts: dict[str, int] = {}
        if self._host.health()["ready"]:
            standing = self._logic.book.standing
            counts = {
                "alarms_standing": len(standing),
                "alarms_overflowed": self._logic.book.n_overflowed,
                "config_version": self._logic.config_version,
            }
        return {**self._host.health(), **counts}

    async def alarms(self) -> list[Alarm]:
        """Return the standing alarms, oldest first."""
        await self._host.ready()
        return self._logic.book.standing

    async def acknowledge(self, alarm_id: str, by: str, note: str) -> Alarm:
        """Take note of an alarm, and of those a group speaks for."""
        return await self._act(Acknowledged(alarm_id=alarm_id, by=by, note=note))

    async def shelve(self, alarm_id: str, until: datetime, by: str, reason: str) -> Alarm:
        """Silence an alarm until an instant."""
        return await self._act(Shelved(alarm_id=alarm_id, until=until, by=by, note=reason))

    async def unshelve(self, alarm_id: str, by: str, note: str) -> Alarm:
        """Let go of a shelved alarm."""
        return await self._act(Unshelved(alarm_id=alarm_id, by=by, note=note))

    async def clear(self, alarm_id: str, by: str, note: str) -> Alarm:
        """End an alarm that has returned."""
        return await self._act(Cleared(alarm_id=alarm_id, by=by, note=note))

    async def test(self, channel_id: str, by: str) -> Delivery:
        """Send one notice to a channel, now and once; it is not recorded."""
        await self._host.ready()
        notice = trial_notice(self._ids.new("notice"), channel_id, by, self._clock.now())
        return await self._link.test(channel_id, notice)

    async def outbox(
        self, limit: int, confirmed: int = 0, wait_s: float = 0.0
    ) -> list[OutboxRecord]:
        """Return the oldest records not yet confirmed; see ``Host.outbox``."""
        return await self._host.outbox(limit, confirmed, wait_s)

    async def stop(self) -> None:
        """End in order."""
        await self._host.stop()

    async def _act(self, act: AlarmAct) -> Alarm:
        await self._host.call(act)
        return self._logic.book.alarm(act.alarm_id)

"""The DevicesActor: looks after the devices beside control: configuration, commands, maintenance.

People's wishes come from the database, by a revision number that is read once a second; what
devices say comes by MQTT. Wishes go out on the devices' topics, except for maintenance, which the
resource's own control holds, with its end, so that it does not depend on this actor. While the
database is away, what is known goes on and what is found out waits.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC
from typing import Any

from actors import runtime
from actors.links.inbox import Inbound, Policy, Subscription
from actors.links.mqtt import MqttSession, MqttSettings
from actors.tasks import end
from controllers.control.contract import Status, topic
from controllers.devices.desk import DeviceDesk
from controllers.devices.messages import RESULT_MAX_BYTES, ManageResult
from controllers.kernel.errors import (
    ActorUnavailableError,
    DeviceUnreachableError,
    DomainError,
    NotFoundError,
    StorageUnavailableError,
)
from controllers.kernel.ids import RandomIds
from controllers.kernel.timebase import Clock, SystemClock
from controllers.kernel.wire import encode
from controllers.ports.devices import DeviceLedger
from controllers.supervision import resource_actor

logger = logging.getLogger(__name__)

Ask = Callable[..., Awaitable[Any]]
"""Calls a method of a resource's actor by id; raises ActorUnavailableError."""

TURN_S = 1.0
"""Wishes are looked for, and what was found out is written, this often."""
LOOK_S = 30.0
"""Each resource is asked what it heard of its device this often."""

_DRAIN_LIMIT = 512
_ASKED_AT_ONCE = 16
_SOONEST_S = 0.05


async def ask_resource(resource_id: str, method: str, *args: object) -> Any:
    """Call a method of a resource's live actor.

    Raises:
        ActorUnavailableError: it does not answer in time, or is not there.
    """
    name = resource_actor(resource_id)
    try:
        handle = await asyncio.to_thread(runtime.find, name)
    except NotFoundError as error:
        raise ActorUnavailableError(name) from error
    return await runtime.call(handle, method, *args, actor_id=name)


class DevicesActor:
    """Looks after all devices of a park; restartable at any moment.

    Args:
        park_id: the site in device topics.
        settings: the broker, with the inner account.
        open_ledger: opens the database; called in a thread.
        ask: reaches the resources' actors.
        new_clock: makes the clock; another one only in simulated time.
        turn_s: time between two looks at the database.
        look_s: time between two looks at the devices' connectivity.
    """

    def __init__(
        self,
        park_id: str,
        settings: MqttSettings,
        open_ledger: Callable[[], DeviceLedger],
        *,
        ask: Ask = ask_resource,
        new_clock: Callable[[], Clock] = SystemClock,
        turn_s: float = TURN_S,
        look_s: float = LOOK_S,
    ) -> None:
        self._park_id = park_id
        self._open_ledger = open_ledger
        self._ask = ask
        self._clock = new_clock()
        self._turn_s = turn_s
        self._look_s = look_s
        self._desk = DeviceDesk(RandomIds(self._clock))
        self._ledger: DeviceLedger | None = None
        self._revision = -1
        self._storage_error = ""
        self._n_refused = 0
        self._written_at_s = -turn_s
        self._wake = asyncio.Event()
        self._session = MqttSession(
            settings,
            # Resource ids have no dot, so no resource's link bears this name.
            f"parkgrid.{park_id}.devices",
            subscriptions=[
                # Of a device that says much, only the last; a flood of one delays no other.
                _subscription(topic(park_id, "+", "status"), Policy.LATEST),
                _subscription(topic(park_id, "+", "result"), Policy.KEEP),
            ],
            wake=self._wake,
            on_link=self._link_changed,
        )
        loop = asyncio.get_running_loop()
        self._tasks = [
            loop.create_task(self._session.run()),
            loop.create_task(self._for_ever(self._turn, self._rest)),
            loop.create_task(self._for_ever(self._tell_windows, self._pause)),
            loop.create_task(self._for_ever(self._look, self._pause_looking)),
        ]

    async def health(self) -> dict[str, int | float | str | bool]:
        """Return counters and the last storage error, empty when all is well."""
        return {
            "ready": self._revision >= 0,
            "devices": len(self._desk.resources),
            "revision": self._revision,
            "payloads_refused": self._n_refused,
            "storage_error": self._storage_error,
            **self._session.metrics(),
        }

    async def stop(self) -> None:
        """End, and write what is known."""
        await end(*self._tasks)
        try:
            await self._save()
        except StorageUnavailableError as error:
            logger.warning("what devices said last is lost: %s", error)

    async def _for_ever(
        self, turn: Callable[[], Awaitable[None]], rest: Callable[[], Awaitable[None]]
    ) -> None:
        while True:
            try:
                await turn()
            except Exception:
                logger.exception("a turn of looking after devices failed")
            await rest()

    async def _turn(self) -> None:
        now = self._clock.now()
        for message in self._session.drain(_DRAIN_LIMIT):
            self._take(message)
        self._desk.tick(now)
        loop = asyncio.get_running_loop()
        # However much devices say, the database is asked no more often.
        if loop.time() - self._written_at_s >= self._turn_s:
            self._written_at_s = loop.time()
            await self._write_and_read()
        if self._session.connected:
            await self._send()

    async def _write_and_read(self) -> None:
        try:
            await self._save()
            await self._read()
        except StorageUnavailableError as error:
            self._note_storage(str(error))
        else:
            self._note_storage("")

    async def _rest(self) -> None:
        await asyncio.sleep(min(_SOONEST_S, self._turn_s))
        try:
            await asyncio.wait_for(self._wake.wait(), self._turn_s)
        except TimeoutError:
            return
        self._wake.clear()

    async def _pause(self) -> None:
        await asyncio.sleep(self._turn_s)

    async def _pause_looking(self) -> None:
        await asyncio.sleep(self._look_s)

    async def _read(self) -> None:
        ledger = await self._opened()
        revision = await asyncio.to_thread(ledger.revision)
        if revision == self._revision:
            return
        if self._revision < 0:
            today = self._clock.now().astimezone(UTC).date()
            self._desk.resume(await asyncio.to_thread(ledger.connectivity, today))
        self._desk.open(await asyncio.to_thread(ledger.load))
        self._revision = revision

    async def _save(self) -> None:
        news = self._desk.take_news()
        if not news:
            return
        try:
            ledger = await self._opened()
            await asyncio.to_thread(ledger.save, news)
        except BaseException:
            self._desk.put_back(news)
            raise

    async def _opened(self) -> DeviceLedger:
        if self._ledger is None:
            self._ledger = await asyncio.to_thread(self._open_ledger)
        return self._ledger

    def _take(self, message: Inbound) -> None:
        *_, resource_id, leaf = message.topic.split("/")
        now = self._clock.now()
        try:
            if not message.n_bytes:
                return
            if leaf == "status":
                self._desk.hear_status(resource_id, message.decode(Status), now)
            elif not self._desk.hear_result(resource_id, message.decode(ManageResult), now):
                self._n_refused += 1
        except DomainError:
            # The resource's own link counts a bad status under the resource.
            self._n_refused += 1

    async def _send(self) -> None:
        try:
            for resource_id, wanted in self._desk.configurations_due():
                payload = b"" if wanted is None else encode(wanted.message())
                await self._publish(resource_id, "config", payload, retain=True)
                self._desk.note_configured(resource_id, wanted)
            now = self._clock.now()
            for resource_id, command in self._desk.commands_due(now):
                await self._publish(resource_id, "manage", encode(command.message()))
                self._desk.note_sent(command, now)
        except DeviceUnreachableError:
            # The broker is gone; what is due stays due.
            return

    async def _publish(
        self, resource_id: str, leaf: str, payload: bytes, *, retain: bool = False
    ) -> None:
        name = topic(self._park_id, resource_id, leaf)
        await self._session.publish(name, payload, qos=1, retain=retain)

    async def _tell_windows(self) -> None:
        now = self._clock.now()
        for window in self._desk.holds_due(now):
            try:
                await self._ask(
                    window.resource_id,
                    "set_maintenance",
                    window.id,
                    window.end_at,
                    window.planned_by,
                    window.reason,
                )
            except ActorUnavailableError:
                continue
            self._desk.note_held(window, now)
        for window in self._desk.releases_due():
            try:
                await self._ask(window.resource_id, "clear_maintenance", window.id)
            except ActorUnavailableError:
                continue
            self._desk.note_released(window)

    async def _look(self) -> None:
        turns = asyncio.Semaphore(_ASKED_AT_ONCE)

        async def look(resource_id: str) -> None:
            async with turns:
                try:
                    epoch, heard = await self._ask(resource_id, "heard")
                except ActorUnavailableError:
                    return
                self._desk.look(resource_id, epoch, heard, self._clock.now())

        await asyncio.gather(*(look(resource_id) for resource_id in self._desk.resources))

    def _link_changed(self, up: bool) -> None:
        if up:
            self._desk.forget_configured()
        self._wake.set()

    def _note_storage(self, error: str) -> None:
        if error and not self._storage_error:
            logger.warning("devices are looked after from memory: %s", error)
        elif self._storage_error and not error:
            logger.info("the database answers about devices again")
        self._storage_error = error


def _subscription(topic_filter: str, policy: Policy) -> Subscription:
    return Subscription(topic_filter=topic_filter, policy=policy, qos=1, max_bytes=RESULT_MAX_BYTES)

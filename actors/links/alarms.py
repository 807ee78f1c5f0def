"""The alarms' side of the outside: live states in, standing alarms out, rules from SQL, notices.

The newest state of each subject is decoded when the actor takes its turn, once a second; what came
in between is never looked at. Standing alarms go to retained topics, of which only the newest
version matters: while the broker is away they gather. An ended alarm is published once more and its
topic is then emptied. Rules and channels are looked for every ``POLL_S``; while the database does
not answer, the last ones stay.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

import msgspec

from actors.links.inbox import Inbound, Policy, Subscription
from actors.links.mqtt import MqttSession, MqttSettings
from actors.notices.dispatcher import Dispatcher, Patience, Sender
from actors.notices.guard import AddressGuard
from actors.tasks import end
from controllers.alarms.channels import Delivery, alarm_topic
from controllers.alarms.events import (
    AlarmConfig,
    AlarmSubjects,
    Configured,
    HandOut,
    Observed,
    PublishAlarms,
    Settled,
)
from controllers.alarms.lifecycle import ENDED, Alarm
from controllers.alarms.notices import Notice
from controllers.control.events import Effect, Event, LinkChanged
from controllers.kernel.errors import (
    DeviceUnreachableError,
    DomainError,
    StorageUnavailableError,
)
from controllers.kernel.states import (
    AggregateState,
    ResourceState,
    aggregate_state_topic,
    resource_state_topic,
)
from controllers.kernel.timebase import Clock
from controllers.kernel.wire import encode
from controllers.ports.alarms import AlarmSetup, AlarmSource, AlarmSourceFactory
from controllers.ports.health import breakers_figure

logger = logging.getLogger(__name__)

POLL_S = 2.0
STATE_MAX_BYTES = 4_194_304
_RETRY_S = 1.0
_ALL = 1_000_000
_RESOURCE_PREFIX = resource_state_topic("")


class AlarmLink:
    """Connections of the AlarmActor.

    Args:
        subjects: what the park has.
        settings: the broker.
        open_source: opens rules and channels; called in a thread.
        wake: set when something other than a live state arrived.
        clock: gives timestamps.
        guard: where notices may go.
        patience: how long to try a channel.
    """

    def __init__(
        self,
        subjects: AlarmSubjects,
        settings: MqttSettings,
        open_source: AlarmSourceFactory,
        wake: asyncio.Event,
        *,
        clock: Clock,
        guard: AddressGuard,
        patience: Patience | None = None,
    ) -> None:
        self._open_source = open_source
        self._source: AlarmSource | None = None
        self._wake = wake
        self._clock = clock
        self._session = MqttSession(
            settings,
            f"parkgrid-{subjects.park_id}-alarms",
            subscriptions=[
                Subscription(topic_filter=topics, policy=Policy.LATEST, max_bytes=STATE_MAX_BYTES)
                for topics in (resource_state_topic("+"), aggregate_state_topic("+"))
            ],
            on_link=self._link_changed,
        )
        sender = Sender(
            park_id=subjects.park_id,
            park_name=subjects.park_name,
            guard=guard,
            publish=self._publish_notice,
            clock=clock,
        )
        self._dispatcher = Dispatcher(sender, self._settled, patience)
        self._events: list[Event] = []
        self._config = AlarmConfig()
        self._dirty: dict[str, Alarm] = {}
        self._changed = asyncio.Event()
        self.n_refused = 0
        """Payloads that were no state."""

    def drain(self, limit: int) -> list[Event]:
        """Return what happened, and the newest live states."""
        resources: list[ResourceState] = []
        aggregates: list[AggregateState] = []
        for message in self._session.drain(_ALL):
            self._decode(message, resources, aggregates)
        events, self._events = self._events[: limit - 1], self._events[limit - 1 :]
        observed = Observed(
            connected=self._session.connected, resources=resources, aggregates=aggregates
        )
        return [*events, observed]

    async def perform(self, effect: Effect) -> None:
        """Carry out one effect; returns before it is through."""
        match effect:
            case PublishAlarms():
                for alarm in effect.alarms:
                    held = self._dirty.get(alarm.id)
                    if held is None or held.version <= alarm.version:
                        self._dirty[alarm.id] = alarm
                self._changed.set()
            case HandOut():
                self._dispatcher.take(effect.notices)

    async def run(self, admit: Callable[[], Awaitable[None]]) -> None:
        """Keep everything going until cancelled; await ``admit`` before each connect."""
        loop = asyncio.get_running_loop()
        beside = [loop.create_task(self._publish_changes()), loop.create_task(self._poll())]
        try:
            await self._session.run(admit)
        finally:
            await end(*beside)
            await self._dispatcher.stop()

    async def test(self, channel_id: str, notice: Notice) -> Delivery:
        """Try a channel once, now.

        Raises:
            NotFoundError: it is not usable.
        """
        return await self._dispatcher.test(channel_id, notice)

    def metrics(self) -> dict[str, int]:
        """Return counters since the start of the process."""
        outcomes = self._dispatcher.n_by_outcome.items()
        return {
            **self._session.metrics(),
            "payloads_refused": self.n_refused,
            "notices_waiting": self._dispatcher.n_waiting,
            **{f"notices_{outcome.value}": n for outcome, n in outcomes},
            **{breakers_figure(kind): n for kind, n in self._dispatcher.n_breakers_open().items()},
        }

    def _decode(
        self,
        message: Inbound,
        resources: list[ResourceState],
        aggregates: list[AggregateState],
    ) -> None:
        if not message.payload and message.n_bytes <= message.max_bytes:
            return  # A retained state that was taken back.
        try:
            if message.topic.startswith(_RESOURCE_PREFIX):
                resources.append(message.decode(ResourceState))
            else:
                aggregates.append(message.decode(AggregateState))
        except DomainError as error:
            self.n_refused += 1
            if self.n_refused == 1:
                logger.warning("%s: not a state: %s", message.topic, error)

    def _tell(self, event: Event) -> None:
        self._events.append(event)
        self._wake.set()

    def _link_changed(self, up: bool) -> None:
        self._tell(LinkChanged(up=up))

    def _settled(self, delivery: Delivery) -> None:
        self._tell(Settled(delivery=delivery))

    async def _publish_notice(self, topic: str, payload: bytes) -> None:
        await self._session.publish(topic, payload, qos=1)

    async def _publish_changes(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            while self._dirty:
                alarm = self._dirty.pop(next(iter(self._dirty)))
                try:
                    await self._publish(alarm)
                except DeviceUnreachableError:
                    self._dirty.setdefault(alarm.id, alarm)
                    await asyncio.sleep(_RETRY_S)

    async def _publish(self, alarm: Alarm) -> None:
        topic = alarm_topic(alarm.id)
        ended = alarm.state in ENDED
        await self._session.publish(topic, encode(alarm), retain=not ended)
        if ended:
            await self._session.publish(topic, b"", retain=True)

    async def _poll(self) -> None:
        problem = ""
        while True:
            try:
                await self._look()
                problem = ""
            except StorageUnavailableError as error:
                if not problem:
                    logger.warning("the last alarm rules stay in force: %s", error)
                problem = str(error)
            except Exception:
                logger.exception("looking for alarm rules failed")
            await asyncio.sleep(POLL_S)

    async def _look(self) -> None:
        if self._source is None:
            self._source = await asyncio.to_thread(self._open_source)
        now = self._clock.now()
        if await asyncio.to_thread(self._source.version) != self._config.version:
            self._adopt(await asyncio.to_thread(self._source.load, now))
            return
        suppressed = await asyncio.to_thread(self._source.under_maintenance, now)
        if suppressed != self._config.suppressed:
            self._config = msgspec.structs.replace(self._config, suppressed=suppressed)
            self._tell(Configured(config=self._config))

    def _adopt(self, setup: AlarmSetup) -> None:
        self._config = setup.config
        self._dispatcher.use(setup.channels)
        self._tell(Configured(config=setup.config))
        logger.info("alarm rules are now at version %d", setup.config.version)

"""A process's own picture of the park, fed from the retained state topics.

Each Serve replica and the optimizer hold one; reading it costs no call to any actor. A state older
than the one held, by ``(epoch, seq)``, is dropped. Subscribers get the newest state of each changed
subject: a slow reader loses intermediate states, never the latest.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from types import MappingProxyType

import msgspec

from actors.links.inbox import Inbound, Policy, Subscription
from actors.links.mqtt import MqttSession, MqttSettings
from actors.tasks import end
from controllers.alarms.channels import alarm_topic
from controllers.alarms.lifecycle import ENDED, Alarm, AlarmState
from controllers.kernel.errors import DomainError
from controllers.kernel.states import (
    AggregateState,
    ResourceState,
    aggregate_state_topic,
    resource_state_topic,
)
from controllers.ports.live import Delta

logger = logging.getLogger(__name__)

STATE_MAX_BYTES = 4_194_304
"""An aggregate's state lists its members; 5,000 of them stay below this."""

_RESOURCE_TOPICS = resource_state_topic("+")
_AGGREGATE_TOPICS = aggregate_state_topic("+")
_ALARM_TOPICS = alarm_topic("+")
_ALARM_PREFIX = alarm_topic("")
_RESOURCE_PREFIX = resource_state_topic("")
_AGGREGATE_PREFIX = aggregate_state_topic("")
_DRAIN_LIMIT = 512


class MqttLiveView:
    """A LiveView over one MQTT session; ``start`` it inside the loop that reads it.

    Args:
        settings: the broker, with an account that may read the inner topics.
        client_id: unique among all views.
    """

    def __init__(self, settings: MqttSettings, client_id: str) -> None:
        self._wake = asyncio.Event()
        self._session = MqttSession(
            settings,
            client_id,
            subscriptions=[
                Subscription(topic_filter=topics, policy=Policy.LATEST, max_bytes=STATE_MAX_BYTES)
                for topics in (_RESOURCE_TOPICS, _AGGREGATE_TOPICS, _ALARM_TOPICS)
            ],
            wake=self._wake,
        )
        self._resources: dict[str, ResourceState] = {}
        self._aggregates: dict[str, AggregateState] = {}
        self._alarms: dict[str, Alarm] = {}
        self._readers: set[_Reader] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self.n_refused = 0
        """Payloads that were no state."""

    def start(self) -> None:
        """Begin to follow the topics; repeated calls do nothing."""
        if not self._tasks:
            loop = asyncio.get_running_loop()
            self._tasks = [
                loop.create_task(self._session.run()),
                loop.create_task(self._follow()),
            ]

    async def stop(self) -> None:
        """End the session."""
        await end(*self._tasks)
        self._tasks = []

    @property
    def connected(self) -> bool:
        """Whether the feed is up."""
        return self._session.connected

    @property
    def resources(self) -> Mapping[str, ResourceState]:
        """Latest state by resource id."""
        return MappingProxyType(self._resources)

    @property
    def aggregates(self) -> Mapping[str, AggregateState]:
        """Latest state by aggregate id."""
        return MappingProxyType(self._aggregates)

    @property
    def alarms(self) -> Mapping[str, Alarm]:
        """Standing alarms by id."""
        return MappingProxyType(self._alarms)

    async def subscribe(self, max_pending: int) -> AsyncIterator[Delta]:
        """Yield changes from now on; at most ``max_pending`` subjects wait.

        When more subjects change than may wait, those waiting longest are left out; a reader that
        must not miss a subject allows for all of them.
        """
        reader = _Reader(max_pending)
        self._readers.add(reader)
        try:
            while True:
                yield await reader.next()
        finally:
            self._readers.discard(reader)

    async def _follow(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while messages := self._session.drain(_DRAIN_LIMIT):
                for message in messages:
                    self._take(message)
                await asyncio.sleep(0)

    def _take(self, message: Inbound) -> None:
        try:
            if message.topic.startswith(_ALARM_PREFIX):
                self._take_alarm(message)
                return
            if not message.n_bytes:
                # It was retired or taken from work.
                self._resources.pop(message.topic.removeprefix(_RESOURCE_PREFIX), None)
                self._aggregates.pop(message.topic.removeprefix(_AGGREGATE_PREFIX), None)
                return
            if message.topic.startswith(_RESOURCE_PREFIX):
                resource = message.decode(ResourceState)
                if _is_newer(resource, self._resources.get(resource.id)):
                    self._resources[resource.id] = resource
                    self._tell(resource.id, Delta(resource=resource))
            else:
                aggregate = message.decode(AggregateState)
                if _is_newer(aggregate, self._aggregates.get(aggregate.id)):
                    self._aggregates[aggregate.id] = aggregate
                    self._tell(aggregate.id, Delta(aggregate=aggregate))
        except DomainError as error:
            self.n_refused += 1
            if self.n_refused == 1:
                logger.warning("%s: not a state: %s", message.topic, error)

    def _take_alarm(self, message: Inbound) -> None:
        id_ = message.topic.removeprefix(_ALARM_PREFIX)
        held = self._alarms.get(id_)
        if message.payload:
            alarm = message.decode(Alarm)
        elif held is not None:
            # Its topic was emptied; the message that said why may have been overtaken.
            alarm = msgspec.structs.replace(held, state=AlarmState.NORMAL, active=False)
        else:
            return
        if alarm.state in ENDED:
            self._alarms.pop(id_, None)
        elif held is None or held.version <= alarm.version:
            self._alarms[id_] = alarm
        self._tell(alarm.id, Delta(alarm=alarm))

    def _tell(self, subject: str, delta: Delta) -> None:
        for reader in self._readers:
            reader.offer(subject, delta)


class _Reader:
    """One subscriber's waiting room, newest state per subject."""

    def __init__(self, max_pending: int) -> None:
        self._max_pending = max_pending
        self._pending: dict[str, Delta] = {}
        self._filled = asyncio.Event()

    def offer(self, subject: str, delta: Delta) -> None:
        if subject not in self._pending and len(self._pending) >= self._max_pending:
            del self._pending[next(iter(self._pending))]
        self._pending[subject] = delta
        self._filled.set()

    async def next(self) -> Delta:
        while not self._pending:
            self._filled.clear()
            await self._filled.wait()
        return self._pending.pop(next(iter(self._pending)))


def _is_newer(
    state: ResourceState | AggregateState, held: ResourceState | AggregateState | None
) -> bool:
    return held is None or (state.epoch, state.seq) > (held.epoch, held.seq)

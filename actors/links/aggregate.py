"""One aggregate's side of the broker: member states in, proposals and its own state out.

Between two turns of the dispatch loop the live sums are published whenever members changed, at most
once per ``COALESCE_S``, so that a burst of samples becomes one message.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import datetime

from actors.links.inbox import Inbound, Policy, Subscription
from actors.links.mqtt import MqttSession, MqttSettings, OpenSession
from controllers.aggregation.events import (
    KeepReport,
    MemberChanged,
    ParentProposed,
    Propose,
    PublishAggregate,
)
from controllers.aggregation.instruction import DeliveryReport
from controllers.aggregation.portfolio import MemberSpec
from controllers.control.events import Effect, Event, InputRefused, LinkChanged
from controllers.kernel.errors import DeviceUnreachableError, DomainError
from controllers.kernel.states import (
    AggregateState,
    Proposal,
    ResourceState,
    aggregate_state_topic,
    proposal_topic,
    resource_state_topic,
)
from controllers.kernel.timebase import Clock
from controllers.kernel.wire import encode

COALESCE_S = 0.005
MEMBER_STATE_MAX_BYTES = 4_194_304
PROPOSAL_MAX_BYTES = 8_192
LAGS_KEPT = 20_000


class AggregateLink:
    """The connection of one aggregate.

    Args:
        park_id: part of the client id.
        aggregate_id: the aggregate.
        members: whose states are followed.
        settings: the broker.
        wake: set whenever ``drain`` has something.
        clock: for the lag of the sums behind the meters.
        current: returns the live sums to publish between turns, if there is anything to say.
        keep: stores a final report.
        open_session: makes the connection; another one only in simulated time.
    """

    def __init__(
        self,
        park_id: str,
        aggregate_id: str,
        members: list[MemberSpec],
        settings: MqttSettings,
        wake: asyncio.Event,
        *,
        clock: Clock,
        current: Callable[[datetime], AggregateState | None],
        keep: Callable[[DeliveryReport], Awaitable[None]],
        open_session: OpenSession = MqttSession,
    ) -> None:
        self._clock = clock
        self._current = current
        self._keep = keep
        self._wake = wake
        self._link_changes: list[Event] = []
        self._state_topic = aggregate_state_topic(aggregate_id)
        self._proposal_topic = proposal_topic(aggregate_id)
        self._types: dict[str, type[ResourceState] | type[AggregateState]] = {
            resource_state_topic(m.id): ResourceState for m in members if m.kind == "resource"
        }
        self._types |= {
            aggregate_state_topic(m.id): AggregateState for m in members if m.kind == "aggregate"
        }
        self._changed = asyncio.Event()
        self._measured: list[datetime] = []
        self.lags_s: deque[float] = deque(maxlen=LAGS_KEPT)
        """Age of each member measurement when the sums that hold it went out."""
        self._session = open_session(
            settings,
            f"parkgrid-{park_id}-{aggregate_id}",
            subscriptions=[
                *(
                    Subscription(
                        topic_filter=name, policy=Policy.LATEST, max_bytes=MEMBER_STATE_MAX_BYTES
                    )
                    for name in self._types
                ),
                Subscription(
                    topic_filter=self._proposal_topic,
                    policy=Policy.KEEP,
                    max_bytes=PROPOSAL_MAX_BYTES,
                ),
            ],
            wake=wake,
            on_link=self._link_changed,
            peer=aggregate_id,
        )

    def drain(self, limit: int) -> list[Event]:
        """Return and forget up to ``limit`` messages as events; link changes come first."""
        events, self._link_changes = self._link_changes, []
        events += [self._decode(message) for message in self._session.drain(limit)]
        return events

    async def perform(self, effect: Effect) -> None:
        """Publish a proposal or the state, or keep a report.

        Raises:
            DeviceUnreachableError: the broker did not take it.
        """
        match effect:
            case Propose():
                topic = proposal_topic(effect.proposal.member_id)
                await self._session.publish(topic, encode(effect.proposal))
            case PublishAggregate():
                await self._publish(effect.state)
            case KeepReport():
                await self._keep(effect.report)

    async def run(self, admit: Callable[[], Awaitable[None]]) -> None:
        """Keep the connection up until cancelled; await ``admit`` before each connect."""
        publishing = asyncio.get_running_loop().create_task(self._publish_changes())
        try:
            await self._session.run(admit)
        finally:
            publishing.cancel()

    def metrics(self) -> dict[str, int]:
        """Return counters since the start of the process."""
        return self._session.metrics()

    async def _publish_changes(self) -> None:
        while True:
            await self._changed.wait()
            await asyncio.sleep(COALESCE_S)
            self._changed.clear()
            state = self._current(self._clock.now())
            if state is None:
                continue
            try:
                await self._publish(state)
            except DeviceUnreachableError:
                self._measured.clear()

    async def _publish(self, state: AggregateState) -> None:
        measured, self._measured = self._measured, []
        await self._session.publish(self._state_topic, encode(state), retain=True)
        now = self._clock.now()
        self.lags_s.extend((now - at).total_seconds() for at in measured)

    def _decode(self, message: Inbound) -> Event:
        try:
            if message.topic == self._proposal_topic:
                return ParentProposed(proposal=message.decode(Proposal))
            state = message.decode(self._types[message.topic])
        except DomainError as error:
            return InputRefused(kind="state", reason=str(error)[:200])
        self._note_measured(state)
        self._changed.set()
        return MemberChanged(state=state)

    def _note_measured(self, state: ResourceState | AggregateState) -> None:
        at = state.measured_at if isinstance(state, ResourceState) else state.newest_measured_at
        if at is not None:
            self._measured.append(at)

    def _link_changed(self, up: bool) -> None:
        self._link_changes.append(LinkChanged(up=up))
        self._wake.set()

"""The live picture as bytes: each state is encoded once, however many readers there are."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from controllers.accounts.reach import Reach
from controllers.kernel.states import AggregateState, ResourceState
from controllers.kernel.timebase import Clock
from controllers.kernel.wire import encode
from controllers.ports.live import LiveView

_MAX_REACHES = 100

State = ResourceState | AggregateState


class LivePicture:
    """Encodes the picture for HTTP and WebSocket readers."""

    def __init__(self, live: LiveView, clock: Clock, *, refresh_s: float) -> None:
        self._live = live
        self._clock = clock
        self._refresh = timedelta(seconds=refresh_s)
        self._encoded: dict[tuple[type[State], str], tuple[State, bytes]] = {}
        self._built: dict[Reach | None, tuple[datetime, bytes]] = {}

    def whole(self, reach: Reach | None) -> bytes:
        """Return all states within a reach, as a JSON object at most ``refresh_s`` old."""
        now = self._clock.now()
        built = self._built.get(reach)
        if built is not None and timedelta(0) <= now - built[0] < self._refresh:
            return built[1]
        if len(self._encoded) > len(self._live.resources) + len(self._live.aggregates):
            self._encoded.clear()
        if len(self._built) > _MAX_REACHES:
            self._built.clear()
        whole = self._now(reach, "")
        self._built[reach] = now, whole
        return whole

    def snapshot(self, reach: Reach | None) -> bytes:
        """Return the message that opens a stream."""
        return self._now(reach, "snapshot")

    def delta(
        self,
        reach: Reach | None,
        resources: Iterable[ResourceState],
        aggregates: Iterable[AggregateState],
    ) -> bytes:
        """Return the message of changed states; with none of them it is the heartbeat."""
        return self._object(reach, "delta", resources, aggregates)

    def _now(self, reach: Reach | None, type_: str) -> bytes:
        resources, aggregates = self._live.resources, self._live.aggregates
        return self._object(reach, type_, resources.values(), aggregates.values())

    def _object(
        self,
        reach: Reach | None,
        type_: str,
        resources: Iterable[ResourceState],
        aggregates: Iterable[AggregateState],
    ) -> bytes:
        if reach is not None:
            resources = [state for state in resources if state.id in reach.resources]
            aggregates = [state for state in aggregates if state.id in reach.aggregates]
        return b'{%s"as_of":%s,"connected":%s,"resources":[%s],"aggregates":[%s]}' % (
            b'"type":%s,' % encode(type_) if type_ else b"",
            encode(self._clock.now()),
            encode(self._live.connected),
            b",".join(map(self._bytes_of, resources)),
            b",".join(map(self._bytes_of, aggregates)),
        )

    def _bytes_of(self, state: State) -> bytes:
        key = (type(state), state.id)
        known = self._encoded.get(key)
        if known is not None and known[0] is state:
            return known[1]
        encoded = encode(state)
        self._encoded[key] = (state, encoded)
        return encoded

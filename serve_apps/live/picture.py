"""The live picture as bytes: each state is encoded once, however many readers there are."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from controllers.kernel.states import AggregateState, ResourceState
from controllers.kernel.timebase import Clock
from controllers.kernel.wire import encode
from controllers.ports.live import LiveView

State = ResourceState | AggregateState


class LivePicture:
    """Encodes the picture for HTTP and WebSocket readers."""

    def __init__(self, live: LiveView, clock: Clock, *, refresh_s: float) -> None:
        self._live = live
        self._clock = clock
        self._refresh = timedelta(seconds=refresh_s)
        self._encoded: dict[tuple[type[State], str], tuple[State, bytes]] = {}
        self._whole = b""
        self._built_at: datetime | None = None

    def whole(self) -> bytes:
        """Return all states as a JSON object, at most ``refresh_s`` old."""
        now = self._clock.now()
        if self._built_at is None or not timedelta(0) <= now - self._built_at < self._refresh:
            resources, aggregates = self._live.resources, self._live.aggregates
            if len(self._encoded) > len(resources) + len(aggregates):
                self._encoded.clear()
            self._whole = self._object("", resources.values(), aggregates.values())
            self._built_at = now
        return self._whole

    def snapshot(self) -> bytes:
        """Return the message that opens a stream."""
        return self._object(
            "snapshot", self._live.resources.values(), self._live.aggregates.values()
        )

    def delta(
        self, resources: Iterable[ResourceState], aggregates: Iterable[AggregateState]
    ) -> bytes:
        """Return the message of changed states; with none of them it is the heartbeat."""
        return self._object("delta", resources, aggregates)

    def _object(
        self, type_: str, resources: Iterable[ResourceState], aggregates: Iterable[AggregateState]
    ) -> bytes:
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

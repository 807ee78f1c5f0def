"""The live picture as bytes: each state is encoded once, however many readers there are."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from controllers.accounts.reach import Reach
from controllers.alarms.lifecycle import Alarm
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
        live = self._live
        whole = self._object(reach, "", live.resources.values(), live.aggregates.values())
        self._built[reach] = now, whole
        return whole

    def snapshot(self, reach: Reach | None) -> bytes:
        """Return the message that opens a stream."""
        live = self._live
        states = (live.resources.values(), live.aggregates.values())
        return self._object(reach, "snapshot", *states, live.alarms.values())

    def delta(
        self,
        reach: Reach | None,
        resources: Iterable[ResourceState],
        aggregates: Iterable[AggregateState],
        alarms: Iterable[Alarm],
    ) -> bytes:
        """Return the message of changed states; with none of them it is the heartbeat."""
        return self._object(reach, "delta", resources, aggregates, alarms)

    def _object(
        self,
        reach: Reach | None,
        type_: str,
        resources: Iterable[ResourceState],
        aggregates: Iterable[AggregateState],
        alarms: Iterable[Alarm] | None = None,
    ) -> bytes:
        if reach is not None:
            resources = [state for state in resources if state.id in reach.resources]
            aggregates = [state for state in aggregates if state.id in reach.aggregates]
            within = reach.resources | reach.aggregates
            if alarms is not None:
                alarms = [alarm for alarm in alarms if alarm.subject_id in within]
        return b'{%s"as_of":%s,"connected":%s,"resources":[%s],"aggregates":[%s]%s}' % (
            b'"type":%s,' % encode(type_) if type_ else b"",
            encode(self._clock.now()),
            encode(self._live.connected),
            b",".join(map(self._bytes_of, resources)),
            b",".join(map(self._bytes_of, aggregates)),
            b"" if alarms is None else b',"alarms":[%s]' % b",".join(map(encode, alarms)),
        )

    def _bytes_of(self, state: State) -> bytes:
        key = (type(state), state.id)
        known = self._encoded.get(key)
        if known is not None and known[0] is state:
            return known[1]
        encoded = encode(state)
        self._encoded[key] = (state, encoded)
        return encoded

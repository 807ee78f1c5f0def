"""How far commands get and how fast, as seen from the live picture."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram

from controllers.kernel.states import CommandState, ResourceState
from controllers.ports.live import LiveView

_BUCKETS_S = (0.05, 0.2, 1.0, 5.0, 20.0)
_TIMED = frozenset({CommandState.ACKNOWLEDGED, CommandState.APPLIED, CommandState.VERIFIED})
_MAX_PENDING = 20_000


class CommandMeter:
    """Watches each resource's command move on; steps that follow one another at once count as one.

    Args:
        registry: where its metrics are found.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._seconds = Histogram(
            "parkgrid_command_seconds",
            "From sending a command to a stage of its life.",
            ("stage",),
            buckets=_BUCKETS_S,
            registry=registry,
        )
        self._states = Counter(
            "parkgrid_command_states",
            "States that commands were seen to reach.",
            ("state",),
            registry=registry,
        )
        self._last: dict[str, tuple[str, CommandState]] = {}

    async def follow(self, live: LiveView) -> None:
        """Watch until cancelled."""
        async for delta in live.subscribe(_MAX_PENDING):
            if delta.resource is not None:
                self.see(delta.resource)

    def see(self, resource: ResourceState) -> None:
        """Take in a state of a resource."""
        command = resource.command
        if command is None:
            return
        seen = (command.command_id, command.state)
        known = self._last.get(resource.id)
        if known == seen:
            return
        self._last[resource.id] = seen
        self._states.labels(str(command.state)).inc()
        # The first sight of a command that ran before us says nothing of how long it took.
        if known is None or command.sent_at is None or command.state not in _TIMED:
            return
        elapsed_s = (resource.published_at - command.sent_at).total_seconds()
        self._seconds.labels(str(command.state)).observe(max(0.0, elapsed_s))

"""Calls to an actor that keeps silent are refused at once; a kill is tried all the same."""

from __future__ import annotations

import pytest

from actors import runtime
from actors.calls import ActorCalls
from actors.handles import RayControlPlane
from controllers.kernel.breaker import N_FAILURES
from controllers.kernel.errors import ActorUnavailableError, ConflictError


class Cluster:
    """What the runtime would do: count calls, and let them fail as told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.error: Exception | None = ActorUnavailableError("resource:bess1")
        self.called: list[str] = []
        monkeypatch.setattr(runtime, "find", lambda name: name)
        monkeypatch.setattr(runtime, "call", self._call)

    async def _call(
        self, handle: object, method: str, *args: object, deadline_s: float, actor_id: str
    ) -> None:
        self.called.append(f"{actor_id} {method}")
        if self.error is not None:
            raise self.error


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    return Cluster(monkeypatch)


async def _fail(control: RayControlPlane, n: int) -> None:
    for _ in range(n):
        with pytest.raises(ActorUnavailableError):
            await control.clear_override("bess1", "op")


async def test_silent_actor_is_left_alone_for_a_while(cluster: Cluster) -> None:
    calls = ActorCalls()
    control = RayControlPlane(calls)
    await _fail(control, N_FAILURES + 5)
    assert len(cluster.called) == N_FAILURES
    assert calls.n_breakers_open() == 1


async def test_kill_is_tried_whatever_happened_before(cluster: Cluster) -> None:
    calls = ActorCalls()
    control = RayControlPlane(calls)
    await _fail(control, N_FAILURES)
    cluster.error = None
    assert await control.kill(["bess1"], "op", "smoke") == {"bess1": None}
    assert cluster.called[-1] == "resource:bess1 kill"


async def test_silence_of_one_actor_is_not_held_against_another(cluster: Cluster) -> None:
    calls = ActorCalls()
    control = RayControlPlane(calls)
    await _fail(control, N_FAILURES)
    cluster.error = None
    await control.clear_override("bess2", "op")


async def test_refusal_is_an_answer(cluster: Cluster) -> None:
    calls = ActorCalls()
    control = RayControlPlane(calls)
    cluster.error = ConflictError("no", current="x")
    for _ in range(N_FAILURES + 1):
        with pytest.raises(ConflictError):
            await control.clear_override("bess1", "op")
    assert calls.n_breakers_open() == 0

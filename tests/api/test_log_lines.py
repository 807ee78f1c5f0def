"""What the API logs carries the request's id and none of its secrets."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator

import pytest

from tests.support.api_world import World
from tests.support.log_lines import captured_lines

CANARY = "canary-f3a9c1"


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    with captured_lines() as lines:
        yield lines


async def test_failure_is_logged_under_the_requests_id(
    world: World, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*args: object) -> None:
        raise RuntimeError("unexpected")

    monkeypatch.setattr(world.store, "audit", broken)
    await world.client.delete(
        "/api/vpp/resources/bess1/override", headers=world.auth(**{"X-Request-ID": "mine-1"})
    )
    entries = [json.loads(line) for line in log.getvalue().splitlines()]
    (failure,) = [entry for entry in entries if entry["level"] == "ERROR"]
    assert failure["request_id"] == "mine-1"


async def test_no_secret_reaches_a_line(world: World, log: io.StringIO) -> None:
    login = {"username": "operator", "password": CANARY}
    await world.client.post("/api/vpp/auth/login", json=login)
    await world.client.post("/api/vpp/auth/login", json={**login, "extra": CANARY})
    await world.client.post("/api/vpp/auth/refresh", json={"refresh_token": CANARY})
    await world.client.get("/api/vpp/park", headers={"Authorization": f"Bearer {CANARY}"})
    await world.client.get("/api/vpp/park", headers={"Authorization": f"Basic {CANARY}"})
    world.store.down = True
    await world.client.post("/api/vpp/auth/login", json=login)
    assert log.getvalue()
    assert CANARY not in log.getvalue()
    assert world.token() not in log.getvalue()

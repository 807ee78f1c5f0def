"""The audit log over the API; and refusals leave a trace there without filling it."""

from __future__ import annotations

import json

import pytest

from tests.support.api_world import World, assert_problem

API = "/api/vpp"
REASON = {"reason": "x"}


async def test_the_export_is_one_entry_per_line(world: World) -> None:
    await world.client.put(f"{API}/park/kill", json=REASON, headers=world.auth())
    answer = await world.client.get(f"{API}/audit/export", headers=world.auth("auditor"))
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    entries = [json.loads(line) for line in answer.text.splitlines()]
    assert [entry["action"] for entry in entries] == ["kill.set"]
    assert len(entries[0]["digest"]) == 64


async def test_an_export_that_cannot_begin_is_refused_whole(world: World) -> None:
    world.store.down = True
    answer = await world.client.get(f"{API}/audit/export", headers=world.auth("auditor"))
    assert_problem(answer, 503, "unavailable")


@pytest.mark.parametrize(
    "parameters",
    [
        {"from": "yesterday"},
        {"to": "2026-01-01T00:00:00"},
        {"from": "9999-01-01T00:00:00Z"},
        {"limit": "0"},
        {"action": "x" * 65},
        {"since": "2026-01-01T00:00:00Z"},
    ],
    ids=str,
)
async def test_a_wrong_filter_is_refused(world: World, parameters: dict[str, str]) -> None:
    answer = await world.client.get(
        f"{API}/audit", params=parameters, headers=world.auth("auditor")
    )
    assert_problem(answer, 422, "validation")


# --- refusals


async def refusals_of(world: World) -> dict[tuple[str, str, str], object]:
    await world.app.state.refusals.write()
    return {(e.principal, e.action, e.subject): e.data["n_times"] for e in world.store.entries}


async def test_refused_log_ins_and_denied_operations_are_written_down(world: World) -> None:
    for _ in range(3):
        body = {"username": "operator", "password": "wrong"}
        await world.client.post(f"{API}/auth/login", json=body)
    body = {"username": "my-secret-typed-as-a-name", "password": "wrong"}
    await world.client.post(f"{API}/auth/login", json=body)
    await world.client.put(f"{API}/park/kill", json=REASON, headers=world.auth("trader"))
    await world.client.get(f"{API}/park", headers={"Authorization": "Bearer x"})
    assert await refusals_of(world) == {
        ("anonymous", "login.refused", "operator"): 3,
        ("anonymous", "login.refused", "127.0.0.1"): 1,
        ("trader", "access.denied", "kill.set"): 1,
        ("anonymous", "access.refused", "127.0.0.1"): 1,
    }
    assert "my-secret" not in str(world.store.entries)


async def test_no_flood_of_refusals_fills_the_log(world: World) -> None:
    refusals = world.app.state.refusals
    for n in range(10_000):
        refusals.note("anonymous", "access.refused", f"192.0.2.{n}")
    found = await refusals_of(world)
    assert len(found) <= 21
    assert sum(int(str(n)) for n in found.values()) == 10_000
    await refusals.write()
    assert len(world.store.entries) == len(found)


async def test_refusals_wait_for_the_database(world: World) -> None:
    world.app.state.refusals.note("trader", "access.denied", "kill.set")
    world.store.down = True
    await world.app.state.refusals.write()
    world.store.down = False
    assert await refusals_of(world) == {("trader", "access.denied", "kill.set"): 1}

"""Override and kill switch: audited, honest about what is pending, and a kill never waits."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest

from tests.support.api_world import World, assert_problem
from tests.support.live_states import NOW

API = "/api/vpp"


async def test_override_is_set_audited_and_cleared(world: World) -> None:
    url = f"{API}/resources/bess1/override"
    body = {"target_kw": -20.0, "duration_s": 300, "reason": "test run"}
    response = await world.client.put(url, json=body, headers=world.auth("maintainer"))
    assert response.status_code == 200
    until = NOW + timedelta(seconds=300)
    assert world.control.overrides == {"bess1": (-20.0, until)}
    assert world.store.entries[-1].action == "override.set"
    for _ in range(2):
        cleared = await world.client.delete(url, headers=world.auth("maintainer"))
        assert (cleared.status_code, cleared.content) == (204, b"")
    assert world.control.overrides == {}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"duration_s": None, "until": NOW.isoformat()}, "until"),
        ({"duration_s": None, "until": (NOW + timedelta(hours=49)).isoformat()}, "until"),
        ({"until": (NOW + timedelta(hours=1)).isoformat()}, "$"),
        ({"target_kw": None}, "target_kw"),
    ],
)
async def test_bad_override_is_refused_by_field(
    world: World, changes: dict[str, object], field: str
) -> None:
    body = {"target_kw": 1.0, "duration_s": 300, "reason": "x", **changes}
    response = await world.client.put(
        f"{API}/resources/bess1/override", json=body, headers=world.auth()
    )
    problem = assert_problem(response, 422, "validation")
    assert problem["errors"][0]["field"] == field  # type: ignore[index]
    assert world.control.overrides == {}


async def test_override_of_silent_resource_says_try_again_and_audits_the_refusal(
    world: World,
) -> None:
    world.control.unavailable.add("bess1")
    response = await world.client.put(
        f"{API}/resources/bess1/override",
        json={"target_kw": 1.0, "duration_s": 300, "reason": "x"},
        headers=world.auth(),
    )
    assert_problem(response, 503, "unavailable")
    assert world.store.entries[-1].action == "override.set.refused"


@pytest.mark.parametrize(
    ("path", "leaves"),
    [
        ("resources/pv1", {"pv1"}),
        ("aggregations/stores", {"bess1"}),
        ("aggregations/site", {"bess1", "pv1", "ev1"}),
        ("park", {"bess1", "pv1", "ev1"}),
    ],
)
async def test_kill_reaches_every_leaf_and_release_frees_them(
    world: World, path: str, leaves: set[str]
) -> None:
    killed = await world.client.put(
        f"{API}/{path}/kill", json={"reason": "smoke"}, headers=world.auth("maintainer")
    )
    assert killed.status_code == 200
    body = killed.json()
    assert (body["killed"], body["recorded"], body["n_pending"]) == (True, True, 0)
    assert {r["resource_id"] for r in body["resources"]} == leaves
    assert world.control.killed == world.store.wanted_kills == leaves
    assert world.store.entries[-1].action == "kill.set"

    released = await world.client.delete(
        f"{API}/{path}/kill", params={"reason": "all clear"}, headers=world.auth()
    )
    assert (released.status_code, released.json()["killed"]) == (200, False)
    assert world.control.killed == world.store.wanted_kills == set()
    assert world.store.entries[-1].data["reason"] == "all clear"


async def test_kill_says_who_is_pending(world: World) -> None:
    world.control.unavailable.add("ev1")
    response = await world.client.put(
        f"{API}/park/kill", json={"reason": "smoke"}, headers=world.auth()
    )
    body = response.json()
    assert (response.status_code, body["n_done"], body["n_pending"]) == (202, 2, 1)
    assert [r["resource_id"] for r in body["resources"] if not r["done"]] == ["ev1"]
    assert world.store.wanted_kills == {"bess1", "pv1", "ev1"}


async def test_kill_works_while_the_database_is_down(world: World) -> None:
    world.store.down = True
    response = await world.client.put(
        f"{API}/park/kill", json={"reason": "smoke"}, headers=world.auth()
    )
    assert (response.status_code, response.json()["recorded"]) == (202, False)
    assert world.control.killed == {"bess1", "pv1", "ev1"}


async def test_kill_does_not_wait_for_a_stuck_database(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def stuck(resource_ids: Sequence[str], on: bool, principal: str) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(world.store, "want_kill", stuck)
    response = await world.client.put(
        f"{API}/resources/pv1/kill", json={"reason": "smoke"}, headers=world.auth()
    )
    assert (response.status_code, response.json()["recorded"]) == (202, False)
    assert world.control.killed == {"pv1"}


async def test_release_is_refused_while_it_cannot_be_recorded(world: World) -> None:
    await world.client.put(f"{API}/park/kill", json={"reason": "smoke"}, headers=world.auth())
    world.store.down = True
    response = await world.client.delete(
        f"{API}/park/kill", params={"reason": "clear"}, headers=world.auth()
    )
    assert_problem(response, 503, "unavailable")
    assert world.control.killed == {"bess1", "pv1", "ev1"}


async def test_release_needs_a_reason(world: World) -> None:
    response = await world.client.delete(f"{API}/park/kill", headers=world.auth())
    problem = assert_problem(response, 422, "validation")
    assert problem["errors"][0]["place"] == "query"  # type: ignore[index]


@pytest.mark.parametrize("path", ["resources/site/kill", "aggregations/bess1/kill"])
async def test_kill_of_something_foreign_is_not_found(world: World, path: str) -> None:
    response = await world.client.put(f"{API}/{path}", json={"reason": "x"}, headers=world.auth())
    assert_problem(response, 404, "not-found")
    assert world.store.wanted_kills == set()

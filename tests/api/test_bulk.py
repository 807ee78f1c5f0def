"""Many dispatches at once: each for itself, none twice, and a repeat completes what was wanting."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx

from tests.support.api_world import World, assert_problem
from tests.support.live_states import NOW

API = "/api/vpp"


def item(aggregation: str, n: int, **changes: object) -> dict[str, object]:
    start_at = NOW + timedelta(minutes=n)
    return {
        "aggregation_id": aggregation,
        "target_kw": 10.0,
        "start_at": start_at.isoformat(),
        "duration_s": 60,
        "reason": "day plan",
        **changes,
    }


async def post(world: World, *items: dict[str, object], key: str = "b1") -> httpx.Response:
    return await world.client.post(
        f"{API}/dispatches/bulk",
        json={"items": list(items)},
        headers=world.auth(**{"Idempotency-Key": key}),
    )


def outcomes(response: httpx.Response) -> list[Any]:
    return [
        entry["dispatch"]["id"] if entry["dispatch"] else entry["problem"]["status"]
        for entry in response.json()["items"]
    ]


async def test_each_is_accepted_or_refused_for_itself(world: World) -> None:
    response = await post(
        world,
        item("site", 0),
        item("nowhere", 0),
        item("site", 0),
        item("stores", -60),
        item("stores", 1),
        item("site", 1, target_kw=9e6),
    )
    assert response.status_code == 200, response.text
    first, *refused, second, beyond = outcomes(response)
    assert (refused, beyond) == ([404, 409, 422], 422)
    assert (first.split(".")[0], second.split(".")[0]) == ("site", "stores")
    body = response.json()
    assert (body["n_accepted"], body["n_refused"], body["n_unavailable"]) == (2, 4, 0)
    report = await world.client.get(f"{API}/dispatches/{first}", headers=world.auth())
    assert report.json()["instruction"]["target_kw"] == 10.0


async def test_repeat_has_no_second_effect_and_another_body_is_refused(world: World) -> None:
    first = await post(world, item("site", 0), item("site", 1))
    again = await post(world, item("site", 0), item("site", 1))
    assert (again.json(), again.headers["idempotency-replayed"]) == (first.json(), "true")
    assert world.control.n_submitted == 2
    other = await post(world, item("site", 0))
    assert_problem(other, 422, "idempotency-key-reused")


async def test_repeat_completes_what_did_not_answer(world: World) -> None:
    world.control.unavailable.add("stores")
    partly = await post(world, item("site", 0), item("stores", 0))
    assert partly.status_code == 207
    assert (partly.json()["n_accepted"], partly.json()["n_unavailable"]) == (1, 1)
    world.control.unavailable.clear()
    whole = await post(world, item("site", 0), item("stores", 0))
    assert (whole.status_code, whole.json()["n_accepted"]) == (200, 2)
    assert outcomes(whole)[0] == outcomes(partly)[0]
    assert world.control.n_submitted == 2


async def test_bulk_does_not_reach_beyond_the_callers_scope(world: World) -> None:
    response = await world.client.post(
        f"{API}/dispatches/bulk",
        json={"items": [item("site", 0), item("stores", 0)]},
        headers=world.auth("part", **{"Idempotency-Key": "b1"}),
    )
    assert outcomes(response)[0] == 404
    assert response.json()["n_accepted"] == 1
    assert world.control.n_submitted == 1


async def test_bulk_needs_a_key_and_bounds(world: World) -> None:
    body = {"items": [item("site", 0)]}
    without = await world.client.post(f"{API}/dispatches/bulk", json=body, headers=world.auth())
    assert_problem(without, 400, "idempotency-key-required")
    assert_problem(await post(world), 422, "validation")
    assert_problem(await post(world, *[item("site", n) for n in range(1001)]), 422, "validation")
    wrong = await post(world, item("site", 0), item("site", 1, target_kw="much"))
    problem: Any = assert_problem(wrong, 422, "validation")
    assert problem["errors"][0]["field"] == "items.1.target_kw"
    assert world.control.n_submitted == 0


async def test_who_dispatched_what_is_in_the_audit_log(world: World) -> None:
    await post(world, item("site", 0), item("stores", 0))
    (entry,) = world.store.entries
    assert (entry.action, entry.principal) == ("dispatch.create", "operator")
    items: Any = entry.data["items"]
    assert [one["aggregation_id"] for one in items] == ["site", "stores"]

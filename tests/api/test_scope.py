"""Who reaches only a part of the park cannot tell the rest from what does not exist."""

from __future__ import annotations

import json
from typing import Any

import pytest

from serve_apps.web.scope import PLACES
from tests.support.api_world import World, assert_problem

API = "/api/vpp"
REASON = {"reason": "x"}

# ``part`` is an operator of ``stores`` (bess1 and the garage); ``site`` and pv1 are beyond.


async def ask(world: World, method: str, path: str, **more: Any) -> Any:
    return await world.client.request(method, f"{API}{path}", headers=world.auth("part"), **more)


async def test_within_the_part_everything_works(world: World) -> None:
    for path in ("/aggregations/stores", "/resources/bess1", "/park", "/live"):
        assert (await ask(world, "GET", path)).status_code == 200, path
    assert (await ask(world, "PUT", "/resources/bess1/kill", json=REASON)).status_code == 200
    done = await world.dispatch(aggregation="stores", role="part", target_kw=10.0)
    assert done.status_code == 202
    assert (await ask(world, "GET", f"/dispatches/{done.json()['id']}")).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "more"),
    [
        ("GET", "/aggregations/ID", {}),
        ("PUT", "/aggregations/ID/kill", {"json": REASON}),
        ("DELETE", "/aggregations/ID/kill", {"params": REASON}),
        ("GET", "/dispatches/ID.d-1", {}),
        ("POST", "/dispatches/ID.d-1/cancel", {"json": REASON}),
        ("GET", "/dispatches", {"params": {"aggregation": "ID"}}),
    ],
)
async def test_beyond_looks_like_nothing(
    world: World, method: str, path: str, more: dict[str, Any]
) -> None:
    answers = []
    for id_ in ("site", "nowhere"):
        filled = json.loads(json.dumps(more).replace("ID", id_))
        answer = await ask(world, method, path.replace("ID", id_), **filled)
        document = assert_problem(answer, 404, "not-found")
        answers.append((str(document["detail"]).replace(id_, "{}"), set(document)))
    assert answers[0] == answers[1]
    assert world.control.killed == set()


async def test_resources_beyond_look_like_nothing(world: World) -> None:
    for method, suffix, more in (
        ("GET", "", {}),
        ("PUT", "/kill", {"json": REASON}),
        ("DELETE", "/override", {}),
    ):
        for id_ in ("pv1", "nothing"):
            answer = await ask(world, method, f"/resources/{id_}{suffix}", **more)
            assert_problem(answer, 404, "not-found")


async def test_lists_and_the_live_picture_hold_the_part_only(world: World) -> None:
    await world.dispatch()
    assert (await ask(world, "GET", "/dispatches")).json()["items"] == []
    aggregations = (await ask(world, "GET", "/aggregations")).json()["items"]
    assert [item["definition"]["id"] for item in aggregations] == ["stores"]
    assert aggregations[0]["parents"] == []
    resources = (await ask(world, "GET", "/resources")).json()["items"]
    assert "pv1" not in {item["definition"]["id"] for item in resources}
    live = (await ask(world, "GET", "/live")).json()
    assert [s["id"] for s in live["resources"]] == ["bess1"]
    assert [s["id"] for s in live["aggregates"]] == ["stores"]
    park = (await ask(world, "GET", "/park")).json()
    assert (park["roots"], park["n_aggregates"]) == (["stores"], 1)
    everything = (await world.client.get(f"{API}/live", headers=world.auth())).json()
    assert {s["id"] for s in everything["resources"]} >= {"bess1", "pv1"}


async def test_what_concerns_the_whole_park_is_refused(world: World) -> None:
    for method, more in (("PUT", {"json": REASON}), ("DELETE", {"params": REASON})):
        assert_problem(await ask(world, method, "/park/kill", **more), 403, "forbidden")
    assert world.control.killed == set()


async def test_a_key_reaches_what_both_it_and_its_owner_reach(world: World) -> None:
    body = {"name": "x", "roles": ["operator"], "scope": ["site"]}
    refused = await ask(world, "POST", "/keys", json=body)
    assert_problem(refused, 404, "not-found")
    made = await world.client.post(
        f"{API}/keys", json=body | {"scope": ["stores"]}, headers=world.auth()
    )
    headers = {"Authorization": f"Bearer {made.json()['api_key']}"}
    for path, status in (("stores", 200), ("site", 404)):
        answer = await world.client.get(f"{API}/aggregations/{path}", headers=headers)
        assert answer.status_code == status


# What names nothing of the park. For who reaches a part only, a route with nothing else in its path
# is closed unless it declares itself within scope.
NO_PLACE = {
    "alarm_id",
    "channel_id",
    "key_id",
    "kind",
    "optimizer_id",
    "rule_id",
    "session_id",
    "template_id",
    "username",
    "version",
    "window_id",
}


async def test_every_path_parameter_is_a_place_below_one_or_known_to_be_none(world: World) -> None:
    document = (await world.client.get("/openapi.json")).json()
    unplaced = set()
    for path in document["paths"]:
        names = {part[1:-1] for part in path.split("/") if part.startswith("{")}
        if not names & set(PLACES):
            unplaced |= names
    assert unplaced - NO_PLACE == set()

"""Templates over HTTP: created, versioned, compared, validated, refused with every reason."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from serve_apps.web.permissions import Role
from tests.support.api_world import World, assert_problem

API = "/api/vpp/resource-templates"
ROOF: dict[str, Any] = {
    "id": "roof",
    "kind": "pv",
    "name": "Roof",
    "parameters": [{"name": "rated_kw", "default": 100.0, "high": 500.0}],
}


async def post(world: World, body: dict[str, Any], **headers: str) -> httpx.Response:
    return await world.client.post(API, json=body, headers=world.auth(Role.MAINTAINER, **headers))


async def put(world: World, body: dict[str, Any], version: int | str = 1) -> httpx.Response:
    headers = world.auth(Role.MAINTAINER, **{"If-Match": f'"{version}"'})
    return await world.client.put(f"{API}/roof", json=body, headers=headers)


async def get(world: World, path: str = "", **query: Any) -> httpx.Response:
    return await world.client.get(f"{API}{path}", params=query, headers=world.auth(Role.AUDITOR))


async def test_a_template_is_created_updated_compared_and_deleted(world: World) -> None:
    created = await post(world, ROOF)
    assert (created.status_code, created.headers["etag"]) == (201, '"1"')
    assert created.headers["location"] == f"{API}/roof"
    changed = {"name": "Roof", "parameters": [{"name": "rated_kw", "high": 400.0}], "note": "n"}
    assert (await put(world, changed)).headers["etag"] == '"2"'
    assert (await get(world, "/roof")).json()["parameters"][0]["high"] == 400.0
    assert (await get(world, "/roof/versions/1")).json()["parameters"][0]["high"] == 500.0
    versions = (await get(world, "/roof/versions")).json()["items"]
    assert [(v["version"], v["note"], v["created_by"]) for v in versions] == [
        (2, "n", "maintainer"),
        (1, "created", "maintainer"),
    ]
    diff = (await get(world, "/roof/diff", before=1, after=2)).json()["changes"]
    assert [(c["field"], c["before"], c["after"]) for c in diff] == [
        ("parameters.rated_kw.default", 100.0, None),
        ("parameters.rated_kw.high", 500.0, 400.0),
    ]
    headers = world.auth(Role.MAINTAINER, **{"If-Match": '"2"'})
    assert (await world.client.delete(f"{API}/roof", headers=headers)).status_code == 204
    assert_problem(await get(world, "/roof"), 404, "not-found")


async def test_a_repeated_creation_makes_one(world: World) -> None:
    body = {key: value for key, value in ROOF.items() if key != "id"}
    key = {"Idempotency-Key": "k1"}
    first, second = await post(world, body, **key), await post(world, body, **key)
    assert first.json() == second.json()
    assert second.headers["idempotency-replayed"] == "true"
    reused = await post(world, {**body, "name": "Other"}, **key)
    assert_problem(reused, 422, "idempotency-key-reused")
    assert len((await get(world, kind="pv")).json()["items"]) == 2


async def test_every_mistake_is_told_at_once(world: World) -> None:
    parameters = [
        {"name": "rated_kw", "low": -1.0},
        {"name": "colour"},
        {"name": "on_stale", "choices": ["explode"]},
    ]
    body = assert_problem(await post(world, {**ROOF, "parameters": parameters}), 422, "validation")
    errors: Any = body["errors"]
    assert [error["field"] for error in errors] == [
        "parameters[0].low",
        "parameters[1].name",
        "parameters[2].choices",
    ]
    assert_problem(await get(world, "/roof"), 404, "not-found")


@pytest.mark.parametrize(
    "change",
    [
        {"id": "Roof!"},
        {"id": "r" * 65},
        {"kind": "reactor"},
        {"name": ""},
        {"name": "a\x00b"},
        {"colour": "red"},
        {"parameters": [{"name": "rated_kw", "default": [1]}]},
        {"parameters": [{"name": "rated_kw", "high": "NaN"}]},
        {"parameters": [{"name": "rated_kw"}] * 65},
    ],
)
async def test_bad_input_is_refused_and_nothing_is_stored(
    world: World, change: dict[str, Any]
) -> None:
    assert_problem(await post(world, {**ROOF, **change}), 422, "validation")
    assert len((await get(world)).json()["items"]) == 8


async def test_of_two_updates_with_one_etag_one_wins(world: World) -> None:
    await post(world, ROOF)
    answers = await asyncio.gather(*(put(world, {"name": name}) for name in "ab"))
    assert sorted(answer.status_code for answer in answers) == [200, 412]
    no_version = await world.client.put(
        f"{API}/roof", json={"name": "c"}, headers=world.auth(Role.MAINTAINER)
    )
    assert_problem(no_version, 428, "version-required")


async def test_a_configuration_is_checked_against_a_version_and_kept(world: World) -> None:
    await post(world, ROOF)
    check = f"{API}/roof/validate"
    headers = world.auth(Role.OPERATOR)
    good = await world.client.post(check, json={"configuration": {}}, headers=headers)
    assert (good.json()["valid"], good.json()["values"]["rated_kw"]) == (True, 100.0)
    bad = await world.client.post(
        check, json={"configuration": {"rated_kw": 501.0, "x": True}}, headers=headers
    )
    assert [(p["field"], p["value"]) for p in bad.json()["problems"]] == [
        ("x", True),
        ("rated_kw", 501.0),
    ]
    assert "at most 500 kW" in bad.json()["problems"][1]["rule"]
    kept = (await get(world, "/roof/validations")).json()["items"]
    assert {check["id"] for check in kept} == {good.json()["id"], bad.json()["id"]}
    usage = (await get(world, "/roof/usage")).json()
    assert (usage["n_validations"], usage["n_validations_failed"]) == (2, 1)


async def test_lists_go_on_where_a_page_ended(world: World) -> None:
    seen: list[str] = []
    cursor = None
    while True:
        page = (
            await get(world, limit=3, sort="-name", **({"cursor": cursor} if cursor else {}))
        ).json()
        seen += [item["name"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert (len(seen), seen) == (8, sorted(seen, reverse=True))
    assert_problem(await get(world, sort="password"), 422, "validation")
    assert_problem(await get(world, cursor="x"), 422, "validation")


async def test_a_version_is_a_form_with_the_narrower_bounds(world: World) -> None:
    await post(world, ROOF)
    form = (await get(world, "/roof/versions/1/form")).json()
    rated = next(p for p in form["parameters"] if p["name"] == "rated_kw")
    assert (rated["default"], rated["high"], rated["required"]) == (100.0, 500.0, False)
    assert rated["sentence_zh"]

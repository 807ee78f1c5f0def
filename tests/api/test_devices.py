"""Devices over HTTP: a password is shown once, versions guard changes, retired is for good."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import Connection, select

from cluster.broker_access import check_password
from cluster.storage.operations import SqlOperations
from cluster.storage.tables.devices import DEVICE_CREDENTIALS
from cluster.storage.tables.operations import IDEMPOTENCY_KEYS
from tests.support.api_world import World, assert_problem
from tests.support.audit import newest_entries

API = "/api/vpp"
WHY = {"reason": "test"}


async def register(world: World, key: str | None = None, **body: Any) -> httpx.Response:
    more = {} if key is None else {"Idempotency-Key": key}
    return await world.client.post(
        f"{API}/devices",
        json={"resource_id": "bess1", "maker": "Acme", **body},
        headers=world.auth("maintainer", **more),
    )


async def post(world: World, path: str, body: object, **headers: str) -> httpx.Response:
    return await world.client.post(
        f"{API}{path}", json=body, headers=world.auth("maintainer", **headers)
    )


async def get(world: World, path: str, **params: Any) -> Any:
    response = await world.client.get(f"{API}{path}", params=params, headers=world.auth("auditor"))
    return response.raise_for_status().json()


async def stored_hashes(world: World) -> list[str | None]:
    def read(connection: Connection) -> list[str | None]:
        query = select(DEVICE_CREDENTIALS.c.password_hash).order_by(DEVICE_CREDENTIALS.c.name)
        return list(connection.execute(query).scalars())

    return await world.database.read(read)


async def test_registration_shows_a_password_of_which_only_the_hash_is_kept(world: World) -> None:
    response = await register(world, key="k")
    assert response.status_code == 201, response.text
    body = response.json()
    assert response.headers["location"] == f"{API}/devices/bess1"
    assert body["topics"].endswith("/bess1")
    assert body["account"]["username"].endswith(".bess1")
    assert body["account"]["valid"] is True
    (digest,) = await stored_hashes(world)
    assert digest is not None
    assert check_password(body["password"], digest)

    def everything(connection: Connection) -> str:
        return str(connection.execute(select(IDEMPOTENCY_KEYS)).all())

    assert body["password"] not in await world.database.read(everything)
    entries = await newest_entries(SqlOperations(world.database), 10)
    assert [e.action for e in entries] == ["device.register"]
    assert body["password"] not in str(entries)
    shown = await get(world, "/devices/bess1")
    assert (shown["device"]["maker"], shown["live"]["quality"]) == ("Acme", "good")
    assert "password" not in str(await get(world, "/devices/bess1/credentials"))


async def test_a_repeat_of_a_registration_makes_nothing_and_shows_nothing(world: World) -> None:
    await register(world, key="k")
    again = await register(world, key="k")
    assert (again.status_code, again.headers["idempotency-replayed"]) == (201, "true")
    assert again.json()["password"] is None
    assert len(await stored_hashes(world)) == 1


async def test_a_resource_has_one_device_at_a_time_and_an_id_one_life(world: World) -> None:
    await register(world)
    problem = assert_problem(await register(world, id="bess1-b"), 409, "conflict")
    assert problem["current"] == "bess1"
    retired = await post(world, "/devices/bess1/retire", WHY, **{"If-Match": '"1"'})
    assert (retired.status_code, retired.json()["state"]) == (200, "retired")
    assert_problem(await register(world), 409, "conflict")
    assert (await register(world, id="bess1-b")).status_code == 201
    listed = await get(world, "/devices", resource="bess1")
    assert [d["device"]["id"] for d in listed["items"]] == ["bess1", "bess1-b"]
    active = await get(world, "/devices", state="active")
    assert [d["device"]["id"] for d in active["items"]] == ["bess1-b"]
    again = await post(world, "/devices/bess1/retire", WHY, **{"If-Match": '"2"'})
    assert_problem(again, 409, "conflict")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"resource_id": "nobody"}, "resource_id"),
        ({"id": "Bess 1"}, "id"),
        ({"id": "bess1\n"}, "id"),
        ({"maker": "a\u001fb"}, "maker"),
        ({"maker": "x" * 121}, "maker"),
        ({"firmware_target": ""}, "firmware_target"),
        ({"password": "mine"}, "password"),
    ],
)
async def test_bad_registration_is_refused_by_field(
    world: World, body: dict[str, object], field: str
) -> None:
    problem = assert_problem(await register(world, **body), 422, "validation")
    assert problem["errors"][0]["field"] == field  # type: ignore[index]
    assert await stored_hashes(world) == []


async def test_change_demands_the_version_and_tells_the_next(world: World) -> None:
    await register(world)
    url, body = f"{API}/devices/bess1", {"firmware_target": "2.0"}
    auth = world.auth("maintainer")
    assert_problem(await world.client.patch(url, json=body, headers=auth), 428, "version-required")
    changed = await world.client.patch(url, json=body, headers={**auth, "If-Match": '"1"'})
    assert (changed.status_code, changed.headers["etag"]) == (200, '"2"')
    assert (changed.json()["firmware_target"], changed.json()["maker"]) == ("2.0", "Acme")
    stale = await world.client.patch(url, json=body, headers={**auth, "If-Match": '"1"'})
    assert_problem(stale, 412, "version-changed")
    outdated = await get(world, "/devices", outdated="true")
    assert [d["outdated"] for d in outdated["items"]] == [True]
    assert (await get(world, "/devices", outdated="false"))["items"] == []


async def test_rotation_ends_the_old_account_at_once_or_after_its_overlap(world: World) -> None:
    await register(world)
    body = {"overlap_s": 600.0, "reason": "yearly"}
    second = (await post(world, "/devices/bess1/credentials", body)).json()
    assert second["account"]["username"].endswith(".bess1.2")
    newest, oldest = (await get(world, "/devices/bess1/credentials"))["items"]
    assert (newest["valid"], oldest["valid"], newest["valid_until"]) == (True, True, None)
    world.clock.advance(timedelta(seconds=601))
    newest, oldest = (await get(world, "/devices/bess1/credentials"))["items"]
    assert (newest["valid"], oldest["valid"]) == (True, False)
    third = await post(world, "/devices/bess1/credentials", WHY)
    assert third.status_code == 201
    valid = [a["valid"] for a in (await get(world, "/devices/bess1/credentials"))["items"]]
    assert valid == [True, False, False]


async def test_of_several_valid_accounts_only_the_newest_gets_the_overlap(world: World) -> None:
    await register(world)
    body = {"overlap_s": 600.0, "reason": "yearly"}
    for _ in range(2):
        world.clock.advance(timedelta(seconds=1))
        await post(world, "/devices/bess1/credentials", body)
    valid = [a["valid"] for a in (await get(world, "/devices/bess1/credentials"))["items"]]
    assert valid == [True, True, False]


async def test_a_revoked_account_is_over_and_its_hash_gone(world: World) -> None:
    id_ = (await register(world)).json()["account"]["id"]
    for _ in range(2):
        revoked = await post(world, f"/devices/bess1/credentials/{id_}/revoke", WHY)
        assert (revoked.status_code, revoked.json()["valid"]) == (200, False)
    assert await stored_hashes(world) == [None]
    missing = await post(world, "/devices/bess1/credentials/other/revoke", WHY)
    assert_problem(missing, 404, "not-found")


async def test_a_retired_device_gets_no_account(world: World) -> None:
    await register(world)
    await post(world, "/devices/bess1/retire", WHY, **{"If-Match": '"1"'})
    assert await stored_hashes(world) == [None]
    assert_problem(await post(world, "/devices/bess1/credentials", WHY), 409, "conflict")


async def test_pages_of_devices_follow_one_another(world: World) -> None:
    for resource in ("bess1", "pv1", "ev1"):
        await register(world, resource_id=resource)
    first = await get(world, "/devices", limit=2)
    second = await get(world, "/devices", limit=2, cursor=first["next_cursor"])
    ids = [d["device"]["id"] for d in first["items"] + second["items"]]
    assert (ids, second["next_cursor"]) == (["bess1", "ev1", "pv1"], None)


@pytest.mark.parametrize(
    "path",
    ["/devices/none", "/devices/none/credentials", "/devices/none/firmware"],
)
async def test_an_unknown_device_is_not_found(world: World, path: str) -> None:
    response = await world.client.get(f"{API}{path}", headers=world.auth("auditor"))
    assert_problem(response, 404, "not-found")

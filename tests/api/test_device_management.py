"""Configuration, management commands, maintenance and records of devices over HTTP."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import Connection, insert

from cluster.storage.tables.devices import DEVICE_CONNECTIVITY
from tests.support.api_world import World, assert_problem
from tests.support.live_states import NOW

API = "/api/vpp"
WHY = {"reason": "test"}


@pytest.fixture
async def device(world: World) -> str:
    """Register a device and return its path."""
    body = {"id": "pack", "resource_id": "bess1"}
    await send(world, "POST", "/devices", body)
    return "/devices/pack"


async def send(
    world: World, method: str, path: str, body: object, role: str = "maintainer", **headers: str
) -> httpx.Response:
    return await world.client.request(
        method, f"{API}{path}", json=body, headers=world.auth(role, **headers)
    )


async def get(world: World, path: str, **params: Any) -> Any:
    response = await world.client.get(f"{API}{path}", params=params, headers=world.auth("auditor"))
    return response.raise_for_status().json()


async def configure(
    world: World, device: str, seen: int, settings: dict[str, object]
) -> httpx.Response:
    body = {"settings": settings, "note": "test"}
    path = f"{device}/configuration"
    return await send(world, "PUT", path, body, **{"If-Match": f'"{seen}"'})


async def test_configurations_are_versions_and_going_back_makes_another(
    world: World, device: str
) -> None:
    assert (await get(world, f"{device}/configuration"))["wanted"] is None
    for seen, every_s in enumerate((1, 2)):
        made = await configure(world, device, seen, {"every_s": every_s, "led": True, "k": 0.5})
        assert (made.status_code, made.headers["etag"]) == (200, f'"{seen + 1}"')
    body = {"version": 1, "note": "2 was worse"}
    back = await send(
        world, "POST", f"{device}/configuration/rollback", body, **{"If-Match": '"2"'}
    )
    assert (back.json()["version"], back.json()["restores"]) == (3, 1)
    now = await get(world, f"{device}/configuration")
    assert now["wanted"]["settings"] == {"every_s": 1, "led": True, "k": 0.5}
    assert (now["reported_version"], now["in_force"]) == (None, False)
    versions = (await get(world, f"{device}/configurations"))["items"]
    assert [(v["version"], v["settings"]["every_s"]) for v in versions] == [(3, 1), (2, 2), (1, 1)]
    assert (await get(world, device))["configuration_version"] == 3


async def test_of_two_configurations_on_one_version_one_is_refused(
    world: World, device: str
) -> None:
    answers = await asyncio.gather(*(configure(world, device, 0, {"n": n}) for n in range(2)))
    assert sorted(a.status_code for a in answers) == [200, 412]
    none = await send(world, "PUT", f"{device}/configuration", {"settings": {}, "note": "x"})
    assert_problem(none, 428, "version-required")
    body = {"version": 9, "note": "x"}
    gone = await send(
        world, "POST", f"{device}/configuration/rollback", body, **{"If-Match": '"1"'}
    )
    assert_problem(gone, 404, "not-found")


@pytest.mark.parametrize(
    "wanted",
    [
        {"Bad name": 1},
        {"a": None},
        {"a": {"b": 1}},
        {"a": "x" * 501},
        {"a": "bell\u0007"},
        {"a": 1e300},
        {f"k{i}": i for i in range(65)},
    ],
    ids=["name", "null", "nested", "long", "control", "huge", "many"],
)
async def test_bad_configuration_is_refused(
    world: World, device: str, wanted: dict[str, object]
) -> None:
    assert_problem(await configure(world, device, 0, wanted), 422, "validation")
    assert (await get(world, f"{device}/configurations"))["items"] == []


async def test_command_is_kept_once_per_key_and_followed(world: World, device: str) -> None:
    body = {"kind": "reboot", "lifetime_s": 30.0, **WHY}
    first = await send(world, "POST", f"{device}/commands", body, **{"Idempotency-Key": "k"})
    again = await send(world, "POST", f"{device}/commands", body, **{"Idempotency-Key": "k"})
    assert (first.status_code, again.json()) == (202, first.json())
    followed = await world.client.get(first.headers["location"], headers=world.auth("auditor"))
    assert (followed.json()["state"], followed.json()["kind"]) == ("proposed", "reboot")
    assert len((await get(world, f"{device}/commands"))["items"]) == 1


async def test_no_set_point_goes_this_way_and_not_everybody_may(world: World, device: str) -> None:
    for body in ({"kind": "setpoint", **WHY}, {"kind": "reboot", "setpoint_kw": 5.0, **WHY}):
        assert_problem(await send(world, "POST", f"{device}/commands", body), 422, "validation")
    body = {"kind": "reboot", **WHY}
    refused = await send(world, "POST", f"{device}/commands", body, role="operator")
    assert_problem(refused, 403, "forbidden")


async def test_no_more_than_sixteen_commands_wait_for_a_device(world: World, device: str) -> None:
    body = {"kind": "identify", **WHY}
    answers = [await send(world, "POST", f"{device}/commands", body) for _ in range(17)]
    assert [a.status_code for a in answers] == [202] * 16 + [409]


async def plan(world: World, device: str, start_s: float, end_s: float) -> httpx.Response:
    body = {
        "start_at": (NOW + timedelta(seconds=start_s)).isoformat(),
        "end_at": (NOW + timedelta(seconds=end_s)).isoformat(),
        "reason": "fans",
    }
    return await send(world, "POST", f"{device}/maintenance", body)


async def test_window_is_planned_changed_and_cancelled(world: World, device: str) -> None:
    planned = await plan(world, device, 600.0, 1200.0)
    assert planned.status_code == 201
    assert (planned.json()["resource_id"], planned.json()["state"]) == ("bess1", "planned")
    path = planned.headers["location"].removeprefix(API)
    assert_problem(await plan(world, device, 1100.0, 1300.0), 409, "conflict")
    assert (await plan(world, device, 1200.0, 1300.0)).status_code == 201
    longer = {"end_at": (NOW + timedelta(seconds=1250)).isoformat()}
    overlapping = await send(world, "PATCH", path, longer, **{"If-Match": '"1"'})
    assert_problem(overlapping, 409, "conflict")
    shorter = {"end_at": (NOW + timedelta(seconds=900)).isoformat()}
    changed = await send(world, "PATCH", path, shorter, **{"If-Match": '"1"'})
    assert (changed.status_code, changed.json()["version"]) == (200, 2)
    for _ in range(2):
        ended = await send(world, "POST", f"{path}/end", WHY)
        assert (ended.status_code, ended.json()["state"]) == (200, "cancelled")
    late = await send(world, "PATCH", path, shorter, **{"If-Match": '"3"'})
    assert_problem(late, 409, "conflict")
    listed = await get(world, "/maintenance-windows", device="pack", state="planned")
    assert len(listed["items"]) == 1


async def test_window_that_has_begun_is_ending_until_the_resource_knows(
    world: World, device: str
) -> None:
    planned = await plan(world, device, -60.0, 600.0)
    assert planned.json()["start_at"] == NOW.isoformat().replace("+00:00", "Z")
    path = planned.headers["location"].removeprefix(API)
    ended = await send(world, "POST", f"{path}/end", WHY, role="operator")
    assert ended.json()["state"] == "ending"


@pytest.mark.parametrize(
    ("start_s", "end_s", "field"),
    [
        (-100.0, -50.0, "end_at"),
        (0.0, 30.0, "end_at"),
        (0.0, 32 * 86_400.0, "end_at"),
        (367 * 86_400.0, 367 * 86_400.0 + 600.0, "start_at"),
    ],
)
async def test_bad_window_is_refused_by_field(
    world: World, device: str, start_s: float, end_s: float, field: str
) -> None:
    problem = assert_problem(await plan(world, device, start_s, end_s), 422, "validation")
    assert problem["errors"][0]["field"] == field  # type: ignore[index]


async def test_of_two_overlapping_windows_at_once_one_is_planned(world: World, device: str) -> None:
    answers = await asyncio.gather(*(plan(world, device, 10.0 + n, 600.0) for n in range(2)))
    assert sorted(a.status_code for a in answers) == [201, 409]


async def test_work_log_goes_on_after_the_device_is_retired(world: World, device: str) -> None:
    window = (await plan(world, device, 0.0, 600.0)).json()["id"]
    body = {"text": "Fan 2 replaced.\nTest run.", "window_id": window}
    assert (await send(world, "POST", f"{device}/work-log", body)).status_code == 201
    world.clock.advance(timedelta(seconds=1))
    await send(world, "POST", f"{device}/retire", WHY, **{"If-Match": '"1"'})
    assert (await send(world, "POST", f"{device}/work-log", {"text": "Sold."})).status_code == 201
    entries = (await get(world, f"{device}/work-log"))["items"]
    assert [(e["text"][:5], e["window_id"]) for e in entries] == [
        ("Sold.", None),
        ("Fan 2", window),
    ]
    foreign = {"text": "x", "window_id": "mw-none"}
    assert_problem(await send(world, "POST", f"{device}/work-log", foreign), 404, "not-found")
    for path, what in (("commands", {"kind": "identify", **WHY}), ("credentials", WHY)):
        assert_problem(await send(world, "POST", f"{device}/{path}", what), 409, "conflict")


async def test_connectivity_is_told_in_shares_and_rates(world: World, device: str) -> None:
    row = {
        "device_id": "pack",
        "watched_s": 7200.0,
        "online_s": 5400.0,
        "n_disconnects": 2,
        "n_messages": 6000,
        "n_gaps": 1,
        "longest_gap_s": 31.26,
        "last_seen_at": NOW,
    }
    days = [NOW.date() - timedelta(days=n) for n in (0, 40)]

    def write(connection: Connection) -> None:
        connection.execute(insert(DEVICE_CONNECTIVITY), [{**row, "day": day} for day in days])

    await world.database.write(lambda group: write(group.connection))
    (today,) = (await get(world, f"{device}/connectivity"))["items"]
    assert (today["online_frac"], today["messages_per_min"]) == (0.75, 50.0)
    whole = await get(world, f"{device}/connectivity", from_day=days[1].isoformat())
    assert len(whole["items"]) == 2
    url = f"{API}{device}/connectivity"
    long = {"from_day": "2020-01-01", "to_day": "2026-01-01"}
    response = await world.client.get(url, params=long, headers=world.auth("auditor"))
    assert_problem(response, 422, "validation")


async def test_who_reaches_a_part_of_the_park_finds_its_devices_and_windows_only(
    world: World, device: str
) -> None:
    await send(world, "POST", "/devices", {"id": "roof", "resource_id": "pv1"})
    paths = [
        (await plan(world, path, 0.0, 600.0)).headers["location"].removeprefix(API)
        for path in (device, "/devices/roof")
    ]
    part = world.auth("part")

    async def ids(path: str, field: str) -> list[str]:
        body = (await world.client.get(f"{API}{path}", headers=part)).json()
        return [item.get("device", item)[field] for item in body["items"]]

    assert await ids("/devices", "id") == ["pack"]
    assert await ids("/maintenance-windows", "device_id") == ["pack"]
    for path, status in ((device, 200), ("/devices/roof", 404), (paths[0], 200), (paths[1], 404)):
        answer = await world.client.get(f"{API}{path}", headers=part)
        assert answer.status_code == status, path
    ended = await world.client.post(f"{API}{paths[1]}/end", json=WHY, headers=part)
    assert_problem(ended, 404, "not-found")

"""Resources and aggregations over HTTP: built, changed, put to work, retired, and raced for."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from serve_apps.web.permissions import Role
from tests.support.api_world import World, assert_problem
from tests.support.live_states import make_aggregate_state, make_resource_state

API = "/api/vpp"
BATTERY: dict[str, Any] = {
    "id": "bess2",
    "name": "Battery 2",
    "template_id": "starter-battery",
    "parameters": {"capacity_kwh": 2000.0},
    "fallback": "zero",
}


async def send(
    world: World, method: str, path: str, body: Any = None, role: str = Role.ADMIN, **headers: str
) -> httpx.Response:
    return await world.client.request(
        method, f"{API}{path}", json=body, headers=world.auth(role, **headers)
    )


async def get(world: World, path: str) -> Any:
    response = await send(world, "GET", path, role=Role.AUDITOR)
    assert response.status_code == 200, response.text
    return response.json()


def seen(version: int) -> dict[str, str]:
    return {"If-Match": f'"{version}"'}


async def draft(world: World, id_: str, *members: str, **more: Any) -> httpx.Response:
    body = {"id": id_, "name": id_, "members": list(members), **more}
    return await send(world, "POST", "/aggregations", body)


async def ids(world: World, path: str) -> list[str]:
    return [item["definition"]["id"] for item in (await get(world, path))["items"]]


# --- resources


async def test_a_resource_of_a_template_is_part_of_the_park_at_once(world: World) -> None:
    created = await send(world, "POST", "/resources", BATTERY, Role.MAINTAINER)
    assert (created.status_code, created.headers["etag"]) == (201, '"1"')
    assert created.headers["location"] == f"{API}/resources/bess2"
    definition = created.json()["definition"]
    assert definition["kind"] == "battery"
    assert definition["parameters"]["capacity_kwh"] == 2000.0
    assert definition["parameters"]["max_charge_kw"] == 500.0
    assert created.json()["template"] == {"template_id": "starter-battery", "version": 1}
    assert world.assets.park().resource("bess2") is not None
    world.assets.refresh()
    assert world.assets.park().resource("bess2") is not None
    assert await ids(world, "/resources") == ["bess1", "pv1", "ev1", "bess2"]
    usage = await get(world, "/resource-templates/starter-battery/usage")
    assert [use["resource_id"] for use in usage["resources"]] == ["bess2"]
    in_use = await send(world, "DELETE", "/resource-templates/starter-battery", None, **seen(1))
    assert "bess2" in str(assert_problem(in_use, 409, "conflict")["detail"])


async def test_an_update_keeps_the_template_and_takes_a_newer_version_when_told(
    world: World,
) -> None:
    await send(world, "POST", "/resources", BATTERY)
    defaults = {"capacity_kwh": 10.0, "max_discharge_kw": 5.0}
    parameters = [{"name": name, "default": value} for name, value in defaults.items()]
    newer = {"name": "B", "parameters": parameters}
    await send(world, "PUT", "/resource-templates/starter-battery", newer, **seen(1))
    body = {"name": "Renamed", "parameters": {"max_charge_kw": 50.0}}
    kept = (await send(world, "PUT", "/resources/bess2", body, **seen(1))).json()
    assert (kept["version"], kept["template"]["version"]) == (2, 1)
    assert kept["definition"]["parameters"]["capacity_kwh"] == 1000.0
    moved = await send(world, "PUT", "/resources/bess2", {**body, "template_version": 2}, **seen(2))
    assert moved.json()["template"]["version"] == 2
    assert moved.json()["definition"]["parameters"]["capacity_kwh"] == 10.0
    usage = await get(world, "/resource-templates/starter-battery/usage")
    assert usage["by_version"] == [{"version": 2, "n_resources": 1}]


async def test_no_resource_is_made_of_a_deprecated_template(world: World) -> None:
    old = {"name": "Old", "state": "deprecated"}
    await send(world, "PUT", "/resource-templates/starter-battery", old, **seen(1))
    refused = await send(world, "POST", "/resources", {**BATTERY, "template_version": 1})
    assert "deprecated" in assert_problem(refused, 422, "validation")["detail"]  # type: ignore[operator]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"parameters": {"capacity_kwh": 1.0}}, "parameters.capacity_kwh"),
        ({"parameters": {"colour": 1.0}}, "parameters.colour"),
        ({"parameters": {"soc_min_frac": 0.95}}, "parameters.soc_min_frac"),
        ({"template_id": "unknown"}, "template_id"),
        ({"template_version": 9}, "template_id"),
        ({"fallback": "limit"}, "fallback"),
        ({"site": {"height_m": 3.0}}, "site.height_m"),
    ],
)
async def test_a_resource_that_breaks_rules_is_refused_by_field(
    world: World, change: dict[str, Any], field: str
) -> None:
    refused = await send(world, "POST", "/resources", {**BATTERY, **change})
    body: Any = assert_problem(refused, 422, "validation")
    assert [error["field"] for error in body["errors"]] == [field]
    assert "bess2" not in world.assets.resources


@pytest.mark.parametrize(
    "change",
    [
        {"id": "UPPER"},
        {"kind": "battery"},
        {"template_id": None},
        {"latitude_deg": 91.0},
        {"longitude_deg": "east"},
        {"parameters": {"capacity_kwh": 1e300}},
        {"site": {"geometry": {"type": "Point", "coordinates": [0.0]}}},
        {"site": {"geometry": {"type": "Point", "coordinates": [181.0, 0.0]}}},
        {"site": {"geometry": {"type": "Circle", "coordinates": [1.0, 0.0]}}},
        {"site": {"geometry": {"type": "LineString", "coordinates": [[0.0, 0.0]] * 1001}}},
    ],
)
async def test_malformed_resources_are_refused(world: World, change: dict[str, Any]) -> None:
    refused = await send(world, "POST", "/resources", {**BATTERY, **change})
    assert_problem(refused, 422, "validation")


async def test_an_id_is_never_used_again(world: World) -> None:
    for id_ in ("bess1", "site"):
        taken = await send(world, "POST", "/resources", {**BATTERY, "id": id_})
        assert_problem(taken, 409, "conflict")
    await send(world, "POST", "/resources", BATTERY)
    await send(world, "DELETE", "/resources/bess2", **seen(1))
    assert_problem(await send(world, "POST", "/resources", BATTERY), 409, "conflict")
    assert_problem(await draft(world, "bess2"), 409, "conflict")


async def test_a_retired_resource_leaves_the_park_and_stays_on_record(world: World) -> None:
    await send(world, "POST", "/resources", BATTERY)
    world.live.put(make_resource_state("bess2"))
    retired = await send(world, "DELETE", "/resources/bess2", role=Role.MAINTAINER, **seen(1))
    assert (retired.json()["status"], retired.json()["state"]) == ("retired", None)
    assert world.assets.park().resource("bess2") is None
    assert await ids(world, "/resources") == ["bess1", "pv1", "ev1"]
    assert await ids(world, "/resources?status=retired") == ["bess2"]
    assert (await get(world, "/resources/bess2"))["retired_at"] is not None
    again = await send(world, "DELETE", "/resources/bess2", **seen(2))
    assert_problem(again, 409, "conflict")
    usage = await get(world, "/resource-templates/starter-battery/usage")
    assert (usage["n_in_use"], usage["n_retired"]) == (0, 1)


async def test_a_member_is_not_retired_under_its_aggregation(world: World) -> None:
    refused = await send(world, "DELETE", "/resources/bess1", **seen(1))
    assert "stores" in str(assert_problem(refused, 409, "conflict")["detail"])


async def test_many_resources_are_made_together_or_not_at_all(world: World) -> None:
    items = [{**BATTERY, "id": f"b{i}"} for i in range(20)]
    broken = [*items, {**BATTERY, "id": "b1"}, {**BATTERY, "id": "x", "parameters": {"x": 1}}]
    refused = await send(world, "POST", "/resources/bulk", {"items": broken})
    body: Any = assert_problem(refused, 422, "validation")
    assert [e["field"] for e in body["errors"]] == ["items[21].parameters.x", "items[20].id"]
    taken = [*items, {**BATTERY, "id": "bess1"}]
    assert_problem(await send(world, "POST", "/resources/bulk", {"items": taken}), 409, "conflict")
    assert "b0" not in world.assets.resources
    key = {"Idempotency-Key": "bulk-1"}
    for replayed in (None, "true"):
        made = await send(world, "POST", "/resources/bulk", {"items": items}, **key)
        assert (made.status_code, len(made.json()["items"])) == (201, 20)
        assert made.headers.get("idempotency-replayed") == replayed
    assert len(await ids(world, "/resources?limit=200")) == 23


async def test_lists_are_filtered_sorted_and_paged(world: World) -> None:
    await send(world, "POST", "/resources", BATTERY)
    assert await ids(world, "/resources?kind=battery&sort=-id") == ["bess2", "bess1"]
    assert await ids(world, "/resources?template=starter-battery") == ["bess2"]
    assert await ids(world, "/resources?aggregation=stores") == ["bess1"]
    assert await ids(world, "/resources?name=ROOF") == ["pv1"]
    first = await get(world, "/resources?limit=3")
    rest = await get(world, f"/resources?limit=3&cursor={first['next_cursor']}")
    assert [item["definition"]["id"] for item in rest["items"]] == ["bess2"]
    assert rest["next_cursor"] is None


async def test_the_map_shows_shapes_heights_and_places(world: World) -> None:
    ring = [[121.0, 31.0], [121.001, 31.0], [121.001, 31.001], [121.0, 31.0]]
    hall = {"type": "Polygon", "coordinates": [ring]}
    site = {"geometry": hall, "height_m": 12.5, "base_m": 2.0}
    await send(world, "POST", "/resources", {**BATTERY, "site": site})
    await send(
        world,
        "POST",
        "/resources",
        {**BATTERY, "id": "b3", "latitude_deg": 31.0, "longitude_deg": 121.5},
    )
    features = {f["id"]: f for f in (await get(world, "/park/map"))["features"]}
    assert features["bess2"]["geometry"] == hall
    assert features["bess2"]["properties"]["height_m"] == 12.5
    assert features["b3"]["geometry"] == {"type": "Point", "coordinates": [121.5, 31.0]}
    assert features["pv1"]["geometry"] is None
    open_ring = {"type": "Polygon", "coordinates": [[*ring[:-1], [121.0, 31.1]]]}
    refused = await send(
        world, "POST", "/resources", {**BATTERY, "id": "b4", "site": {"geometry": open_ring}}
    )
    assert "where it begins" in str(assert_problem(refused, 422, "validation")["detail"])


# --- aggregations


async def test_an_aggregation_is_drafted_activated_deactivated_and_retired(world: World) -> None:
    created = await draft(world, "vpp2", "bess1", "pv1")
    assert (created.status_code, created.json()["status"]) == (201, "draft")
    assert world.assets.park().aggregate("vpp2") is None
    active = await send(world, "POST", "/aggregations/vpp2/activate", role=Role.OPERATOR)
    assert (active.status_code, active.json()["status"]) == (200, "active")
    assert world.assets.park().parents_of("bess1") == ["stores", "vpp2"]
    world.live.put(make_aggregate_state("vpp2"))
    assert (await get(world, "/aggregations/vpp2"))["state"]["power_kw"] == 40.0
    assert_problem(await send(world, "DELETE", "/aggregations/vpp2", **seen(2)), 409, "conflict")
    idle = await send(world, "POST", "/aggregations/vpp2/deactivate", role=Role.OPERATOR)
    assert (idle.json()["status"], idle.json()["state"]) == ("inactive", None)
    assert world.assets.park().aggregate("vpp2") is None
    retired = await send(world, "DELETE", "/aggregations/vpp2", **seen(3))
    assert retired.json()["status"] == "retired"
    assert await ids(world, "/aggregations") == ["site", "stores"]
    assert await ids(world, "/aggregations?status=retired") == ["vpp2"]
    assert_problem(await send(world, "POST", "/aggregations/vpp2/activate"), 409, "conflict")


async def test_members_come_and_go_while_it_is_at_work(world: World) -> None:
    path = "/aggregations/stores/resources"
    added = await send(world, "POST", path, {"resource_id": "pv1"})
    assert added.json()["definition"]["members"] == ["bess1", "pv1"]
    assert world.assets.park().parents_of("pv1") == ["site", "stores"]
    removed = await send(world, "DELETE", f"{path}/bess1")
    assert removed.json()["definition"]["members"] == ["pv1"]
    last = await send(world, "DELETE", f"{path}/pv1")
    assert "last member" in str(assert_problem(last, 409, "conflict")["detail"])
    assert_problem(await send(world, "DELETE", f"{path}/bess1"), 404, "not-found")
    bulk = await send(world, "POST", f"{path}/bulk", {"resource_ids": ["bess1", "ev1"]})
    assert bulk.json()["definition"]["members"] == ["pv1", "bess1", "ev1"]


async def test_every_unfit_member_is_told_and_none_is_added(world: World) -> None:
    wanted = ["pv1", "bess1", "nobody", "pv1", "site", "stores"]
    refused = await send(
        world, "POST", "/aggregations/stores/resources/bulk", {"resource_ids": wanted}
    )
    body: Any = assert_problem(refused, 422, "validation")
    assert {e["field"]: e["rule"] for e in body["errors"]} == {
        "members[1]": "is a member already",
        "members[2]": "must be a resource in operation or an aggregation of this park",
        "members[3]": "is a member already",
        "members[4]": "would make stores contain itself",
        "members[5]": "would make stores contain itself",
    }
    assert (await get(world, "/aggregations/stores"))["definition"]["members"] == ["bess1"]


async def test_a_blocking_conflict_refuses_activation_and_is_on_record(world: World) -> None:
    await draft(world, "vpp2", "bess1", max_export_kw=50.0)
    refused = await send(world, "POST", "/aggregations/vpp2/activate")
    assert "bess1 alone can export 100 kW" in str(
        assert_problem(refused, 409, "conflict")["detail"]
    )
    page = await get(world, "/aggregations/vpp2/conflicts?state=open")
    kept = {(c["rule"], c["severity"], c["subject"]) for c in page["items"]}
    assert ("capacity_oversold", "blocking", "bess1") in kept
    assert ("shared_member", "warning", "bess1") in kept
    assert all(c["resolution"] for c in page["items"])
    wider = {"max_import_kw": None, "max_export_kw": 500.0}
    await send(world, "PUT", "/aggregations/vpp2/limits", wider, **seen(1))
    assert (await send(world, "POST", "/aggregations/vpp2/activate")).status_code == 200
    resolved = await get(world, "/aggregations/vpp2/conflicts?state=resolved")
    assert {c["rule"] for c in resolved["items"]} == {"capacity_oversold"}
    found = await send(world, "POST", "/aggregations/vpp2/conflicts/detect")
    assert (found.json()["n_blocking"], [c["rule"] for c in found.json()["items"]]) == (
        0,
        ["shared_member"],
    )


async def test_a_standing_dispatch_keeps_its_aggregation_at_work(world: World) -> None:
    dispatched = (await world.dispatch(aggregation="stores")).json()["id"]
    refused = await send(world, "POST", "/aggregations/stores/deactivate")
    assert dispatched in str(assert_problem(refused, 409, "conflict")["detail"])
    await send(world, "POST", f"/dispatches/{dispatched}/cancel", {"reason": "x"})
    assert (await send(world, "POST", "/aggregations/stores/deactivate")).status_code == 200
    lost = await world.dispatch(key="k2", aggregation="stores")
    assert_problem(lost, 404, "not-found")


async def test_nobody_knows_whether_a_silent_aggregation_is_idle(world: World) -> None:
    world.control.unavailable.add("stores")
    refused = await send(world, "POST", "/aggregations/stores/deactivate")
    assert_problem(refused, 503, "unavailable")
    assert world.assets.aggregates["stores"].status == "active"


async def test_capacity_and_figures_of_a_draft_and_of_one_at_work(world: World) -> None:
    await draft(world, "vpp2", "bess1", "pv1")
    capacity = await get(world, "/aggregations/vpp2/capacity?horizon_s=1800")
    assert (capacity["rated_kw"], capacity["power_kw"]) == (400.0, 160.0)
    assert capacity["sustained"][-1]["duration_s"] == 1800.0
    idle = await get(world, "/aggregations/vpp2/realtime")
    assert (idle["running"], idle["live"]) == (False, None)
    running = await get(world, "/aggregations/site/realtime")
    assert (running["running"], running["live"]["power_kw"], running["age_s"]) == (True, 40.0, 0.0)


# --- races


async def test_of_two_activations_one_wins(world: World) -> None:
    await draft(world, "vpp2", "pv1")
    answers = await asyncio.gather(
        *(send(world, "POST", "/aggregations/vpp2/activate") for _ in range(4))
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]


async def test_of_two_updates_with_one_etag_one_wins(world: World) -> None:
    resources = await asyncio.gather(
        *(
            send(
                world,
                "PUT",
                "/resources/pv1",
                {"name": name, "parameters": {"rated_kw": 5.0}},
                **seen(1),
            )
            for name in "abc"
        )
    )
    assert sorted(answer.status_code for answer in resources) == [200, 412, 412]
    aggregations = await asyncio.gather(
        *(send(world, "PUT", "/aggregations/site", {"name": n}, **seen(1)) for n in "abc")
    )
    assert sorted(answer.status_code for answer in aggregations) == [200, 412, 412]
    for path, body in (("resources/pv1", {"name": "x"}), ("aggregations/site", {"name": "x"})):
        assert_problem(await send(world, "PUT", f"/{path}", body), 428, "version-required")


async def test_a_resource_is_never_added_and_retired_at_once(world: World) -> None:
    for n in range(5):
        await send(world, "POST", "/resources", {**BATTERY, "id": f"r{n}"})
        retire = send(world, "DELETE", f"/resources/r{n}", **seen(1))
        add = send(world, "POST", "/aggregations/stores/resources", {"resource_id": f"r{n}"})
        if n % 2:
            added, retired = await asyncio.gather(add, retire)
        else:
            retired, added = await asyncio.gather(retire, add)
        assert {retired.status_code, added.status_code} in ({200, 422}, {409, 200})
        members = (await get(world, "/aggregations/stores"))["definition"]["members"]
        assert (f"r{n}" in members) == (added.status_code == 200)
    assert all(world.assets.park().resource(m) for m in world.assets.park().aggregates[1].members)

"""Four eyes: what needs a second person waits for one, and happens once, in both names."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from serve_apps.approvals.carrying_out import drive_on
from serve_apps.web.deps import ApiSettings
from tests.support.api_world import World, assert_problem, open_world

API = "/api/vpp"


@pytest.fixture
async def strict(settings: ApiSettings) -> AsyncIterator[World]:
    """Yield a world where operator and admin can be each other's second person."""
    async with open_world(replace(settings, four_eyes="auto")) as opened:
        body = {"reason": "smoke"}
        await opened.client.put(f"{API}/park/kill", json=body, headers=opened.auth())
        opened.clock.advance(timedelta(minutes=1))
        yield opened


async def ask(world: World, path: str = "/park", role: str = "operator") -> Any:
    return await world.client.delete(
        f"{API}{path}/kill", params={"reason": "all clear"}, headers=world.auth(role)
    )


async def decide(world: World, id_: str, verb: str = "approve", role: str = "admin") -> Any:
    url = f"{API}/approvals/{id_}/{verb}"
    body = {"reason": "looked at it"}
    return await world.client.post(url, json=body, headers=world.auth(role))


async def test_a_release_waits_for_a_second_person_and_happens_in_both_names(strict: World) -> None:
    asked = await ask(strict)
    assert asked.status_code == 202
    approval = asked.json()
    assert asked.headers["location"] == f"{API}/approvals/{approval['id']}"
    assert (approval["state"], approval["requested_by"]) == ("pending", "operator")
    assert strict.control.killed
    done = (await decide(strict, approval["id"])).json()
    assert (done["state"], done["decided_by"]) == ("done", "admin")
    assert strict.control.killed == strict.store.wanted_kills == set()
    entry = strict.store.entries[-1]
    assert entry.action == "kill.release"
    assert (entry.data["requested_by"], entry.data["approved_by"]) == ("operator", "admin")


async def test_nobody_approves_their_own_request_but_may_withdraw_it(strict: World) -> None:
    id_ = (await ask(strict)).json()["id"]
    assert_problem(await decide(strict, id_, role="operator"), 409, "conflict")
    assert strict.control.killed
    assert (await decide(strict, id_, "reject", "operator")).json()["state"] == "rejected"
    assert_problem(await decide(strict, id_), 409, "conflict")
    assert strict.control.killed


async def test_an_api_key_of_the_same_person_is_no_second_person(strict: World) -> None:
    body = {"name": "bridge", "roles": ["admin"]}
    made = await strict.client.post(f"{API}/keys", json=body, headers=strict.auth("admin"))
    headers = {"Authorization": f"Bearer {made.json()['api_key']}"}
    asked = await strict.client.delete(f"{API}/park/kill", params={"reason": "x"}, headers=headers)
    assert asked.json()["requester"] == "admin"
    assert_problem(await decide(strict, asked.json()["id"], role="admin"), 409, "conflict")
    url = f"{API}/approvals/{(await ask(strict)).json()['id']}/approve"
    assert_problem(await strict.client.post(url, json={}, headers=headers), 403, "forbidden")


async def test_who_may_not_release_may_not_approve_a_release(strict: World) -> None:
    id_ = (await ask(strict)).json()["id"]
    assert_problem(await decide(strict, id_, role="maintainer"), 403, "forbidden")
    assert_problem(await decide(strict, id_, role="trader"), 403, "forbidden")
    assert_problem(await decide(strict, "approval-0"), 404, "not-found")


async def test_of_many_approvals_in_one_moment_one_carries_it_out(strict: World) -> None:
    id_ = (await ask(strict)).json()["id"]
    answers = await asyncio.gather(
        *(decide(strict, id_, role=role) for role in ("admin", "everything", "admin"))
    )
    assert sorted(a.status_code for a in answers) == [200, 409, 409]
    assert [e.action for e in strict.store.entries].count("kill.release") == 1


async def test_what_nobody_decides_on_expires(strict: World) -> None:
    id_ = (await ask(strict)).json()["id"]
    strict.clock.advance(timedelta(hours=1))
    told = await strict.client.get(f"{API}/approvals/{id_}", headers=strict.auth("admin"))
    assert told.json()["state"] == "expired"
    assert_problem(await decide(strict, id_), 409, "conflict")
    for state, ids in (("pending", []), ("expired", [id_])):
        listed = await strict.client.get(
            f"{API}/approvals", params={"state": state}, headers=strict.auth("auditor")
        )
        assert [a["id"] for a in listed.json()["items"]] == ids


async def test_a_kill_after_the_request_stands_against_its_approval(strict: World) -> None:
    id_ = (await ask(strict)).json()["id"]
    strict.clock.advance(timedelta(seconds=1))
    await strict.client.put(
        f"{API}/resources/pv1/kill", json={"reason": "fire"}, headers=strict.auth("maintainer")
    )
    failed = (await decide(strict, id_)).json()
    assert (failed["state"], "pv1" in strict.control.killed) == ("failed", True)
    assert "killed again" in failed["outcome"]


async def test_the_same_request_again_is_the_same_approval(strict: World) -> None:
    first, second = await ask(strict), await ask(strict)
    assert first.json()["id"] == second.json()["id"]
    assert (await ask(strict, "/resources/pv1")).json()["id"] != first.json()["id"]


async def test_an_approval_cut_off_is_driven_on_by_approving_again(strict: World) -> None:
    id_ = (await ask(strict)).json()["id"]
    strict.store.down = True
    assert_problem(await decide(strict, id_), 503, "unavailable")
    strict.store.down = False
    assert_problem(await decide(strict, id_), 409, "conflict")
    strict.clock.advance(timedelta(seconds=31))
    assert_problem(await decide(strict, id_, role="everything"), 409, "conflict")
    assert (await decide(strict, id_)).json()["state"] == "done"
    assert strict.control.killed == set()


async def test_an_approval_cut_off_is_driven_on_by_itself(strict: World) -> None:
    deps = strict.app.state.deps
    id_ = (await ask(strict)).json()["id"]
    strict.store.down = True
    assert_problem(await decide(strict, id_), 503, "unavailable")
    strict.clock.advance(timedelta(seconds=31))
    await drive_on(deps)
    assert strict.control.killed
    strict.store.down = False
    # It may be under way for half a minute more.
    await drive_on(deps)
    assert strict.control.killed
    strict.clock.advance(timedelta(seconds=31))
    await drive_on(deps)
    assert strict.control.killed == set()
    url = f"{API}/approvals/{id_}"
    done = (await strict.client.get(url, headers=strict.auth())).json()
    assert (done["state"], done["decided_by"]) == ("done", "admin")
    entry = strict.store.entries[-1]
    assert (entry.data["requested_by"], entry.data["approved_by"]) == ("operator", "admin")


async def test_what_expired_while_it_was_cut_off_waits_for_somebody_to_look(strict: World) -> None:
    id_ = (await ask(strict)).json()["id"]
    strict.store.down = True
    await decide(strict, id_)
    strict.store.down = False
    strict.clock.advance(timedelta(hours=2))
    await drive_on(strict.app.state.deps)
    assert strict.control.killed
    assert (await decide(strict, id_)).json()["state"] == "done"


async def test_a_single_operator_is_never_stuck(strict: World) -> None:
    headers = strict.auth("everything", **{"If-Match": '"1"'})
    for name, body in (("admin", {"roles": ["auditor"]}), ("part", {"disabled": True})):
        await strict.client.patch(f"{API}/users/{name}", json=body, headers=headers)
    assert (await ask(strict)).json()["state"] == "pending"
    await strict.client.patch(f"{API}/users/operator", json={"disabled": True}, headers=headers)
    released = await ask(strict, role="everything")
    assert (released.status_code, released.json()["killed"]) == (200, False)


async def test_who_reaches_a_part_sees_approvals_of_that_part_only(strict: World) -> None:
    whole = (await ask(strict)).json()["id"]
    part = (await ask(strict, "/aggregations/stores")).json()["id"]
    listed = await strict.client.get(f"{API}/approvals", headers=strict.auth("part"))
    assert [a["id"] for a in listed.json()["items"]] == [part]
    assert_problem(await decide(strict, whole, role="part"), 404, "not-found")
    assert (await decide(strict, part, role="part")).json()["state"] == "done"


async def test_limits_wait_for_a_second_person_and_for_their_version(strict: World) -> None:
    url = f"{API}/aggregations/site"
    body = {"max_import_kw": 700.0, "max_export_kw": 600.0}
    seen = (await strict.client.get(url, headers=strict.auth())).headers["etag"]

    async def ask_limits(**changes: float) -> Any:
        headers = strict.auth("admin", **{"If-Match": seen})
        return await strict.client.put(f"{url}/limits", json=body | changes, headers=headers)

    first, second = await ask_limits(), await ask_limits(max_import_kw=650.0)
    assert first.status_code == second.status_code == 202
    assert (await decide(strict, first.json()["id"], role="everything")).json()["state"] == "done"
    entry = (await strict.audited("aggregation.limits"))[0]
    assert (entry.data["requested_by"], entry.data["approved_by"]) == ("admin", "everything")
    assert entry.data["max_import_kw"] == 700.0
    # Asked for before the first was carried out: it would undo what nobody looked at together.
    late = (await decide(strict, second.json()["id"], role="everything")).json()
    assert late["state"] == "failed"
    assert_problem(await ask_limits(), 412, "version-changed")


async def change_battery(world: World, role: str = "admin", version: int = 1, **own: Any) -> Any:
    parameters = {"capacity_kwh": 200.0, "max_charge_kw": 100.0, "max_discharge_kw": 100.0}
    body = {"name": "Battery 1", "parameters": parameters | own}
    headers = world.auth(role, **{"If-Match": f'"{version}"'})
    return await world.client.put(f"{API}/resources/bess1", json=body, headers=headers)


def battery_of(world: World) -> dict[str, Any]:
    return dict(world.assets.resources["bess1"].definition.parameters)


async def test_wider_limits_of_a_resource_wait_for_a_second_person(strict: World) -> None:
    asked = await change_battery(strict, max_discharge_kw=140.0, soc_min_frac=0.02)
    assert asked.status_code == 202
    approval = asked.json()
    assert (approval["kind"], approval["subject"]) == ("resource.widen", "bess1")
    assert approval["reason"] == "wider: max_discharge_kw 100 -> 140 kW; soc_min_frac 0.05 -> 0.02"
    assert battery_of(strict)["max_discharge_kw"] == 100.0
    assert_problem(await decide(strict, approval["id"], role="admin"), 409, "conflict")
    # Whoever may not change a resource may not agree to its change.
    assert_problem(await decide(strict, approval["id"], role="operator"), 403, "forbidden")
    assert battery_of(strict)["max_discharge_kw"] == 100.0
    done = (await decide(strict, approval["id"], role="maintainer")).json()
    assert (done["state"], done["decided_by"]) == ("done", "maintainer")
    assert battery_of(strict)["max_discharge_kw"] == 140.0
    entry = (await strict.audited("resource.write"))[0]
    assert (entry.data["requested_by"], entry.data["approved_by"]) == ("admin", "maintainer")
    assert entry.data["widenings"] == [
        "max_discharge_kw 100 -> 140 kW",
        "soc_min_frac 0.05 -> 0.02",
    ]


async def test_narrower_limits_of_a_resource_go_at_once(strict: World) -> None:
    changed = await change_battery(strict, max_discharge_kw=80.0, soc_min_frac=0.2)
    assert (changed.status_code, changed.headers["etag"]) == (200, '"2"')
    assert battery_of(strict)["max_discharge_kw"] == 80.0
    # The way back is a widening, even to what it was before.
    back = await change_battery(strict, version=2)
    assert (back.status_code, back.json()["state"]) == (202, "pending")


async def test_a_newer_template_that_widens_waits_too(strict: World) -> None:
    headers = strict.auth("admin")
    made = {"id": "b9", "name": "B", "template_id": "starter-battery"}
    own = {"parameters": {"capacity_kwh": 2000.0}, "fallback": "zero"}
    await strict.client.post(f"{API}/resources", json=made | own, headers=headers)
    url = f"{API}/resource-templates/starter-battery"
    parameters = [
        {"name": name, "default": kw}
        for name, kw in (("max_discharge_kw", 900.0), ("max_charge_kw", 500.0))
    ]
    newer = {"name": "B", "parameters": parameters}
    told = await strict.client.put(url, json=newer, headers=headers | {"If-Match": '"1"'})
    assert told.status_code == 200, told.text
    body = {"name": "B", "template_version": 2} | own
    seen = headers | {"If-Match": '"1"'}
    moved = await strict.client.put(f"{API}/resources/b9", json=body, headers=seen)
    assert (moved.status_code, moved.json().get("kind")) == (202, "resource.widen")


async def test_a_wider_change_that_breaks_rules_asks_nobody(strict: World) -> None:
    refused = await change_battery(strict, max_discharge_kw=-1.0)
    assert_problem(refused, 422, "validation")
    late = await change_battery(strict, version=7, max_discharge_kw=140.0)
    assert_problem(late, 412, "version-changed")
    pending = await strict.client.get(f"{API}/approvals", headers=strict.auth("auditor"))
    assert pending.json()["items"] == []


# --- what goes to work


async def post(world: World, path: str, body: object = None, role: str = "operator") -> Any:
    return await world.client.post(f"{API}{path}", json=body, headers=world.auth(role))


async def other(world: World, *members: str) -> None:
    """Draft an aggregation without limits over members of one with limits."""
    made = await post(world, "/aggregations", {"id": "vpp2", "name": "2", "members": list(members)})
    assert made.status_code == 201, made.text


async def test_no_limit_is_gone_round_by_activating_another_aggregation(strict: World) -> None:
    await other(strict, "bess1", "pv1")
    asked = await post(strict, "/aggregations/vpp2/activate")
    assert (asked.status_code, asked.json()["kind"]) == (202, "aggregation.activate")
    assert asked.json()["payload"]["limits"] == {"max_import_kw": None, "max_export_kw": None}
    assert (await post(strict, "/aggregations/vpp2/activate")).json()["id"] == asked.json()["id"]
    assert strict.assets.park().aggregate("vpp2") is None
    assert (await decide(strict, asked.json()["id"])).json()["state"] == "done"
    assert strict.assets.park().parents_of("bess1") == ["stores", "vpp2"]
    entry = (await strict.audited("aggregation.activate"))[0]
    assert (entry.data["requested_by"], entry.data["approved_by"]) == ("operator", "admin")
    idle = await post(strict, "/aggregations/vpp2/deactivate")
    assert (idle.status_code, idle.json()["status"]) == (200, "inactive")


async def test_what_was_changed_after_the_request_does_not_go_to_work(strict: World) -> None:
    await other(strict, "bess1")
    id_ = (await post(strict, "/aggregations/vpp2/activate")).json()["id"]
    added = await post(strict, "/aggregations/vpp2/resources", {"resource_id": "pv1"})
    assert added.status_code == 200, added.text
    assert (await decide(strict, id_)).json()["state"] == "failed"
    assert strict.assets.park().aggregate("vpp2") is None


async def test_a_blocked_activation_asks_nobody_and_is_refused_again_later(strict: World) -> None:
    await other(strict, "ev1")
    id_ = (await post(strict, "/aggregations/vpp2/activate")).json()["id"]
    small = {"id": "vpp3", "name": "3", "members": ["bess1"], "max_export_kw": 50.0}
    await post(strict, "/aggregations", small)
    assert_problem(await post(strict, "/aggregations/vpp3/activate"), 409, "conflict")
    listed = await strict.client.get(f"{API}/approvals", headers=strict.auth("auditor"))
    assert [a["id"] for a in listed.json()["items"]] == [id_]


async def test_members_of_an_active_aggregation_wait_and_leave_at_once(strict: World) -> None:
    path = "/aggregations/stores/resources"
    asked = await post(strict, path, {"resource_id": "pv1"}, "maintainer")
    assert (asked.status_code, asked.json()["kind"]) == (202, "aggregation.add")
    assert strict.assets.park().parents_of("pv1") == ["site"]
    assert (await decide(strict, asked.json()["id"])).json()["state"] == "done"
    assert strict.assets.park().parents_of("pv1") == ["site", "stores"]
    gone = await strict.client.delete(f"{API}{path}/pv1", headers=strict.auth("maintainer"))
    assert gone.status_code == 200
    unfit = await post(strict, f"{path}/bulk", {"resource_ids": ["ev1", "bess1"]})
    assert_problem(unfit, 422, "validation")
    many = await post(strict, f"{path}/bulk", {"resource_ids": ["ev1", "pv1"]})
    assert (many.status_code, many.json()["payload"]["members"]) == (202, ["ev1", "pv1"])

"""Dispatch over the API: one effect per key, honest windows, versions, pages, audit."""

from __future__ import annotations

from datetime import timedelta

import pytest

from controllers.aggregation.instruction import InstructionState
from tests.support.api_world import World, assert_problem
from tests.support.live_states import NOW


async def test_dispatch_is_accepted_with_a_place_to_follow_it(world: World) -> None:
    response = await world.dispatch(ramp_kw_per_min=1000)
    assert response.status_code == 202
    body = response.json()
    assert body["id"].startswith("site.")
    assert response.headers["location"] == f"/api/vpp/dispatches/{body['id']}"
    assert (body["target_kw"], body["tolerance_kw"], body["version"]) == (500.0, 10.0, 1)
    assert body["end_at"] == "2026-06-01T10:10:00Z"
    report = await world.client.get(response.headers["location"], headers=world.auth("auditor"))
    assert report.headers["etag"] == '"1"'
    assert report.json()["instruction"]["issued_by"] == "operator"


async def test_repeat_with_same_key_gets_the_stored_answer(world: World) -> None:
    first = await world.dispatch()
    world.clock.advance(timedelta(minutes=5))
    again = await world.dispatch(target_kw=500)
    assert (again.status_code, again.text) == (202, first.text)
    assert again.headers["idempotency-replayed"] == "true"
    assert again.headers["location"] == first.headers["location"]
    assert "idempotency-replayed" not in first.headers
    assert world.control.n_submitted == 1


async def test_same_key_with_another_body_is_refused(world: World) -> None:
    first = await world.dispatch()
    problem = assert_problem(await world.dispatch(target_kw=501), 422, "idempotency-key-reused")
    assert problem["current"] == first.json()["id"]
    assert_problem(await world.dispatch(aggregation="stores"), 422, "idempotency-key-reused")


async def test_keys_of_two_people_do_not_meet(world: World) -> None:
    await world.dispatch(duration_s=60)
    start_at = (NOW + timedelta(hours=1)).isoformat()
    other = await world.dispatch(role="admin", start_at=start_at)
    assert other.status_code == 202
    assert world.control.n_submitted == 2


async def test_lost_answer_is_found_by_repeating_the_request(world: World) -> None:
    world.control.lose_next_answer = True
    lost = await world.dispatch(start_at=NOW.isoformat())
    assert_problem(lost, 503, "unavailable")
    assert int(lost.headers["retry-after"]) >= 1
    # By now the window's start is past; the repeat must find what stands, not judge it anew.
    world.clock.advance(timedelta(minutes=2))
    found = await world.dispatch(start_at=NOW.isoformat())
    assert found.status_code == 202
    assert found.headers["idempotency-replayed"] == "true"
    assert world.control.n_submitted == 1


async def test_repeat_drives_on_what_never_arrived(world: World) -> None:
    world.control.unavailable.add("site")
    assert_problem(await world.dispatch(), 503, "unavailable")
    world.control.unavailable.clear()
    arrived = await world.dispatch()
    assert arrived.status_code == 202
    assert list(world.control.book["site"]) == [arrived.json()["id"]]
    subjects = {e.subject for e in world.store.entries}
    assert subjects == {arrived.json()["id"]}


async def test_refusal_is_kept_under_the_key(world: World) -> None:
    await world.dispatch("k1")
    conflict = await world.dispatch("k2", target_kw=100)
    problem = assert_problem(conflict, 409, "conflict")
    assert problem["current"] == "site.d-3"
    world.control.book["site"].clear()
    again = await world.dispatch("k2", target_kw=100)
    assert (again.status_code, again.text) == (409, conflict.text)


async def test_missing_key_is_refused(world: World) -> None:
    response = await world.client.post(
        "/api/vpp/aggregations/site/dispatch",
        json={"target_kw": 1, "duration_s": 60, "reason": "x"},
        headers=world.auth(),
    )
    assert_problem(response, 400, "idempotency-key-required")


async def test_unknown_aggregate_is_not_found_and_leaves_no_record(world: World) -> None:
    assert_problem(await world.dispatch(aggregation="elsewhere"), 404, "not-found")
    assert world.store.records == {}


async def test_without_a_database_nothing_is_dispatched(world: World) -> None:
    world.store.down = True
    response = await world.dispatch()
    assert_problem(response, 503, "unavailable")
    assert "database" not in response.text
    assert world.control.n_submitted == 0


def _at(**delta: float) -> str:
    return (NOW + timedelta(**delta)).isoformat()


@pytest.mark.parametrize(
    ("changes", "field", "rule"),
    [
        ({"target_kw": "500"}, "target_kw", "valid number"),
        ({"target_kw": True}, "target_kw", "valid number"),
        ({"target_kw": 2e7}, "target_kw", "less than or equal"),
        ({"target_kw": 2001}, "target_kw", "export limit"),
        ({"ramp_kw_per_min": 0}, "ramp_kw_per_min", "greater than 0"),
        ({"ramp_kw_per_min": -5}, "ramp_kw_per_min", "greater than 0"),
        ({"reason": "   "}, "reason", "at least 1"),
        ({"reason": "x" * 501}, "reason", "at most 500"),
        ({"priority": 0}, "priority", "not a known field"),
        ({"start_at": 5}, "start_at", "ISO 8601"),
        ({"start_at": "2026-06-01T10:00:00"}, "start_at", "timezone"),
        ({"start_at": "9999-12-31T23:59:59+00:00"}, "start_at", "between the years"),
        ({"start_at": _at(seconds=-6)}, "start_at", "must not be before now"),
        ({"start_at": _at(days=8)}, "start_at", "within 7 days"),
        ({"end_at": _at(minutes=1)}, "$", "either end_at or duration_s"),
        ({"duration_s": None}, "$", "either end_at or duration_s"),
        ({"duration_s": 4.9}, "duration_s", "greater than or equal to 5"),
        ({"duration_s": 172801}, "duration_s", "less than or equal to 172800"),
        ({"duration_s": None, "end_at": _at(seconds=-1)}, "end_at", "after now"),
        ({"duration_s": None, "end_at": _at(seconds=3)}, "end_at", "at least 5 s"),
        ({"duration_s": None, "end_at": _at(hours=49)}, "end_at", "at most 48 h"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_bad_dispatch_names_field_and_limit(
    world: World, changes: dict[str, object], field: str, rule: str
) -> None:
    problem = assert_problem(await world.dispatch(**changes), 422, "validation")
    errors = problem["errors"]
    assert isinstance(errors, list)
    assert [e["field"] for e in errors] == [field]
    assert rule in errors[0]["rule"]
    assert world.control.n_submitted == 0


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
async def test_numbers_that_are_none_are_refused_by_field(world: World, number: str) -> None:
    response = await world.client.post(
        "/api/vpp/aggregations/site/dispatch",
        content=f'{{"target_kw": {number}, "duration_s": 60, "reason": "x"}}',
        headers=world.auth(**{"Idempotency-Key": "k", "content-type": "application/json"}),
    )
    problem = assert_problem(response, 422, "validation")
    assert problem["errors"][0]["field"] == "target_kw"  # type: ignore[index]


async def test_amend_needs_the_current_version(world: World) -> None:
    url = (await world.dispatch()).headers["location"]
    change = {"target_kw": 300.0}
    assert_problem(
        await world.client.patch(url, json=change, headers=world.auth()), 428, "version-required"
    )
    amended = await world.client.patch(url, json=change, headers=world.auth(**{"If-Match": '"1"'}))
    assert (amended.status_code, amended.headers["etag"]) == (200, '"2"')
    assert amended.json()["target_kw"] == 300.0
    stale = await world.client.patch(url, json=change, headers=world.auth(**{"If-Match": '"1"'}))
    assert assert_problem(stale, 412, "version-changed")["current"] == "2"
    odd = await world.client.patch(url, json=change, headers=world.auth(**{"If-Match": "*"}))
    assert_problem(odd, 422, "validation")


async def test_amend_lost_to_a_faster_operator_is_a_failed_precondition(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = (await world.dispatch()).headers["location"]
    audit = world.store.audit

    async def audit_while_another_amends(*args: object) -> None:
        monkeypatch.setattr(world.store, "audit", audit)
        other = await world.client.patch(
            url, json={"target_kw": 1}, headers=world.auth("admin", **{"If-Match": '"1"'})
        )
        assert other.status_code == 200

    monkeypatch.setattr(world.store, "audit", audit_while_another_amends)
    slower = await world.client.patch(
        url, json={"target_kw": 2}, headers=world.auth(**{"If-Match": '"1"'})
    )
    assert assert_problem(slower, 412, "version-changed")["current"] == "2"


@pytest.mark.parametrize("body", [{}, {"reason": "x"}, {"start_at": _at(hours=1)}])
async def test_amend_of_nothing_amendable_is_refused(world: World, body: dict[str, object]) -> None:
    url = (await world.dispatch()).headers["location"]
    response = await world.client.patch(url, json=body, headers=world.auth(**{"If-Match": '"1"'}))
    assert_problem(response, 422, "validation")


async def test_refused_amendment_is_audited_as_refused(world: World) -> None:
    url = (await world.dispatch()).headers["location"]
    response = await world.client.patch(
        url, json={"target_kw": 5000}, headers=world.auth(**{"If-Match": "1"})
    )
    assert_problem(response, 422, "validation")
    assert [e.action for e in world.store.entries] == [
        "dispatch.create",
        "dispatch.amend",
        "dispatch.amend.refused",
    ]


async def test_cancel_succeeds_twice_and_ended_cannot_be_amended(world: World) -> None:
    url = (await world.dispatch()).headers["location"]
    for _ in range(2):
        cancelled = await world.client.post(
            f"{url}/cancel", json={"reason": "changed plan"}, headers=world.auth()
        )
        assert cancelled.json()["state"] == InstructionState.CANCELLED
    late = await world.client.patch(
        url, json={"target_kw": 1}, headers=world.auth(**{"If-Match": '"1"'})
    )
    assert_problem(late, 409, "conflict")


async def test_cancel_heeds_a_version_if_one_is_named(world: World) -> None:
    url = (await world.dispatch()).headers["location"]
    response = await world.client.post(
        f"{url}/cancel", json={"reason": "x"}, headers=world.auth(**{"If-Match": '"7"'})
    )
    assert_problem(response, 412, "version-changed")


@pytest.mark.parametrize("id_", ["site.d-99", "elsewhere.d-1", "site", "site."])
async def test_unknown_dispatch_is_not_found(world: World, id_: str) -> None:
    response = await world.client.get(f"/api/vpp/dispatches/{id_}", headers=world.auth())
    assert_problem(response, 404, "not-found")


async def _issue_many(world: World, n: int) -> list[str]:
    ids = []
    for i in range(n):
        start_at = (NOW + timedelta(minutes=20 * (i + 1))).isoformat()
        response = await world.dispatch(f"k{i}", start_at=start_at)
        ids.append(response.json()["id"])
        world.clock.advance(timedelta(seconds=1))
    return ids[::-1]


async def test_pages_show_every_dispatch_once_newest_first(world: World) -> None:
    ids = await _issue_many(world, 5)
    seen: list[str] = []
    params: dict[str, str] = {"limit": "2"}
    for _ in range(3):
        page = await world.client.get("/api/vpp/dispatches", params=params, headers=world.auth())
        seen += [item["id"] for item in page.json()["items"]]
        params["cursor"] = page.json()["next_cursor"]
    assert seen == ids
    assert params["cursor"] is None


async def test_list_filters_by_aggregation_and_state(world: World) -> None:
    ids = await _issue_many(world, 2)
    await world.client.post(
        f"/api/vpp/dispatches/{ids[0]}/cancel", json={"reason": "x"}, headers=world.auth()
    )
    for params, expected in [
        ({"state": "cancelled"}, ids[:1]),
        ({"state": "accepted", "aggregation": "site"}, ids[1:]),
        ({"aggregation": "stores"}, []),
    ]:
        page = await world.client.get("/api/vpp/dispatches", params=params, headers=world.auth())
        assert [item["id"] for item in page.json()["items"]] == expected


async def test_list_says_whose_dispatches_are_missing(world: World) -> None:
    ids = await _issue_many(world, 1)
    world.control.unavailable.add("stores")
    page = (await world.client.get("/api/vpp/dispatches", headers=world.auth())).json()
    assert ([i["id"] for i in page["items"]], page["unavailable"]) == (ids, ["stores"])


@pytest.mark.parametrize(
    ("params", "status"),
    [
        ({"limit": "0"}, 422),
        ({"limit": "201"}, 422),
        ({"state": "sleeping"}, 422),
        ({"cursor": "%%%"}, 422),
        ({"cursor": "MjAyNi0wNi0wMVQxMDowMDowMHx4"}, 422),
        ({"aggregation": "elsewhere"}, 404),
    ],
)
async def test_bad_list_query_is_refused(world: World, params: dict[str, str], status: int) -> None:
    response = await world.client.get("/api/vpp/dispatches", params=params, headers=world.auth())
    assert_problem(response, status, "validation" if status == 422 else "not-found")

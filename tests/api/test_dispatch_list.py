"""The list of dispatches: recorded ones of any age, live ones at once, reports of the retired."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from cluster.storage.database import Group
from cluster.storage.dispatch_records import fold_dispatch
from controllers.aggregation.instruction import Instruction, InstructionState
from controllers.kernel.errors import StorageUnavailableError
from controllers.ports.actors import OutboxRecord
from controllers.ports.pages import Page
from serve_apps.web.permissions import Role
from tests.support.api_world import World, assert_problem
from tests.support.dispatches import (
    make_book,
    make_dispatch,
    make_report,
    records_of,
    report_record,
    submitted,
)
from tests.support.live_states import NOW

API = "/api/vpp"


async def record(world: World, records: list[OutboxRecord]) -> None:
    """Store records as the recorder does."""

    def fold(group: Group) -> None:
        for one in records:
            fold_dispatch(group.connection, one)

    await world.database.write(fold)


async def walk(world: World, role: str = Role.OPERATOR, **params: str) -> list[str]:
    """Return the ids of all pages."""
    ids: list[str] = []
    while True:
        response = await world.client.get(
            f"{API}/dispatches", params=params, headers=world.auth(role)
        )
        assert response.status_code == 200, response.text
        page = response.json()
        assert page["complete"]
        ids += [item["id"] for item in page["items"]]
        if page["next_cursor"] is None:
            return ids
        params["cursor"] = page["next_cursor"]


def past(n: int, aggregate_id: str = "site") -> list[Instruction]:
    """Return dispatches of the past, the newest first."""
    return [
        make_dispatch(f"{aggregate_id}.p-{i:04}", NOW - timedelta(minutes=20 * (i + 1)))
        for i in range(n)
    ]


async def test_all_that_was_ever_recorded_can_be_paged(world: World) -> None:
    given = past(1203)
    await record(world, submitted(given))
    assert await walk(world, limit="200") == [one.id for one in given]
    oldest = await walk(world, limit="200", sort="start_at")
    assert oldest == [one.id for one in reversed(given)]


async def test_a_live_dispatch_shows_at_once_and_as_it_stands(world: World) -> None:
    given = past(3)
    await record(world, submitted(given))
    fresh = (await world.dispatch()).json()["id"]
    expected = [fresh, *(one.id for one in given)]
    assert await walk(world, limit="1") == expected
    # Recorded by now, and cancelled since: the record is behind, the aggregate is not.
    await record(world, submitted([world.control.book["site"][fresh].instruction]))
    world.control.recorded.add(fresh)
    assert await walk(world, limit="1") == expected
    await world.client.post(
        f"{API}/dispatches/{fresh}/cancel", json={"reason": "x"}, headers=world.auth()
    )
    assert await walk(world, state="cancelled") == [fresh]
    assert fresh not in await walk(world, state="accepted")


async def test_filters_narrow_by_window_and_issuer(world: World) -> None:
    given = past(4)
    other = make_dispatch("stores.p-1", NOW, issued_by="anna")
    await record(world, [*submitted(given), *submitted([other])])
    assert await walk(world, issued_by="anna") == ["stores.p-1"]
    assert await walk(world, aggregation="stores") == ["stores.p-1"]
    from_at, to_at = given[2].start_at.isoformat(), given[0].start_at.isoformat()
    assert await walk(world, **{"from": from_at, "to": to_at}) == [given[1].id, given[2].id]


async def test_who_reaches_a_part_sees_its_dispatches_only(world: World) -> None:
    await record(world, [*submitted(past(2)), *submitted(past(1, "stores"))])
    assert await walk(world, role="part") == ["stores.p-0000"]
    refused = await world.client.get(
        f"{API}/dispatches", params={"aggregation": "site"}, headers=world.auth("part")
    )
    assert_problem(refused, 404, "not-found")


async def test_aggregations_that_do_not_answer_keep_what_is_recorded(world: World) -> None:
    await record(world, submitted(past(2)))
    world.control.unavailable.add("site")
    page = (await world.client.get(f"{API}/dispatches", headers=world.auth())).json()
    assert (len(page["items"]), page["unavailable"]) == (2, ["site"])


@pytest.mark.parametrize("params", [{"sort": "target_kw"}, {"sort": "x"}, {"from": "2026-06-01"}])
async def test_what_the_list_does_not_know_is_refused(world: World, params: dict[str, str]) -> None:
    response = await world.client.get(f"{API}/dispatches", params=params, headers=world.auth())
    assert_problem(response, 422, "validation")


async def test_without_a_database_live_dispatches_are_still_found(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    standing = (await world.dispatch()).json()["id"]
    world.control.recorded.add(standing)

    async def down(*_: object) -> Page[Instruction]:
        raise StorageUnavailableError("it is away")

    monkeypatch.setattr(world.app.state.deps.dispatches, "page", down)
    page = (await world.client.get(f"{API}/dispatches", headers=world.auth())).json()
    assert ([one["id"] for one in page["items"]], page["complete"]) == ([standing], False)
    ended = {"state": InstructionState.COMPLETED.value}
    page = (await world.client.get(f"{API}/dispatches", params=ended, headers=world.auth())).json()
    assert page["items"] == []
    response = await world.client.get(
        f"{API}/dispatches", params={"cursor": "e30"}, headers=world.auth()
    )
    assert_problem(response, 503, "unavailable")
    response = await world.client.get(
        f"{API}/dispatches", params={"sort": "target_kw"}, headers=world.auth()
    )
    assert_problem(response, 422, "validation")


async def retired_with_a_dispatch(world: World) -> Instruction:
    """Record a cancelled dispatch of an aggregation, and retire that."""
    headers = world.auth("admin")
    body = {"id": "old", "name": "Old", "members": ["bess1"]}
    made = await world.client.post(f"{API}/aggregations", json=body, headers=headers)
    assert made.status_code == 201, made.text
    gone = await world.client.delete(
        f"{API}/aggregations/old", headers={**headers, "If-Match": made.headers["etag"]}
    )
    assert gone.status_code == 200, gone.text
    book = make_book("old")
    book.submit(make_dispatch("old.d-1", NOW), NOW)
    ended: datetime = NOW + timedelta(minutes=1)
    cancelled = book.cancel("old.d-1", None, ended, operator="anna", reason="storm")
    await record(world, [*records_of(book, "old"), report_record(make_report(cancelled), 9)])
    return cancelled


async def test_dispatches_of_a_retired_aggregation_stay_with_their_reports(world: World) -> None:
    cancelled = await retired_with_a_dispatch(world)
    assert await walk(world) == [cancelled.id]
    assert await walk(world, aggregation="old") == [cancelled.id]
    report = await world.client.get(f"{API}/dispatches/{cancelled.id}", headers=world.auth())
    assert (report.status_code, report.headers["etag"]) == (200, '"1"')
    assert report.json()["delivered_kwh"] == 82.5
    assert report.json()["instruction"]["state"] == "cancelled"
    unknown = await world.client.get(f"{API}/dispatches/old.d-2", headers=world.auth())
    assert_problem(unknown, 404, "not-found")


async def test_a_dispatch_of_a_retired_aggregation_is_over_and_says_so(world: World) -> None:
    cancelled = await retired_with_a_dispatch(world)
    url = f"{API}/dispatches/{cancelled.id}"
    seen = world.auth(**{"If-Match": '"1"'})
    amended = await world.client.patch(url, json={"target_kw": 1}, headers=seen)
    problem = assert_problem(amended, 409, "conflict")
    assert "ended as cancelled" in str(problem["detail"])
    again = await world.client.post(f"{url}/cancel", json={"reason": "x"}, headers=world.auth())
    assert (again.status_code, again.json()["state"]) == (200, "cancelled")
    stale = world.auth(**{"If-Match": '"7"'})
    late = await world.client.post(f"{url}/cancel", json={"reason": "x"}, headers=stale)
    assert_problem(late, 412, "version-changed")
    for path in (f"{API}/dispatches/old.d-2", f"{API}/dispatches/elsewhere.d-1"):
        unknown = await world.client.patch(path, json={"target_kw": 1}, headers=seen)
        assert_problem(unknown, 404, "not-found")
        unknown = await world.client.post(
            f"{path}/cancel", json={"reason": "x"}, headers=world.auth()
        )
        assert_problem(unknown, 404, "not-found")


async def test_what_its_aggregate_forgot_has_ended(world: World) -> None:
    ended = make_dispatch(
        "site.p-1", NOW - timedelta(hours=1), state=InstructionState.COMPLETED, ended_at=NOW
    )
    await record(world, [*submitted([ended]), report_record(make_report(ended), 9)])
    url = f"{API}/dispatches/{ended.id}"
    for verb, more, headers in (
        ("PATCH", {"target_kw": 1}, {"If-Match": f'"{ended.version}"'}),
        ("POST", {"reason": "x"}, {}),
    ):
        path = url if verb == "PATCH" else f"{url}/cancel"
        answer = await world.client.request(verb, path, json=more, headers=world.auth(**headers))
        problem = assert_problem(answer, 409, "conflict")
        assert f"ended as {ended.state}" in str(problem["detail"])


async def test_a_report_its_aggregate_forgot_comes_from_the_record(world: World) -> None:
    ended = past(1)[0]
    await record(world, [*submitted([ended]), report_record(make_report(ended), 9)])
    url = f"{API}/dispatches/{ended.id}"
    for unavailable in (set(), {"site"}):
        world.control.unavailable = unavailable
        report = await world.client.get(url, headers=world.auth())
        assert report.json()["instruction"]["id"] == ended.id
    missing = await world.client.get(f"{API}/dispatches/site.d-9", headers=world.auth())
    assert_problem(missing, 503, "unavailable")


async def test_what_ended_just_before_deactivation_is_on_record(world: World) -> None:
    book = make_book("stores")
    book.submit(make_dispatch("stores.d-1", NOW), NOW)
    ended = NOW + timedelta(minutes=1)
    cancelled = book.cancel("stores.d-1", None, ended, operator="anna", reason="storm")
    await record(world, records_of(book, "stores")[:1])
    book.submit(make_dispatch("stores.d-2", NOW), NOW)
    world.control.outbox = [
        *records_of(book, "stores", first_seq=3),
        report_record(make_report(cancelled), 9),
    ]
    url = f"{API}/aggregations/stores/deactivate"
    headers = world.auth("admin", **{"Idempotency-Key": "k"})
    response = await world.client.post(url, headers=headers)
    assert response.status_code == 200, response.text
    assert await walk(world) == ["stores.d-2", "stores.d-1"]
    report = await world.client.get(f"{API}/dispatches/{cancelled.id}", headers=world.auth())
    assert report.json()["instruction"]["state"] == "cancelled"

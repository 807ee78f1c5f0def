"""The operator's story: look, dispatch, follow, amend, cancel; and what every mistake gets."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zlib import crc32

import httpx
import pytest

from tests.e2e.conftest import is_delivering, open_dispatches
from tests.support.park import Park
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400)]


def problem(answer: httpx.Response, status: int, type_: str) -> dict[str, Any]:
    """Return the problem document of a refusal of this kind."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = answer.json()
    assert document["type"] == f"urn:parkgrid:problem:{type_}"
    assert document["status"] == status
    assert document["request_id"]
    return document


def at_once(*acts: Callable[[], httpx.Response]) -> list[int]:
    """Return the status codes of acts that run at the same time, sorted."""
    codes: list[int] = []
    threads = [threading.Thread(target=lambda a=act: codes.append(a().status_code)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(codes)


def test_the_live_park_shows_every_resource_with_its_meter(park: Park) -> None:
    assert park.get("/park")["n_resources"] == 14
    for item in park.get("/resources")["items"]:
        assert item["state"]["quality"] == "good"
        assert item["age_s"] < 10.0
        assert item["control"] is not None
    assert park.aggregate("vpp-park")["n_members"] == 8
    # After a change of the park the actors that know all of it begin anew.
    wait_until(lambda: park.readiness().json()["status"] == "ready", within_s=30.0)


def test_the_command_line_shows_the_same_park(park: Park) -> None:
    live = json.loads(park.run("status", "--json").stdout)
    assert len(live["resources"]) == 14
    assert "vpp-south" in park.run("status").stdout
    token = park.run("token").stdout.strip()
    answer = httpx.get(
        f"{park.url}/api/vpp/live", headers={"Authorization": f"Bearer {token}"}, timeout=15.0
    )
    assert {state["id"] for state in answer.json()["aggregates"]} == {"vpp-park", "vpp-south"}


def test_a_dispatch_is_delivered_reported_amended_and_cancelled(park: Park) -> None:
    answer = park.dispatch("vpp-park", "story", target_kw=500.0, duration_s=600)
    assert answer.status_code == 202
    place = answer.headers["location"].removeprefix("/api/vpp")
    id_ = answer.json()["id"]
    wait_until(lambda: is_delivering(park, id_), within_s=45.0, every_s=0.5)

    def settled() -> dict[str, Any] | None:
        report = park.get(place)
        battery = next(m for m in report["members"] if m["member_id"] == "bess1")
        return report if battery["command_state"] == "verified" else None

    report = wait_until(settled, within_s=30.0, every_s=0.5)
    assert report is not None
    now = datetime.now(UTC)  # noqa: TID251 - compared with what the park's clock said
    members = {member["member_id"]: member for member in report["members"]}
    assert set(members) == {
        "vpp-south", "pv1", "pv2", "wind1", "bess1", "ev1", "bldg1", "chp1"
    }  # fmt: skip
    metered_kw = sum(member["measured_kw"] for member in members.values())
    assert metered_kw == pytest.approx(report["measured_kw"], abs=1.0)
    assert all(member["quality"] == "good" for member in members.values())
    battery = members["bess1"]
    assert battery["winner"] == "vpp-park"
    assert id_ in battery["winner_reason"]
    assert now < datetime.fromisoformat(battery["winner_until"]) < now + timedelta(seconds=15)
    assert battery["measured_kw"] == pytest.approx(battery["granted_kw"], abs=15.0)
    assert battery["delivered_kwh"] > 0.0
    assert report["delivered_kwh"] > 0.0
    # A gust may make it partial on the way; how it began and that it was delivered is what counts.
    states = [step["state"] for step in report["history"]]
    assert states[:2] == ["accepted", "active"]
    assert "delivering" in states

    version = f'"{report["instruction"]["version"]}"'
    change = {"target_kw": 300.0, "reason": "cloud front"}
    problem(park.api.patch(place, json=change), 428, "version-required")
    stale = park.api.patch(place, json=change, headers={"If-Match": '"7"'})
    assert problem(stale, 412, "version-changed")["current"] == "1"
    amended = park.api.patch(place, json=change, headers={"If-Match": version})
    assert amended.status_code == 200
    assert amended.json()["version"] == 2
    wait_until(lambda: is_delivering(park, id_), within_s=45.0, every_s=0.5)
    assert park.get(place)["measured_kw"] == pytest.approx(300.0, abs=60.0)

    cancelled = park.api.post(f"{place}/cancel", json={"reason": "test is over"})
    assert cancelled.json()["state"] == "cancelled"
    again = park.api.post(f"{place}/cancel", json={"reason": "once more"})
    assert again.json() == cancelled.json()
    wait_until(lambda: park.aggregate("vpp-park")["target_kw"] is None, within_s=10.0)
    final = park.get(place)
    assert final["instruction"]["state"] == "cancelled"
    assert final["delivered_kwh"] >= report["delivered_kwh"]
    problem(park.api.patch(place, json=change, headers={"If-Match": '"2"'}), 409, "conflict")


def test_the_same_key_dispatches_once_and_never_for_another_body(park: Park) -> None:
    first = park.dispatch("vpp-south", "once", target_kw=-100.0)
    repeated = park.dispatch("vpp-south", "once", target_kw=-100.0)
    assert repeated.status_code == 202
    assert repeated.json() == first.json()
    assert repeated.headers["idempotency-replayed"] == "true"
    other = park.dispatch("vpp-south", "once", target_kw=-101.0)
    assert problem(other, 422, "idempotency-key-reused")["current"] == first.json()["id"]
    assert [one["id"] for one in open_dispatches(park)] == [first.json()["id"]]


def test_an_overlapping_dispatch_names_the_one_that_stands(park: Park) -> None:
    first = park.dispatch("vpp-south", "stands", target_kw=-100.0)
    second = park.dispatch("vpp-south", "overlaps", target_kw=-50.0)
    refusal = problem(second, 409, "conflict")
    assert refusal["current"] == first.json()["id"]
    assert "amend" in refusal["detail"]


def test_of_two_operators_at_once_one_is_told_of_the_other(park: Park) -> None:
    # A client is not shared by threads, so that nothing puts the requests in order.
    headers = dict(park.api.headers)

    def submit(key: str) -> httpx.Response:
        return httpx.post(
            f"{park.url}/api/vpp/aggregations/vpp-south/dispatch",
            json={"target_kw": -100.0, "duration_s": 600, "reason": "two at once"},
            headers={**headers, "Idempotency-Key": key},
            timeout=15.0,
        )

    assert at_once(lambda: submit("first"), lambda: submit("second")) == [202, 409]
    (standing,) = open_dispatches(park)

    def amend(target_kw: float) -> httpx.Response:
        return httpx.patch(
            f"{park.url}/api/vpp/dispatches/{standing['id']}",
            json={"target_kw": target_kw},
            headers={**headers, "If-Match": '"1"'},
            timeout=15.0,
        )

    assert at_once(lambda: amend(-110.0), lambda: amend(-120.0)) == [200, 412]


FINE = '"reason": "r", "duration_s": 600'


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ('{"target_kw": NaN, ' + FINE + "}", "target_kw"),
        ('{"target_kw": -Infinity, ' + FINE + "}", "target_kw"),
        ('{"target_kw": "500", ' + FINE + "}", "target_kw"),
        ('{"target_kw": 9000, ' + FINE + "}", "target_kw"),
        ('{"target_kW": 500, ' + FINE + "}", "target_kW"),
        ('{"target_kw": 500, "duration_s": -600, "reason": "r"}', "duration_s"),
        ('{"target_kw": 500, "duration_s": 600}', "reason"),
        ('{"target_kw": 500, "ramp_kw_per_min": 0, ' + FINE + "}", "ramp_kw_per_min"),
        ('{"target_kw": 500, "start_at": "2026-01-01T00:00:00Z", ' + FINE + "}", "start_at"),
        ('{"target_kw": 500, "end_at": "2026-01-01T00:00:00Z", "reason": "r"}', "end_at"),
        ('{"target_kw": 500, "start_at": "2099-01-01T00:00:00", ' + FINE + "}", "start_at"),
    ],
)
def test_a_wrong_field_is_named_and_nothing_changes(park: Park, body: str, field: str) -> None:
    answer = park.api.post(
        "/aggregations/vpp-park/dispatch",
        content=body,
        headers={
            "Content-Type": "application/json",
            "Idempotency-Key": f"wrong-{crc32(body.encode())}",
        },
    )
    errors = problem(answer, 422, "validation")["errors"]
    assert field in {error["field"] for error in errors}
    assert all(error["rule"] for error in errors)
    assert open_dispatches(park) == []
    assert park.aggregate("vpp-park")["instruction_id"] is None


def test_what_is_not_json_too_large_or_unknown_is_refused_as_such(park: Park) -> None:
    url, key = "/aggregations/vpp-park/dispatch", {"Idempotency-Key": "odd"}
    json_type = {"Content-Type": "application/json"}
    huge = b'{"reason": "' + b"x" * 10_000_000 + b'"}'
    broken = park.api.post(url, content=b'{"target_kw": 5', headers={**key, **json_type})
    assert problem(broken, 422, "validation")["errors"][0]["field"] == "$"
    problem(park.api.post(url, content=huge, headers={**key, **json_type}), 413, "too-large")
    text = park.api.post(url, content=b"500", headers={**key, "Content-Type": "text/plain"})
    problem(text, 415, "unsupported-media-type")
    problem(park.dispatch("vpp-north", "unknown"), 404, "not-found")
    problem(park.dispatch("bess1", "no-aggregate"), 404, "not-found")
    problem(park.api.get("/dispatches/vpp-park.d-0"), 404, "not-found")
    override = {"target_kw": 1.0, "duration_s": 60, "reason": "r"}
    problem(park.api.put("/resources/bess9/override", json=override), 404, "not-found")
    problem(httpx.get(f"{park.url}/api/vpp/live", timeout=15.0), 401, "unauthenticated")
    assert open_dispatches(park) == []


def test_a_park_file_with_a_mistake_is_refused_before_anything_starts(tmp_path: Path) -> None:
    file = tmp_path / "park.yaml"
    file.write_text(
        "id: wrong\nname: Wrong\ntimezone: Asia/Shanghai\ncurrency: CNY\n"
        "resources:\n"
        "  - id: bess1\n    name: B\n    kind: battery\n"
        "    parameters: {capacity_kwh: -5, max_charge_kw: 600, max_discharge_kw: 600}\n"
        "aggregates:\n  - {id: vpp, name: V, members: [bess1, bess2]}\n"
        "tariff: [{from_time: '00:00', import_per_mwh: 300, export_per_mwh: 200}]\n"
    )
    done = Park(tmp_path).run("up", "--park", str(file))
    assert done.returncode == 2
    assert "capacity_kwh" in done.stderr
    assert "9" in done.stderr  # the line
    assert "bess2" in done.stderr
    assert not (tmp_path / "home").exists()

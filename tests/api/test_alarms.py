"""Alarms over the API: rules and channels by version, acts durable and audited, secrets unseen."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx
import pytest

from controllers.alarms.lifecycle import Alarm, AlarmState
from serve_apps.web.permissions import Role
from tests.api.test_stream import connect
from tests.support.alarms import make_rule
from tests.support.api_world import World, assert_problem

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
RULE: dict[str, Any] = {
    "id": "hot",
    "name": "Too hot",
    "target": {"subject_kind": "resource", "id": "bess1"},
    "signal": "power_kw",
    "condition": {"kind": "threshold", "above": 90.0, "hysteresis": 5.0},
    "severity": "high",
    "channels": ["desk"],
    "escalation": [{"after_s": 60, "channels": ["boss"], "severity": "critical"}],
}
HOOK: dict[str, Any] = {
    "id": "desk",
    "name": "Desk",
    "endpoint": {"kind": "webhook", "url": "https://hooks.example.org/a?b=c"},
    "secret": SECRET,
}
ALARMS, RULES, CHANNELS = (
    "/api/vpp/alarms",
    "/api/vpp/alarm-rules",
    "/api/vpp/alarm-channels",
)


async def post(
    world: World, path: str, body: object, role: str = Role.ADMIN, **headers: str
) -> httpx.Response:
    return await world.client.post(path, json=body, headers=world.auth(role, **headers))


async def put(world: World, path: str, body: object, version: int) -> httpx.Response:
    headers = world.auth(Role.ADMIN, **{"If-Match": f'"{version}"'})
    return await world.client.put(path, json=body, headers=headers)


async def get(world: World, path: str, role: str = Role.OPERATOR) -> httpx.Response:
    return await world.client.get(path, headers=world.auth(role))


def without_id(body: dict[str, Any], **changes: object) -> dict[str, Any]:
    return {**{k: v for k, v in body.items() if k != "id"}, **changes}


async def raised(world: World, *ids: str) -> list[Alarm]:
    """Let a rule raise alarms, and return them as they stand."""
    run = world.desk.run
    run.configure(rules=[make_rule()])
    run.set(*(ids or ("r1",)), power_kw=100.0)
    run.run()
    await world.desk.record()
    return run.alarms()


async def test_a_rule_lives_by_its_version(world: World) -> None:
    created = await post(world, RULES, RULE)
    assert (created.status_code, created.headers["etag"]) == (201, '"1"')
    assert created.headers["location"] == f"{RULES}/hot"
    assert created.json()["rule"]["condition"]["kind"] == "threshold"
    path = f"{RULES}/hot"
    body = without_id(RULE, name="Hotter")
    assert_problem(await put(world, path, body, 7), 412, "version-changed")
    changed = await put(world, path, body, 1)
    assert (changed.json()["rule"]["name"], changed.headers["etag"]) == ("Hotter", '"2"')
    missing = await world.client.put(path, json=body, headers=world.auth(Role.ADMIN))
    assert_problem(missing, 428, "version-required")
    listed = (await get(world, RULES)).json()["items"]
    assert [item["rule"]["id"] for item in listed] == ["hot"]
    headers = world.auth(Role.ADMIN, **{"If-Match": '"2"'})
    assert (await world.client.delete(path, headers=headers)).status_code == 204
    assert_problem(await get(world, path), 404, "not-found")


async def test_a_rule_is_created_once_per_key(world: World) -> None:
    body = without_id(RULE)
    first = await post(world, RULES, body, **{"Idempotency-Key": "k1"})
    second = await post(world, RULES, body, **{"Idempotency-Key": "k1"})
    assert first.json() == second.json()
    assert second.headers["idempotency-replayed"] == "true"
    assert len((await get(world, RULES)).json()["items"]) == 1


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("signal", {"signal": "nonsense"}),
        ("signal", {"signal": "coverage_frac"}),
        ("target.id", {"target": {"subject_kind": "resource", "id": "nobody"}}),
        ("target.id", {"target": {"subject_kind": "aggregate", "id": "bess1"}}),
        ("condition.threshold.above", {"condition": {"kind": "threshold", "above": "much"}}),
        ("condition.threshold.more", {"condition": {"kind": "threshold", "above": 1, "more": 1}}),
        ("condition", {"condition": {"kind": "threshold"}}),
        ("condition", {"condition": {"kind": "guess"}}),
        ("severity", {"severity": "terrible"}),
        ("target.subject_kind", {"target": {"subject_kind": "group"}}),
        ("priority", {"priority": 1.5}),
        ("delay_on_s", {"delay_on_s": -1}),
        ("renotify_s", {"renotify_s": 1}),
        ("name", {"name": "two\nlines"}),
        ("channels.0", {"channels": ["No Id"]}),
        ("surprise", {"surprise": True}),
    ],
)
async def test_a_bad_rule_is_refused_with_its_field_and_nothing_changes(
    world: World, field: str, changes: dict[str, object]
) -> None:
    problem = assert_problem(await post(world, RULES, {**RULE, **changes}), 422, "validation")
    errors = problem["errors"]
    assert isinstance(errors, list)
    assert field in [error["field"] for error in errors]
    assert (await get(world, RULES)).json()["items"] == []


async def test_a_secret_goes_in_and_never_comes_out(world: World) -> None:
    created = await post(world, CHANNELS, HOOK, **{"Idempotency-Key": "k"})
    assert created.status_code == 201
    assert created.json()["has_secret"] is True
    answers = [created.text, (await get(world, CHANNELS)).text]
    answers.append((await get(world, f"{CHANNELS}/desk")).text)
    answers.append((await get(world, "/api/vpp/audit", Role.AUDITOR)).text)
    refused = await post(world, CHANNELS, {**HOOK, "id": "Bad Id", "name": 7})
    answers.append(refused.text)
    too_long = await post(world, CHANNELS, {**HOOK, "id": "x", "secret": SECRET * 10})
    assert too_long.status_code == 422
    answers.append(too_long.text)
    assert not [text for text in answers if SECRET in text]


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/x",
        "https://169.254.169.254/latest/meta-data",
        "https://10.1.2.3/",
        "https://service.inside/",
        "https://[::1]/",
        "https://[::ffff:10.0.0.1]/",
        "http://hooks.example.org/",
        "ftp://hooks.example.org/",
        "https://user:pw@hooks.example.org/",
        "javascript:alert(1)",
    ],
)
async def test_a_webhook_that_leads_inside_or_in_the_clear_is_refused(
    world: World, url: str
) -> None:
    endpoint = {"kind": "webhook", "url": url}
    refused = await post(world, CHANNELS, {**HOOK, "endpoint": endpoint})
    assert_problem(refused, 422, "validation")
    await post(world, CHANNELS, HOOK)
    moved = await put(world, f"{CHANNELS}/desk", without_id(HOOK, endpoint=endpoint), 1)
    assert_problem(moved, 422, "validation")


async def test_a_name_without_an_address_yet_is_taken_and_judged_when_used(world: World) -> None:
    endpoint = {"kind": "webhook", "url": "https://soon.unknown/"}
    assert (await post(world, CHANNELS, {**HOOK, "endpoint": endpoint})).status_code == 201


MAIL = {"kind": "email", "host": "mail.example.org", "sender": "a@b.org", "recipients": ["c@d.org"]}


@pytest.mark.parametrize(
    ("status", "changes"),
    [
        (201, {"endpoint": MAIL, "secret": "password"}),
        (201, {"endpoint": MAIL, "secret": None}),
        (201, {"endpoint": {"kind": "mqtt"}, "secret": None}),
        (422, {"secret": None}),
        (422, {"secret": "plain"}),
        (422, {"endpoint": {"kind": "mqtt"}}),
        (422, {"endpoint": {**MAIL, "host": "relay.inside"}}),
        (422, {"endpoint": {**MAIL, "security": "none"}, "secret": None}),
        (422, {"endpoint": {**MAIL, "recipients": []}}),
        (422, {"endpoint": {**MAIL, "sender": "a@b.org\r\nBcc: x@y.org"}}),
        (422, {"endpoint": {**MAIL, "recipients": ["c@d.org, e@f.org"]}}),
        (422, {"endpoint": {**MAIL, "recipients": ["c\x1f@d.org"]}}),
        (422, {"endpoint": {**MAIL, "sender": "a@b\x1c.org"}}),
        (422, {"max_per_minute": 0}),
    ],
)
async def test_channels_of_each_kind_are_whole_or_refused(
    world: World, status: int, changes: dict[str, object]
) -> None:
    answer = await post(world, CHANNELS, {**HOOK, **changes})
    assert answer.status_code == status, answer.text


async def test_an_alarm_is_listed_acknowledged_and_its_history_told(world: World) -> None:
    (alarm,) = await raised(world)
    page = (await get(world, f"{ALARMS}?standing=true&severity=high&subject=r1")).json()
    assert [item["id"] for item in page["items"]] == [alarm.id]
    assert (await get(world, f"{ALARMS}/counts")).json()["unacknowledged"] == 1
    path = f"{ALARMS}/{alarm.id}"
    answer = await post(world, f"{path}/acknowledge", {"note": "seen"}, Role.OPERATOR)
    assert (answer.status_code, answer.json()["state"]) == (200, "acknowledged")
    again = await post(world, f"{path}/acknowledge", {"note": "seen"}, Role.OPERATOR)
    assert again.json() == answer.json()
    detail = (await get(world, path)).json()
    assert [(s["trigger"], s["by"]) for s in detail["history"]] == [
        ("raise", "system"),
        ("acknowledge", "operator"),
    ]
    entries = world.store.entries
    assert [(e.action, e.subject, e.principal) for e in entries][-1] == (
        "alarm.acknowledge",
        alarm.id,
        "operator",
    )


async def test_an_alarm_is_shelved_let_go_and_cleared(world: World) -> None:
    (alarm,) = await raised(world)
    path = f"{ALARMS}/{alarm.id}"
    body = {"duration_s": 600, "reason": "known"}
    shelved = await post(world, f"{path}/shelve", body, Role.OPERATOR, **{"Idempotency-Key": "s"})
    assert shelved.json()["state"] == "shelved"
    repeat = await post(world, f"{path}/shelve", body, Role.OPERATOR, **{"Idempotency-Key": "s"})
    assert repeat.json() == shelved.json()
    assert_problem(await post(world, f"{path}/acknowledge", {}, Role.OPERATOR), 409, "conflict")
    released = await post(world, f"{path}/unshelve", {}, Role.OPERATOR)
    assert released.json()["state"] == "unacknowledged"
    assert_problem(await post(world, f"{path}/clear", {}, Role.OPERATOR), 409, "conflict")
    world.desk.run.set("r1", power_kw=0.0)
    world.desk.run.run()
    cleared = await post(world, f"{path}/clear", {"note": "checked"}, Role.OPERATOR)
    assert cleared.json()["state"] == "normal"


@pytest.mark.parametrize(
    "body",
    [
        {"reason": "x"},
        {"duration_s": 10},
        {"duration_s": 10, "until": "2026-06-01T12:00:00Z", "reason": "x"},
        {"duration_s": 1e9, "reason": "x"},
        {"until": "2020-01-01T00:00:00Z", "reason": "x"},
        {"until": "2027-01-01T00:00:00Z", "reason": "x"},
        {"until": "tomorrow", "reason": "x"},
    ],
)
async def test_a_shelf_time_is_one_bounded_and_ahead(world: World, body: object) -> None:
    (alarm,) = await raised(world)
    answer = await post(world, f"{ALARMS}/{alarm.id}/shelve", body, Role.OPERATOR)
    assert_problem(answer, 422, "validation")
    assert world.desk.run.alarm().state is AlarmState.UNACKNOWLEDGED


async def test_several_are_acknowledged_and_each_is_told_apart(world: World) -> None:
    first, second = await raised(world, "r1", "r2")
    ids = [first.id, "alarm-unknown", second.id, first.id]
    answer = await post(world, f"{ALARMS}/acknowledge", {"ids": ids}, Role.OPERATOR)
    body = answer.json()
    assert (body["n_done"], body["n_failed"]) == (2, 1)
    assert [item["done"] for item in body["items"]] == [True, False, True]


async def test_an_unknown_alarm_is_not_found_and_a_past_one_is_told_so(world: World) -> None:
    answer = await post(world, f"{ALARMS}/alarm-x/acknowledge", {}, Role.OPERATOR)
    assert_problem(answer, 404, "not-found")
    (alarm,) = await raised(world)
    run = world.desk.run
    run.configure(rules=[])
    run.run()
    await world.desk.record()
    run.logic.book._ended.clear()
    late = await post(world, f"{ALARMS}/{alarm.id}/acknowledge", {}, Role.OPERATOR)
    assert assert_problem(late, 409, "conflict")["current"] == "out_of_service"


async def test_an_actor_that_does_not_answer_is_503_and_the_attempt_is_on_record(
    world: World,
) -> None:
    (alarm,) = await raised(world)
    world.desk.unavailable = True
    answer = await post(world, f"{ALARMS}/{alarm.id}/acknowledge", {}, Role.OPERATOR)
    assert_problem(answer, 503, "unavailable")
    actions = [entry.action for entry in world.store.entries]
    assert actions[-2:] == ["alarm.acknowledge", "alarm.acknowledge.refused"]


async def test_a_channel_is_tried_by_who_may(world: World) -> None:
    await post(world, CHANNELS, HOOK)
    tried = await post(world, f"{CHANNELS}/desk/test", None)
    assert tried.json()["outcome"] == "delivered"
    assert world.desk.tested == ["desk"]
    assert_problem(await post(world, f"{CHANNELS}/none/test", None), 404, "not-found")
    assert_problem(
        await post(world, f"{CHANNELS}/desk/test", None, Role.OPERATOR), 403, "forbidden"
    )


async def test_signals_that_can_be_watched_are_told(world: World) -> None:
    names = [s["name"] for s in (await get(world, "/api/vpp/alarm-signals")).json()["items"]]
    assert {"power_kw", "age_s", "command_wait_s", "coverage_frac"} <= set(names)


async def test_the_stream_tells_standing_alarms_and_then_changes(world: World) -> None:
    (alarm,) = await raised(world)
    world.live.put_alarm(alarm)
    async with connect(world) as socket:
        socket.authenticate(world.token())
        snapshot = await socket.hear()
        assert [a["id"] for a in snapshot["alarms"]] == [alarm.id]
        assert snapshot["alarms"][0]["message"] == "r1: power_kw is 100, above 90"
        await post(world, f"{ALARMS}/{alarm.id}/acknowledge", {}, Role.OPERATOR)
        world.live.put_alarm(world.desk.run.alarm())
        while not (delta := await socket.hear())["alarms"]:
            pass
        assert json.dumps(delta["alarms"]).count("acknowledged") >= 1


async def test_a_caller_confined_to_a_part_sees_and_acts_on_its_alarms_only(world: World) -> None:
    inside, outside = await raised(world, "bess1", "r2")
    headers = world.auth("part")

    async def listed(path: str) -> dict[str, Any]:
        body: dict[str, Any] = (await world.client.get(path, headers=headers)).json()
        return body

    assert [a["id"] for a in (await listed(ALARMS))["items"]] == [inside.id]
    assert (await listed(f"{ALARMS}/counts"))["standing"] == 1
    beyond = await world.client.get(f"{ALARMS}/{outside.id}", headers=headers)
    assert_problem(beyond, 404, "not-found")
    ids = {"ids": [inside.id, outside.id]}
    bulk = await world.client.post(f"{ALARMS}/acknowledge", json=ids, headers=headers)
    assert [item["done"] for item in bulk.json()["items"]] == [True, False]
    for alarm, status in ((inside, 200), (outside, 404)):
        path = f"{ALARMS}/{alarm.id}/acknowledge"
        answer = await world.client.post(path, json={}, headers=headers)
        assert answer.status_code == status
    rules = await world.client.get(RULES, headers=headers)
    assert_problem(rules, 403, "forbidden")

"""What any request meets: problem documents for every error, limits, ids, headers, probes."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from controllers.kernel.errors import StorageUnavailableError
from serve_apps.system.dependencies import DependencyBoard
from tests.support.api_world import World, assert_problem
from tests.support.live_states import make_aggregate_state

API = "/api/vpp"
JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("method", "path", "status", "name"),
    [
        ("GET", "/nowhere", 404, "not-found"),
        ("POST", "/api/vpp/nowhere", 404, "not-found"),
        ("GET", "/api/vpp", 404, "not-found"),
        ("DELETE", "/api/vpp/park", 405, "method-not-allowed"),
        ("GET", "/page/../api.py", 404, "not-found"),
        ("GET", "/page/%2e%2e/api.py", 404, "not-found"),
    ],
)
async def test_wrong_address_gets_a_problem(
    world: World, method: str, path: str, status: int, name: str
) -> None:
    assert_problem(await world.client.request(method, path), status, name)


async def test_method_not_allowed_names_the_allowed(world: World) -> None:
    response = await world.client.delete(f"{API}/park")
    assert response.headers["allow"] == "GET"


@pytest.mark.parametrize(
    "content",
    [b"{", b"", b"\xff\xfe", b"[" * 100_000, b'{"target_kw": ' + b"9" * 5000 + b"}"],
    ids=["cut", "empty", "not utf-8", "deep", "huge number"],
)
async def test_unreadable_body_is_the_callers_fault(world: World, content: bytes) -> None:
    response = await world.client.put(
        f"{API}/park/kill", content=content, headers=world.auth(**JSON)
    )
    assert response.status_code in (400, 422)
    assert_problem(
        response, response.status_code, "malformed" if response.status_code == 400 else "validation"
    )
    assert world.control.killed == set()


@pytest.mark.parametrize("type_", ["text/plain", "application/x-www-form-urlencoded", ""])
async def test_other_media_types_are_refused(world: World, type_: str) -> None:
    response = await world.client.put(
        f"{API}/park/kill", content=b'{"reason":"x"}', headers=world.auth(**{"content-type": type_})
    )
    assert_problem(response, 415, "unsupported-media-type")
    assert world.control.killed == set()


async def test_json_with_charset_is_accepted(world: World) -> None:
    response = await world.client.put(
        f"{API}/park/kill",
        content=b'{"reason":"x"}',
        headers=world.auth(**{"content-type": "application/json; charset=utf-8"}),
    )
    assert response.status_code == 200


async def test_announced_big_body_is_refused_unread(world: World) -> None:
    async def never_read() -> AsyncIterator[bytes]:
        raise AssertionError("read")
        yield b""

    headers = world.auth(**JSON, **{"content-length": "10000000"})
    response = await world.client.put(f"{API}/park/kill", content=never_read(), headers=headers)
    assert_problem(response, 413, "too-large")


async def test_unannounced_big_body_is_refused_when_the_limit_is_passed(world: World) -> None:
    n_read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal n_read
        for _ in range(100):
            n_read += 1
            yield b" " * 65_536

    response = await world.client.put(
        f"{API}/park/kill", content=endless(), headers=world.auth(**JSON)
    )
    assert_problem(response, 413, "too-large")
    assert n_read <= 18
    assert response.headers["connection"] == "close"


async def test_body_at_the_limit_is_read(world: World) -> None:
    content = b'{"reason":"x"}'.ljust(1_048_576)
    response = await world.client.put(
        f"{API}/park/kill", content=content, headers=world.auth(**JSON)
    )
    assert response.status_code == 200


async def test_value_in_a_problem_is_shortened(world: World) -> None:
    response = await world.client.put(
        f"{API}/park/kill", json={"reason": ["y" * 10_000]}, headers=world.auth()
    )
    problem = assert_problem(response, 422, "validation")
    assert len(problem["errors"][0]["value"]) == 80  # type: ignore[index]


async def test_unexpected_error_tells_nothing_but_its_id(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*args: object) -> None:
        raise RuntimeError("secret table name")

    monkeypatch.setattr(world.store, "audit_page", broken)
    response = await world.client.get(f"{API}/audit", headers=world.auth("auditor"))
    assert_problem(response, 500, "internal")
    assert "secret" not in response.text


async def test_request_id_of_the_caller_is_kept_if_it_is_harmless(world: World) -> None:
    kept = await world.client.get("/healthz", headers={"x-request-id": "abc-1"})
    assert kept.headers.get_list("x-request-id") == ["abc-1"]
    for odd in ("a b", "x" * 65, "<script>"):
        replaced = await world.client.get("/healthz", headers={"x-request-id": odd})
        assert replaced.headers["x-request-id"].startswith("req-")


async def test_headers_do_not_pile_up_from_answer_to_answer(world: World) -> None:
    first = await world.client.get("/healthz")
    second = await world.client.get("/healthz")
    assert len(first.headers.multi_items()) == len(second.headers.multi_items())


async def test_versioned_paths_are_the_same(world: World) -> None:
    for path in ("park", "live", "dispatches"):
        plain = await world.client.get(f"/api/vpp/{path}", headers=world.auth())
        versioned = await world.client.get(f"/api/v1/vpp/{path}", headers=world.auth())
        assert plain.text == versioned.text


async def test_page_is_served_with_a_strict_policy(world: World) -> None:
    page = await world.client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    policy = page.headers["content-security-policy"]
    assert "unsafe-inline" not in policy
    assert "default-src 'none'" in policy
    for asset in ("app.js", "style.css"):
        assert f"/page/{asset}" in page.text
        assert (await world.client.get(f"/page/{asset}")).status_code == 200
    for inline in ("<style", " style=", " onclick=", "http://", "https://"):
        assert inline not in page.text


async def test_probes_need_no_token(world: World) -> None:
    assert (await world.client.get("/healthz")).json() == {"status": "ok"}
    ready = await world.client.get("/readyz")
    assert (ready.status_code, ready.json()["status"]) == (200, "ready")


async def test_not_ready_names_what_is_degraded(world: World) -> None:
    world.live.connected = False
    world.store.down = True
    response = await world.client.get("/readyz")
    problem = assert_problem(response, 503, "not-ready")
    assert problem["detail"] == "degraded: live, store"
    assert "retry-after" in response.headers
    assert (await world.client.get("/healthz")).status_code == 200


async def test_without_a_helper_it_is_degraded_and_ready(world: World) -> None:
    async def silent() -> None:
        raise StorageUnavailableError("redis://:hunter2@h does not answer")

    async def answering() -> None:
        return

    helpers = {"read-replica": answering, "redis": silent}
    deps = dataclasses.replace(world.app.state.deps, helpers=helpers)
    world.app.state.dependencies = DependencyBoard(deps)
    response = await world.client.get("/readyz")
    assert (response.status_code, response.json()["status"]) == (200, "degraded")
    assert [c["ok"] for c in response.json()["checks"]] == [True, True, True, True, False]
    assert "hunter2" not in response.text


async def test_a_mail_server_that_fails_degrades_and_says_what_goes_on(world: World) -> None:
    world.actors.said["alarms"] = {"webhook_breakers_open": 0, "smtp_breakers_open": 1}
    response = await world.client.get("/readyz")
    assert (response.status_code, response.json()["status"]) == (200, "degraded")
    (missing,) = (check for check in response.json()["checks"] if not check["ok"])
    assert (missing["name"], missing["detail"]) == (
        "smtp",
        "channels that failed at their last attempts: 1",
    )
    assert "e-mails for the channels concerned wait" in missing["degraded_mode"]


async def test_without_the_database_it_is_degraded_and_ready_to_stop_the_park(world: World) -> None:
    world.store.down = True
    first = (await world.client.get("/readyz")).json()
    world.clock.advance(timedelta(seconds=60))
    response = await world.client.get("/readyz")
    assert (response.status_code, response.json()["status"]) == (200, "degraded")
    (missing,) = (check for check in response.json()["checks"] if not check["ok"])
    assert (missing["name"], missing["since"]) == ("store", first["checks"][1]["since"])
    assert "stopping go on" in missing["degraded_mode"]
    kill = await world.client.put(
        f"{API}/park/kill", json={"reason": "smoke"}, headers=world.auth()
    )
    assert kill.status_code == 202
    world.store.down = False
    checks = (await world.client.get("/readyz")).json()["checks"]
    assert all(check.keys() == {"name", "ok", "detail"} for check in checks)


async def test_actor_that_is_missing_degrades_and_is_named(world: World) -> None:
    world.actors.said["optimizer"] = None
    response = await world.client.get("/readyz")
    assert response.json()["status"] == "degraded"
    (missing,) = (check for check in response.json()["checks"] if not check["ok"])
    assert missing["detail"].endswith("optimizer")


async def test_not_ready_until_every_aggregate_has_spoken(world: World) -> None:
    state = world.live.aggregates.pop("stores")
    assert_problem(await world.client.get("/readyz"), 503, "not-ready")
    world.live.put(state)
    assert (await world.client.get("/readyz")).status_code == 200


async def test_resource_says_who_commands_it_why_and_how_old_it_is(world: World) -> None:
    world.clock.advance(timedelta(seconds=3))
    body = (await world.client.get(f"{API}/resources/bess1", headers=world.auth())).json()
    assert body["control"]["winner"] == "site"
    assert body["control"]["reason"] == "dispatch site.d-1"
    assert [c["outcome"] for c in body["control"]["contenders"]] == ["won", "lost"]
    assert (body["age_s"], body["aggregates"]) == (3.0, ["stores"])


async def test_resource_that_never_spoke_is_listed_all_the_same(world: World) -> None:
    items = (await world.client.get(f"{API}/resources", headers=world.auth())).json()["items"]
    assert [item["definition"]["id"] for item in items] == ["bess1", "pv1", "ev1"]
    assert (items[2]["state"], items[2]["age_s"], items[2]["control"]) == (None, None, None)
    assert items[1]["control"]["winner"] is None


async def test_aggregate_is_shown_with_its_parents(world: World) -> None:
    body = (await world.client.get(f"{API}/aggregations/stores", headers=world.auth())).json()
    assert (body["parents"], body["state"]["power_kw"]) == (["site"], 40.0)
    park = (await world.client.get(f"{API}/park", headers=world.auth())).json()
    assert (park["roots"], park["n_resources"]) == (["site"], 3)


async def test_live_follows_the_feed(world: World) -> None:
    world.live.put(make_aggregate_state("site", power_kw=77.0, seq=2))
    body = (await world.client.get(f"{API}/live", headers=world.auth())).json()
    assert {a["id"]: a["power_kw"] for a in body["aggregates"]} == {"site": 77.0, "stores": 40.0}
    assert len(body["resources"]) == 2


async def test_audit_is_chained_and_filtered(world: World) -> None:
    await world.dispatch()
    await world.client.put(f"{API}/park/kill", json={"reason": "x"}, headers=world.auth())
    everything = await world.client.get(f"{API}/audit", headers=world.auth("auditor"))
    assert [e["action"] for e in everything.json()["items"]] == ["kill.set", "dispatch.create"]
    one = await world.client.get(
        f"{API}/audit", params={"subject": "park1", "limit": 5}, headers=world.auth("auditor")
    )
    assert [e["action"] for e in one.json()["items"]] == ["kill.set"]

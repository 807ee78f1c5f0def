"""Who gets in and who may do what: every role against every route."""

from __future__ import annotations

import base64
import hmac
import json
import re
from datetime import timedelta
from typing import Any

import jwt
import pytest

from serve_apps.web.deps import ApiSettings
from serve_apps.web.permissions import PERMISSIONS, PERSONAL, Operation, Role
from serve_apps.web.scope import PLACES
from tests.support.api_world import PASSWORD, World, assert_problem

API = "/api/vpp"
REASON = {"reason": "x"}
ALARM_RULE = {
    "name": "x",
    "target": {"subject_kind": "feed"},
    "signal": "age_s",
    "condition": {"kind": "missing_data", "max_age_s": 5},
    "severity": "low",
}
OPTIMIZER = {"name": "x", "file_name": "x.py", "content_base64": "eA=="}
ALARM_CHANNEL = {"name": "x", "endpoint": {"kind": "mqtt"}}
REQUESTS: list[tuple[Operation, str, str, dict[str, Any]]] = [
    (Operation.PARK_READ, "GET", "/park", {}),
    (Operation.PARK_READ, "GET", "/aggregations", {}),
    (Operation.PARK_READ, "GET", "/aggregations/site", {}),
    (Operation.PARK_READ, "GET", "/resources", {}),
    (Operation.PARK_READ, "GET", "/resources/bess1", {}),
    (Operation.PARK_READ, "GET", "/park/map", {}),
    (Operation.PARK_READ, "GET", "/aggregations/site/conflicts", {}),
    (Operation.PARK_READ, "GET", "/aggregations/site/capacity", {}),
    (Operation.PARK_READ, "GET", "/aggregations/site/realtime", {}),
    (
        Operation.RESOURCE_WRITE,
        "POST",
        "/resources",
        {"json": {"name": "Roof", "kind": "pv", "parameters": {"rated_kw": 10.0}}},
    ),
    (
        Operation.RESOURCE_WRITE,
        "POST",
        "/resources/bulk",
        {"json": {"items": [{"name": "Roof", "template_id": "starter-pv"}]}},
    ),
    (Operation.RESOURCE_WRITE, "PUT", "/resources/pv1", {"json": {"name": "Roof"}}),
    (Operation.RESOURCE_RETIRE, "DELETE", "/resources/pv1", {}),
    (Operation.AGGREGATION_WRITE, "POST", "/aggregations", {"json": {"name": "New"}}),
    (Operation.AGGREGATION_WRITE, "PUT", "/aggregations/site", {"json": {"name": "Site"}}),
    (
        Operation.AGGREGATION_LIMITS,
        "PUT",
        "/aggregations/site/limits",
        {"json": {"max_import_kw": 500.0, "max_export_kw": None}},
    ),
    (Operation.AGGREGATION_RETIRE, "DELETE", "/aggregations/site", {}),
    (
        Operation.AGGREGATION_WRITE,
        "POST",
        "/aggregations/site/resources",
        {"json": {"resource_id": "bess1"}},
    ),
    (
        Operation.AGGREGATION_WRITE,
        "POST",
        "/aggregations/site/resources/bulk",
        {"json": {"resource_ids": ["bess1"]}},
    ),
    (Operation.AGGREGATION_WRITE, "DELETE", "/aggregations/site/resources/bess1", {}),
    (Operation.AGGREGATION_ACTIVATE, "POST", "/aggregations/site/activate", {}),
    (Operation.AGGREGATION_ACTIVATE, "POST", "/aggregations/stores/deactivate", {}),
    (Operation.AGGREGATION_CHECK, "POST", "/aggregations/site/conflicts/detect", {}),
    (Operation.LIVE_READ, "GET", "/live", {}),
    (Operation.DISPATCH_READ, "GET", "/dispatches", {}),
    (Operation.DISPATCH_READ, "GET", "/dispatches/site.d-0", {}),
    (
        Operation.DISPATCH_CREATE,
        "POST",
        "/aggregations/site/dispatch",
        {"json": {"target_kw": 1.0, "duration_s": 60, **REASON}},
    ),
    (
        Operation.DISPATCH_CREATE,
        "POST",
        "/dispatches/bulk",
        {"json": {"items": [{"aggregation_id": "x", "target_kw": 1, "duration_s": 9, **REASON}]}},
    ),
    (Operation.DISPATCH_AMEND, "PATCH", "/dispatches/site.d-0", {"json": {"target_kw": 1.0}}),
    (Operation.DISPATCH_CANCEL, "POST", "/dispatches/site.d-0/cancel", {"json": REASON}),
    (
        Operation.OVERRIDE_SET,
        "PUT",
        "/resources/bess1/override",
        {"json": {"target_kw": 1.0, "duration_s": 60, **REASON}},
    ),
    (Operation.OVERRIDE_CLEAR, "DELETE", "/resources/bess1/override", {}),
    (Operation.KILL_SET, "PUT", "/resources/bess1/kill", {"json": REASON}),
    (Operation.KILL_SET, "PUT", "/aggregations/site/kill", {"json": REASON}),
    (Operation.KILL_SET, "PUT", "/park/kill", {"json": REASON}),
    (Operation.KILL_RELEASE, "DELETE", "/resources/bess1/kill", {"params": REASON}),
    (Operation.KILL_RELEASE, "DELETE", "/aggregations/site/kill", {"params": REASON}),
    (Operation.KILL_RELEASE, "DELETE", "/park/kill", {"params": REASON}),
    (Operation.TEMPLATE_READ, "GET", "/resource-kinds", {}),
    (Operation.TEMPLATE_READ, "GET", "/resource-kinds/battery", {}),
    (Operation.TEMPLATE_READ, "GET", "/resource-templates", {}),
    (Operation.TEMPLATE_READ, "GET", "/resource-templates/starter-pv", {}),
    (Operation.TEMPLATE_READ, "GET", "/resource-templates/starter-pv/versions", {}),
    (Operation.TEMPLATE_READ, "GET", "/resource-templates/starter-pv/versions/1", {}),
    (Operation.TEMPLATE_READ, "GET", "/resource-templates/starter-pv/versions/1/form", {}),
    (
        Operation.TEMPLATE_READ,
        "GET",
        "/resource-templates/starter-pv/diff",
        {"params": {"before": 1, "after": 1}},
    ),
    (Operation.TEMPLATE_READ, "GET", "/resource-templates/starter-pv/validations", {}),
    (Operation.TEMPLATE_READ, "GET", "/resource-templates/starter-pv/usage", {}),
    (
        Operation.TEMPLATE_VALIDATE,
        "POST",
        "/resource-templates/starter-pv/validate",
        {"json": {"configuration": {"rated_kw": 100.0}}},
    ),
    (
        Operation.TEMPLATE_WRITE,
        "POST",
        "/resource-templates",
        {"json": {"kind": "pv", "name": "Roof"}},
    ),
    (Operation.TEMPLATE_WRITE, "PUT", "/resource-templates/starter-pv", {"json": {"name": "R"}}),
    (Operation.TEMPLATE_DELETE, "DELETE", "/resource-templates/starter-chp", {}),
    (Operation.HISTORY_READ, "GET", "/history/resources/bess1", {}),
    (Operation.HISTORY_READ, "GET", "/history/aggregations/site", {}),
    (Operation.ENERGY_READ, "GET", "/energy/site", {}),
    (Operation.AUDIT_READ, "GET", "/audit", {}),
    (Operation.AUDIT_READ, "GET", "/audit/export", {}),
    (Operation.ALARM_READ, "GET", "/alarms", {}),
    (Operation.ALARM_READ, "GET", "/alarms/counts", {}),
    (Operation.ALARM_READ, "GET", "/alarms/alarm-0", {}),
    (Operation.ALARM_READ, "GET", "/alarm-signals", {}),
    (Operation.ALARM_READ, "GET", "/alarm-rules", {}),
    (Operation.ALARM_READ, "GET", "/alarm-rules/rule-0", {}),
    (Operation.ALARM_ACKNOWLEDGE, "POST", "/alarms/alarm-0/acknowledge", {"json": {}}),
    (Operation.ALARM_ACKNOWLEDGE, "POST", "/alarms/acknowledge", {"json": {"ids": ["a"]}}),
    (Operation.ALARM_SHELVE, "POST", "/alarms/a/shelve", {"json": {"duration_s": 60, **REASON}}),
    (Operation.ALARM_SHELVE, "POST", "/alarms/alarm-0/unshelve", {"json": {}}),
    (Operation.ALARM_CLEAR, "POST", "/alarms/alarm-0/clear", {"json": {}}),
    (Operation.ALARM_RULE_WRITE, "POST", "/alarm-rules", {"json": ALARM_RULE}),
    (Operation.ALARM_RULE_WRITE, "PUT", "/alarm-rules/rule-0", {"json": ALARM_RULE}),
    (Operation.ALARM_RULE_WRITE, "DELETE", "/alarm-rules/rule-0", {}),
    (Operation.ALARM_CHANNEL_READ, "GET", "/alarm-channels", {}),
    (Operation.ALARM_CHANNEL_READ, "GET", "/alarm-channels/c0", {}),
    (Operation.ALARM_CHANNEL_WRITE, "POST", "/alarm-channels", {"json": ALARM_CHANNEL}),
    (Operation.ALARM_CHANNEL_WRITE, "PUT", "/alarm-channels/c0", {"json": ALARM_CHANNEL}),
    (Operation.ALARM_CHANNEL_WRITE, "DELETE", "/alarm-channels/c0", {}),
    (Operation.ALARM_CHANNEL_TEST, "POST", "/alarm-channels/c0/test", {}),
    (Operation.DEVICE_READ, "GET", "/devices", {}),
    (Operation.DEVICE_READ, "GET", "/devices/d0", {}),
    (Operation.DEVICE_READ, "GET", "/devices/d0/credentials", {}),
    (Operation.DEVICE_READ, "GET", "/devices/d0/firmware", {}),
    (Operation.DEVICE_REGISTER, "POST", "/devices", {"json": {"resource_id": "none"}}),
    (Operation.DEVICE_UPDATE, "PATCH", "/devices/d0", {"json": {"maker": "x"}}),
    (Operation.DEVICE_RETIRE, "POST", "/devices/d0/retire", {"json": REASON}),
    (Operation.DEVICE_CREDENTIALS, "POST", "/devices/d0/credentials", {"json": REASON}),
    (Operation.DEVICE_CREDENTIALS, "POST", "/devices/d0/credentials/c0/revoke", {"json": REASON}),
    (Operation.METRICS_READ, "GET", "/metrics", {}),
    (Operation.SELF, "GET", "/auth/self", {}),
    (Operation.SELF, "POST", "/auth/logout", {}),
    (Operation.SELF, "GET", "/sessions", {}),
    (Operation.SELF, "DELETE", "/sessions", {}),
    (Operation.SELF, "DELETE", "/sessions/session-0", {}),
    (Operation.SELF, "GET", "/keys", {}),
    (Operation.SELF, "DELETE", "/keys/key-0", {}),
    (Operation.KEY_MAKE, "POST", "/keys", {"json": {"name": "x", "roles": ["auditor"]}}),
    (Operation.APPROVAL_READ, "GET", "/approvals", {}),
    (Operation.APPROVAL_READ, "GET", "/approvals/approval-0", {}),
    (Operation.APPROVAL_DECIDE, "POST", "/approvals/approval-0/approve", {"json": {}}),
    (Operation.APPROVAL_DECIDE, "POST", "/approvals/approval-0/reject", {"json": REASON}),
    (Operation.USER_READ, "GET", "/users", {}),
    (Operation.USER_READ, "GET", "/users/operator", {}),
    (Operation.USER_READ, "GET", "/users/operator/sessions", {}),
    (Operation.USER_READ, "GET", "/users/operator/keys", {}),
    (Operation.USER_CHANGE, "POST", "/users", {"json": {"username": "x", "roles": ["trader"]}}),
    (Operation.USER_CHANGE, "PATCH", "/users/nobody", {"json": {"disabled": True}}),
    (Operation.USER_CHANGE, "POST", "/users/nobody/password-reset", {}),
    (Operation.USER_CHANGE, "DELETE", "/users/nobody/sessions", {}),
    (Operation.USER_CHANGE, "DELETE", "/users/nobody/keys/key-0", {}),
    (Operation.DEVICE_READ, "GET", "/devices/d0/configuration", {}),
    (Operation.DEVICE_READ, "GET", "/devices/d0/configurations", {}),
    (
        Operation.DEVICE_CONFIGURE,
        "PUT",
        "/devices/d0/configuration",
        {"json": {"settings": {}, "note": "x"}},
    ),
    (
        Operation.DEVICE_CONFIGURE,
        "POST",
        "/devices/d0/configuration/rollback",
        {"json": {"version": 1, "note": "x"}},
    ),
    (Operation.DEVICE_READ, "GET", "/devices/d0/commands", {}),
    (Operation.DEVICE_READ, "GET", "/devices/d0/commands/c0", {}),
    (
        Operation.DEVICE_COMMAND,
        "POST",
        "/devices/d0/commands",
        {"json": {"kind": "identify", **REASON}},
    ),
    (Operation.DEVICE_READ, "GET", "/devices/d0/connectivity", {}),
    (Operation.DEVICE_READ, "GET", "/devices/d0/work-log", {}),
    (Operation.WORK_LOG_WRITE, "POST", "/devices/d0/work-log", {"json": {"text": "x"}}),
    (Operation.DEVICE_READ, "GET", "/maintenance-windows", {}),
    (Operation.DEVICE_READ, "GET", "/maintenance-windows/w0", {}),
    (
        Operation.MAINTENANCE_PLAN,
        "POST",
        "/devices/d0/maintenance",
        {"json": {"end_at": "2026-06-01T12:00:00Z", **REASON}},
    ),
    (Operation.MAINTENANCE_PLAN, "PATCH", "/maintenance-windows/w0", {"json": REASON}),
    (Operation.MAINTENANCE_END, "POST", "/maintenance-windows/w0/end", {"json": REASON}),
    (Operation.OPTIMIZER_READ, "GET", "/optimizers", {}),
    (Operation.OPTIMIZER_READ, "GET", "/optimizers/o0", {}),
    (Operation.OPTIMIZER_READ, "GET", "/optimizers/o0/scores", {}),
    (Operation.OPTIMIZER_READ, "GET", "/optimizers/o0/summary", {}),
    (Operation.OPTIMIZER_DEPLOY, "POST", "/optimizers", {"json": OPTIMIZER}),
    (Operation.OPTIMIZER_DEPLOY, "POST", "/optimizers/o0/shadow", {"json": REASON}),
    (Operation.OPTIMIZER_PROMOTE, "POST", "/optimizers/o0/promote", {"json": REASON}),
    (Operation.OPTIMIZER_ROLL_BACK, "POST", "/optimizers/o0/rollback", {"json": REASON}),
    (Operation.OPTIMIZER_DEPLOY, "DELETE", "/optimizers/o0", {}),
]


def url(path: str) -> str:
    """Return where a path of the table is; metrics are where every scraper looks for them."""
    return path if path == "/metrics" else f"{API}{path}"


@pytest.mark.parametrize("role", list(Role))
async def test_every_role_may_do_exactly_its_operations(world: World, role: Role) -> None:
    for operation, method, path, arguments in REQUESTS:
        response = await world.client.request(
            method, url(path), headers=world.auth(role), **arguments
        )
        permitted = role in PERMISSIONS[operation]
        assert (response.status_code == 403) == (not permitted), (operation, path)
        if not permitted:
            assert_problem(response, 403, "forbidden")


@pytest.mark.parametrize("role", list(Role))
async def test_a_key_may_do_what_its_role_may_but_for_what_is_for_people(
    world: World, role: Role
) -> None:
    body = {"name": "bridge", "roles": [role]}
    made = await world.client.post(f"{API}/keys", json=body, headers=world.auth(role))
    headers = {"Authorization": f"Bearer {made.json()['api_key']}"}
    for operation, method, path, arguments in REQUESTS:
        response = await world.client.request(method, url(path), headers=headers, **arguments)
        permitted = role in PERMISSIONS[operation] and operation not in PERSONAL
        assert (response.status_code == 403) == (not permitted), (operation, path)
        assert response.status_code != 401, (operation, path)


async def test_who_reaches_a_part_may_do_nothing_that_concerns_the_whole(world: World) -> None:
    body = {"name": "part", "roles": list(Role), "scope": ["stores"]}
    made = await world.client.post(f"{API}/keys", json=body, headers=world.auth("everything"))
    headers = {"Authorization": f"Bearer {made.json()['api_key']}"}
    document = (await world.client.get("/openapi.json")).json()
    n_closed = 0
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if not operation["security"] or Operation(operation["x-operation"]) in PERSONAL:
                continue
            names = set(re.findall(r"{(\w+)}", path))
            filled = re.sub(r"{\w+}", "nowhere", path)
            response = await world.client.request(method.upper(), filled, headers=headers)
            if names & set(PLACES):
                # Nothing of that name, or beyond reach: both look the same.
                assert response.status_code == 404, (method, path)
            elif not operation["x-in-scope"]:
                assert_problem(response, 403, "forbidden")
                n_closed += 1
    assert n_closed > 10


async def test_requests_above_cover_every_guarded_route(world: World) -> None:
    document = (await world.client.get("/openapi.json")).json()
    declared = {
        (operation["x-operation"], method.upper(), path.count("/"))
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if operation["security"]
    }
    asked = {(op.value, method, url(path).count("/")) for op, method, path, _ in REQUESTS}
    assert asked == declared
    assert {op for op, *_ in REQUESTS} | {Operation.LIVE_STREAM} == set(Operation)


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Basic b3A6cHc=", "Bearer a.b.c", "Bearer " + "x" * 5000]
)
async def test_request_without_a_good_token_is_refused_before_its_body_is_read(
    world: World, header: str
) -> None:
    response = await world.client.put(
        f"{API}/park/kill",
        content="{not json",
        headers={"Authorization": header, "content-type": "application/json"},
    )
    assert_problem(response, 401, "unauthenticated")
    assert response.headers["www-authenticate"] == "Bearer"


def _forge(world: World, secret: str = "s" * 32, algorithm: str = "HS256", **changes: Any) -> str:
    claims: dict[str, Any] = {
        "iss": "parkgrid",
        "aud": "access",
        "sub": "operator",
        "roles": ["admin"],
        "exp": int((world.clock.now() + timedelta(minutes=5)).timestamp()),
    }
    claims.update(changes)
    return jwt.encode({k: v for k, v in claims.items() if v is not None}, secret, algorithm)


def _confused(world: World) -> str:
    # Says that it is signed with a public key, and is signed with that key as a shared secret.
    header, payload = ({"alg": "RS256", "typ": "JWT"}, {"aud": "access", "iss": "parkgrid"})
    payload |= {"sub": "admin", "exp": int(world.clock.now().timestamp()) + 300}
    parts = [
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=")
        for part in (header, payload)
    ]
    signature = hmac.digest(b"s" * 32, b".".join(parts), "sha256")
    return b".".join([*parts, base64.urlsafe_b64encode(signature).rstrip(b"=")]).decode()


async def test_forged_tokens_are_refused_and_a_true_one_is_not(world: World) -> None:
    forged = [
        _forge(world, secret="t" * 32),
        _forge(world, secret="", algorithm="none"),
        _forge(world, aud="refresh"),
        _forge(world, iss="elsewhere"),
        _forge(world, exp=None),
        _forge(world, exp=1),
        _forge(world, sub="nobody"),
        _forge(world, sub="gone"),
        _forge(world, algorithm="HS384", secret="s" * 48),
        _confused(world),
    ]
    for token in forged:
        response = await world.client.get(
            f"{API}/park", headers={"Authorization": f"Bearer {token}"}
        )
        assert response.status_code == 401, token
    true = {"Authorization": f"Bearer {_forge(world)}"}
    assert (await world.client.get(f"{API}/park", headers=true)).status_code == 200


async def test_token_ends(world: World) -> None:
    headers = world.auth()
    assert (await world.client.get(f"{API}/park", headers=headers)).status_code == 200
    world.clock.advance(timedelta(minutes=15))
    ended = await world.client.get(f"{API}/park", headers=headers)
    assert_problem(ended, 401, "unauthenticated")


async def _log_in(world: World, username: str, password: str = PASSWORD) -> Any:
    return await world.client.post(
        f"{API}/auth/login", json={"username": username, "password": password}
    )


async def test_log_in_and_refresh_give_working_tokens(world: World) -> None:
    session = (await _log_in(world, "operator")).json()
    assert (session["username"], session["roles"]) == ("operator", ["operator"])
    headers = {"Authorization": f"Bearer {session['access_token']}"}
    assert (await world.client.get(f"{API}/park", headers=headers)).status_code == 200
    assert (await world.audited("session.login"))[0].principal == "operator"

    world.clock.advance(timedelta(minutes=20))
    renewed = await world.client.post(
        f"{API}/auth/refresh", json={"refresh_token": session["refresh_token"]}
    )
    headers = {"Authorization": f"Bearer {renewed.json()['access_token']}"}
    assert (await world.client.get(f"{API}/park", headers=headers)).status_code == 200


async def test_refresh_ends_with_the_shift(world: World) -> None:
    session = (await _log_in(world, "operator")).json()
    body = {"refresh_token": session["refresh_token"]}
    wrong = {"refresh_token": session["access_token"]}
    refused = await world.client.post(f"{API}/auth/refresh", json=wrong)
    assert_problem(refused, 401, "unauthenticated")
    world.clock.advance(timedelta(hours=12))
    assert_problem(
        await world.client.post(f"{API}/auth/refresh", json=body), 401, "unauthenticated"
    )


async def test_refresh_token_opens_nothing_else(world: World) -> None:
    session = (await _log_in(world, "admin")).json()
    headers = {"Authorization": f"Bearer {session['refresh_token']}"}
    assert (await world.client.get(f"{API}/park", headers=headers)).status_code == 401


async def test_wrong_password_unknown_name_and_closed_account_look_alike(world: World) -> None:
    answers = [
        await _log_in(world, "operator", "wrong"),
        await _log_in(world, "nobody", "wrong"),
        await _log_in(world, "gone"),
    ]
    documents = [assert_problem(answer, 401, "unauthenticated") for answer in answers]
    for document in documents:
        document.pop("request_id")
    assert documents[0] == documents[1] == documents[2]


async def test_failures_in_a_row_lock_known_and_unknown_names_alike(world: World) -> None:
    for name in ("operator", "nobody"):
        for _ in range(6):
            assert (await _log_in(world, name, "wrong")).status_code == 401
            world.clock.advance(timedelta(milliseconds=1100))
        for _ in range(2):
            await _log_in(world, name, "wrong")
        locked = await _log_in(world, name)
        assert_problem(locked, 429, "locked-out")
        world.clock.advance(timedelta(seconds=int(locked.headers["retry-after"]) + 1))
    assert (await _log_in(world, "operator")).status_code == 200


async def test_answer_to_a_bad_log_in_never_repeats_the_password(world: World) -> None:
    for body in (
        {"username": "op", "password": "hunter2", "extra": "hunter2"},
        {"password": "hunter2"},
        {"username": 5, "password": ["hunter2"]},
    ):
        response = await world.client.post(f"{API}/auth/login", json=body)
        assert_problem(response, 422, "validation")
        assert "hunter2" not in response.text


def test_short_secret_is_refused() -> None:
    with pytest.raises(Exception, match="at least 32 bytes"):
        ApiSettings(jwt_secret="short")  # noqa: S106

"""Accounts: made, changed and closed by administrators, who can lock out everybody but the last."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.api_world import PASSWORD, World, assert_problem

API = "/api/vpp"
NEW_PASSWORD = "seven quiet turbines"  # noqa: S105  # of accounts of tests only


async def add(world: World, username: str = "anna", key: str | None = None, **body: Any) -> Any:
    headers = world.auth("admin") | ({"Idempotency-Key": key} if key else {})
    body = {"username": username, "roles": ["operator"]} | body
    return await world.client.post(f"{API}/users", json=body, headers=headers)


async def patch(world: World, username: str, version: int, role: str = "admin", **body: Any) -> Any:
    headers = world.auth(role, **{"If-Match": f'"{version}"'})
    return await world.client.patch(f"{API}/users/{username}", json=body, headers=headers)


async def log_in(world: World, username: str, password: str = PASSWORD) -> Any:
    body = {"username": username, "password": password}
    return await world.client.post(f"{API}/auth/login", json=body)


async def change_password(world: World, username: str, password: str, new: str) -> Any:
    body = {"username": username, "password": password, "new_password": new}
    return await world.client.post(f"{API}/auth/password", json=body)


async def status_of(world: World, session: dict[str, Any], path: str = "/park") -> int:
    headers = {"Authorization": f"Bearer {session['access_token']}"}
    return (await world.client.get(f"{API}{path}", headers=headers)).status_code


# --- first password


async def test_a_one_time_password_opens_nothing_but_its_own_change(world: World) -> None:
    made = await add(world)
    assert made.status_code == 201
    assert made.headers["etag"] == '"1"'
    password = made.json()["one_time_password"]
    assert_problem(await log_in(world, "anna", password), 403, "password-change-required")
    changed = await change_password(world, "anna", password, NEW_PASSWORD)
    assert await status_of(world, changed.json()) == 200
    assert (await log_in(world, "anna", NEW_PASSWORD)).status_code == 200
    assert_problem(await log_in(world, "anna", password), 401, "unauthenticated")


async def test_a_repeated_request_makes_one_account_and_does_not_tell_its_password_again(
    world: World,
) -> None:
    first, second = await add(world, key="k"), await add(world, key="k")
    assert first.json()["one_time_password"]
    assert second.json() == first.json() | {"one_time_password": None}
    assert second.headers["idempotency-replayed"] == "true"
    assert_problem(await add(world), 409, "conflict")
    for entry in await world.audited("user.add"):
        assert first.json()["one_time_password"] not in str(entry)


@pytest.mark.parametrize(
    ("new", "rule"),
    [
        ("short", "12 to 256"),
        ("anna loves wind", "name"),
        ("aaaaaaaaaaaaaaa", "different"),
        ("Password2026!!", "attackers"),
        ("operatoroperator", "attackers"),
        ("x" * 257, ""),
    ],
)
async def test_a_poor_password_is_refused_and_not_repeated(
    world: World, new: str, rule: str
) -> None:
    password = (await add(world)).json()["one_time_password"]
    refused = await change_password(world, "anna", password, new)
    document = assert_problem(refused, 422, "validation")
    assert rule in str(document["detail"])
    assert new not in refused.text
    assert (await change_password(world, "anna", password, NEW_PASSWORD)).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        {"username": "Anna"},
        {"username": "an na"},
        {"username": "cli"},
        {"username": "x" * 65},
        {"username": "anna\n"},
        {"username": "../x"},
        {"roles": []},
        {"roles": ["boss"]},
        {"roles": ["operator"] * 8},
        {"scope": []},
        {"scope": ["nowhere"]},
        {"password": "x"},
    ],
    ids=str,
)
async def test_a_wrong_account_names_the_field(world: World, body: dict[str, Any]) -> None:
    document = assert_problem(await add(world, **body), 422, "validation")
    errors: Any = document["errors"]
    assert {e["field"].split(".")[0] for e in errors} == set(body)


# --- changes


async def test_changed_roles_hold_for_tokens_already_out(world: World) -> None:
    session = (await log_in(world, "trader")).json()
    assert await status_of(world, session, "/audit") == 403
    assert (await patch(world, "trader", 1, roles=["auditor"])).json()["version"] == 2
    assert await status_of(world, session, "/audit") == 200


async def test_a_closed_account_is_out_at_once_and_comes_back_only_by_log_in(world: World) -> None:
    session = (await log_in(world, "trader")).json()
    assert (await patch(world, "trader", 1, disabled=True)).status_code == 200
    assert await status_of(world, session) == 401
    assert (await log_in(world, "trader")).status_code == 401
    assert (await patch(world, "trader", 2, disabled=False)).status_code == 200
    assert await status_of(world, session) == 401
    body = {"refresh_token": session["refresh_token"]}
    assert (await world.client.post(f"{API}/auth/refresh", json=body)).status_code == 401
    assert (await log_in(world, "trader")).status_code == 200


async def test_a_change_demands_the_version_that_stands(world: World) -> None:
    headers = world.auth("admin")
    url = f"{API}/users/trader"
    missing = await world.client.patch(url, json={"disabled": True}, headers=headers)
    assert_problem(missing, 428, "version-required")
    assert_problem(await patch(world, "trader", 7, disabled=True), 412, "version-changed")
    assert_problem(await patch(world, "nobody", 1, disabled=True), 404, "not-found")
    for body in ({}, {"roles": None}, {"disabled": None}):
        refused = await world.client.patch(url, json=body, headers=headers | {"If-Match": '"1"'})
        assert_problem(refused, 422, "validation")
    told = await world.client.get(url, headers=headers)
    assert (told.headers["etag"], told.json()["disabled"]) == ('"1"', False)


async def test_nobody_changes_their_own_account(world: World) -> None:
    for body in ({"roles": ["admin", "operator"]}, {"disabled": True}, {"scope": ["site"]}):
        assert_problem(await patch(world, "admin", 1, **body), 409, "conflict")


async def test_the_last_administrator_stays_one(world: World) -> None:
    await add(world, "anna", roles=["admin"])
    # Two: one may close the other, but then nobody the one.
    assert (await patch(world, "admin", 1, role="anna", disabled=True)).status_code == 200
    for role in ("anna", "admin"):
        assert (await patch(world, "anna", 1, role=role, disabled=True)).status_code in (401, 409)
    told = await world.client.get(f"{API}/users/anna", headers=world.auth("anna"))
    assert not told.json()["disabled"]


async def test_an_administrator_of_a_part_cannot_reach_accounts(world: World) -> None:
    await add(world, "anna", roles=["admin"], scope=["stores"])
    for path in ("/users", "/users/operator", "/audit"):
        answer = await world.client.get(f"{API}{path}", headers=world.auth("anna"))
        assert_problem(answer, 403, "forbidden")


async def test_a_reset_password_ends_sessions_and_must_be_changed(world: World) -> None:
    session = (await log_in(world, "trader")).json()
    reset = await world.client.post(
        f"{API}/users/trader/password-reset", headers=world.auth("admin")
    )
    assert await status_of(world, session) == 401
    assert (await log_in(world, "trader")).status_code == 401
    password = reset.json()["one_time_password"]
    assert_problem(await log_in(world, "trader", password), 403, "password-change-required")
    assert (await change_password(world, "trader", password, NEW_PASSWORD)).status_code == 200


async def test_accounts_are_listed_in_pages_without_their_hashes(world: World) -> None:
    seen: list[str] = []
    cursor: str | None = None
    while True:
        parameters = {"limit": "4"} | ({"cursor": cursor} if cursor else {})
        page = await world.client.get(
            f"{API}/users", params=parameters, headers=world.auth("auditor")
        )
        assert "argon2" not in page.text
        seen += [item["username"] for item in page.json()["items"]]
        cursor = page.json()["next_cursor"]
        if cursor is None:
            break
    assert seen == sorted(seen)
    assert {"admin", "operator", "gone", "part"} <= set(seen)
    closed = await world.client.get(
        f"{API}/users", params={"disabled": "true"}, headers=world.auth("auditor")
    )
    assert [item["username"] for item in closed.json()["items"]] == ["gone"]


async def test_the_answer_of_self_says_what_the_caller_may(world: World) -> None:
    told = (await world.client.get(f"{API}/auth/self", headers=world.auth("part"))).json()
    assert (told["username"], told["aggregates"]) == ("part", ["stores"])
    assert "dispatch.create" in told["operations"]
    assert "user.change" not in told["operations"]

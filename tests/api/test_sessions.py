"""Sessions: refresh tokens work once, a stolen one ends the session, and log-out is at once."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from sqlalchemy import select

from cluster.storage.tables.accounts import API_KEYS, REFRESH_TOKENS
from tests.support.api_world import PASSWORD, World, assert_problem

API = "/api/vpp"


async def log_in(world: World, username: str = "operator") -> dict[str, Any]:
    body = {"username": username, "password": PASSWORD}
    session: dict[str, Any] = (await world.client.post(f"{API}/auth/login", json=body)).json()
    return session


async def refresh(world: World, token: str) -> Any:
    return await world.client.post(f"{API}/auth/refresh", json={"refresh_token": token})


def auth(session: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {session['access_token']}"}


async def get(world: World, path: str, session: dict[str, Any]) -> Any:
    return await world.client.get(f"{API}{path}", headers=auth(session))


# --- refresh


async def test_refresh_tokens_follow_one_another(world: World) -> None:
    session = await log_in(world)
    for _ in range(3):
        world.clock.advance(timedelta(minutes=14))
        renewed = (await refresh(world, session["refresh_token"])).json()
        assert renewed["refresh_token"] != session["refresh_token"]
        assert renewed["refresh_expires_at"] == session["refresh_expires_at"]
        session = renewed
    assert (await get(world, "/park", session)).status_code == 200


async def test_no_access_token_outlives_the_shift(world: World) -> None:
    session = await log_in(world)
    world.clock.advance(timedelta(hours=11, minutes=59))
    renewed = (await refresh(world, session["refresh_token"])).json()
    assert renewed["expires_at"] == session["refresh_expires_at"]
    world.clock.advance(timedelta(minutes=1))
    assert (await get(world, "/park", renewed)).status_code == 401


async def test_a_refresh_token_used_twice_ends_the_session_for_everybody(world: World) -> None:
    stolen = await log_in(world)
    other = await log_in(world)
    honest = (await refresh(world, stolen["refresh_token"])).json()
    assert_problem(await refresh(world, stolen["refresh_token"]), 401, "unauthenticated")
    assert_problem(await refresh(world, honest["refresh_token"]), 401, "unauthenticated")
    for session in (stolen, honest):
        assert_problem(await get(world, "/park", session), 401, "unauthenticated")
    assert (await get(world, "/park", other)).status_code == 200
    assert len(await world.audited("session.reuse")) == 1


async def test_of_two_refreshes_in_one_moment_at_most_one_succeeds(world: World) -> None:
    session = await log_in(world)
    answers = await asyncio.gather(*(refresh(world, session["refresh_token"]) for _ in range(4)))
    assert sorted(a.status_code for a in answers) == [200, 401, 401, 401]


async def test_an_invented_refresh_token_harms_nobody(world: World) -> None:
    session = await log_in(world)
    for token in ("pgr_x", session["refresh_token"] + "x", "é" * 40, "x" * 4096):
        assert_problem(await refresh(world, token), 401, "unauthenticated")
    assert (await refresh(world, session["refresh_token"])).status_code == 200


async def test_tokens_and_keys_are_stored_as_hashes_only(world: World) -> None:
    session = await log_in(world)
    body = {"name": "bridge", "roles": ["operator"]}
    made = await world.client.post(f"{API}/keys", json=body, headers=auth(session))
    rows = await world.database.read(
        lambda c: [*c.execute(select(REFRESH_TOKENS)).all(), *c.execute(select(API_KEYS)).all()]
    )
    assert len(rows) == 2
    assert session["refresh_token"] not in str(rows)
    assert made.json()["api_key"].rsplit("_", 1)[1] not in str(rows)


# --- log out


async def test_log_out_ends_this_session_at_once_and_no_other(world: World) -> None:
    here, there = await log_in(world), await log_in(world)
    ended = await world.client.post(f"{API}/auth/logout", headers=auth(here))
    assert ended.json() == {"n_ended": 1}
    assert_problem(await get(world, "/park", here), 401, "unauthenticated")
    assert (await refresh(world, here["refresh_token"])).status_code == 401
    assert (await get(world, "/park", there)).status_code == 200


async def test_ones_own_sessions_can_be_seen_and_ended(world: World) -> None:
    first, second = await log_in(world), await log_in(world)
    await log_in(world, "trader")
    items = (await get(world, "/sessions", second)).json()["items"]
    assert len(items) == 2
    assert {item["username"] for item in items} == {"operator"}
    assert "hash" not in str(items)
    oldest = items[-1]["id"]
    url = f"{API}/sessions/{oldest}"
    assert (await world.client.delete(url, headers=auth(second))).json() == {"n_ended": 1}
    assert (await world.client.delete(url, headers=auth(second))).json() == {"n_ended": 0}
    assert (await get(world, "/park", first)).status_code == 401
    foreign = await world.client.delete(url, headers=world.auth("trader"))
    assert_problem(foreign, 404, "not-found")
    everything = await world.client.delete(f"{API}/sessions", headers=auth(second))
    assert everything.json() == {"n_ended": 1}
    assert (await get(world, "/park", second)).status_code == 401


async def test_an_administrator_ends_the_sessions_of_others(world: World) -> None:
    session = await log_in(world)
    url = f"{API}/users/operator/sessions"
    listed = await world.client.get(url, headers=world.auth("auditor"))
    assert len(listed.json()["items"]) == 1
    assert (await world.client.delete(url, headers=world.auth("admin"))).json() == {"n_ended": 1}
    assert (await get(world, "/park", session)).status_code == 401
    entry = (await world.audited("session.end"))[0]
    assert (entry.principal, entry.subject) == ("admin", "operator")


async def test_the_oldest_of_too_many_sessions_makes_room(world: World) -> None:
    first = await log_in(world)
    world.clock.advance(timedelta(seconds=1))
    for _ in range(20):
        last = await log_in(world)
    assert (await refresh(world, first["refresh_token"])).status_code == 401
    assert (await refresh(world, last["refresh_token"])).status_code == 200


# --- keys


async def make_key(world: World, role: str = "operator", **body: Any) -> Any:
    body = {"name": "bridge", "roles": [role], "lifetime_days": 30} | body
    return await world.client.post(f"{API}/keys", json=body, headers=world.auth(role))


def with_key(made: Any) -> dict[str, str]:
    return {"Authorization": f"Bearer {made.json()['api_key']}"}


async def test_a_key_acts_as_its_owner_under_its_own_name(world: World) -> None:
    made = await make_key(world)
    assert made.status_code == 201
    headers = with_key(made) | {"Idempotency-Key": "k"}
    body = {"target_kw": 500.0, "duration_s": 600, "reason": "peak"}
    done = await world.client.post(f"{API}/aggregations/site/dispatch", json=body, headers=headers)
    assert done.json()["issued_by"] == f"operator/{made.json()['key']['id']}"


async def test_a_key_may_no_more_than_its_maker_and_loses_what_its_owner_loses(
    world: World,
) -> None:
    refused = await make_key(world, "trader", roles=["trader", "operator"])
    assert_problem(refused, 422, "validation")
    made = await make_key(world, "auditor")
    url = f"{API}/audit"
    assert (await world.client.get(url, headers=with_key(made))).status_code == 200
    change = world.auth("admin", **{"If-Match": '"1"'})
    await world.client.patch(f"{API}/users/auditor", json={"roles": ["trader"]}, headers=change)
    assert (await world.client.get(url, headers=with_key(made))).status_code == 403
    change["If-Match"] = '"2"'
    await world.client.patch(f"{API}/users/auditor", json={"disabled": True}, headers=change)
    assert (await world.client.get(url, headers=with_key(made))).status_code == 401


async def test_a_key_can_be_listed_revoked_and_ends(world: World) -> None:
    first, second = await make_key(world), await make_key(world, name="other", lifetime_days=1)
    listed = await world.client.get(f"{API}/keys", headers=world.auth())
    assert {item["name"] for item in listed.json()["items"]} == {"bridge", "other"}
    assert first.json()["api_key"] not in listed.text
    assert "hash" not in listed.text
    url = f"{API}/keys/{first.json()['key']['id']}"
    assert (await world.client.delete(url, headers=world.auth("trader"))).status_code == 404
    for _ in range(2):
        assert (await world.client.delete(url, headers=world.auth())).status_code == 200
    park = f"{API}/park"
    assert (await world.client.get(park, headers=with_key(first))).status_code == 401
    assert (await world.client.get(park, headers=with_key(second))).status_code == 200
    world.clock.advance(timedelta(days=1))
    assert (await world.client.get(park, headers=with_key(second))).status_code == 401


async def test_a_key_cannot_make_keys_or_accounts(world: World) -> None:
    headers = with_key(await make_key(world, "admin"))
    for path, body in (
        ("/keys", {"name": "more", "roles": ["admin"]}),
        ("/users", {"username": "anna", "roles": ["admin"]}),
    ):
        refused = await world.client.post(f"{API}{path}", json=body, headers=headers)
        assert_problem(refused, 403, "forbidden")


async def test_a_wrong_secret_of_a_right_key_is_refused(world: World) -> None:
    api_key = (await make_key(world)).json()["api_key"]
    for wrong in (api_key + "x", api_key[:-1], api_key.rsplit("_", 1)[0], "pgk_", "pgk__"):
        headers = {"Authorization": f"Bearer {wrong}"}
        assert_problem(
            await world.client.get(f"{API}/park", headers=headers), 401, "unauthenticated"
        )


async def test_a_repeated_request_makes_one_key_and_does_not_tell_it_again(world: World) -> None:
    headers = world.auth(**{"Idempotency-Key": "k"})
    body = {"name": "bridge", "roles": ["operator"]}
    answers = [await world.client.post(f"{API}/keys", json=body, headers=headers) for _ in range(2)]
    assert [a.json()["api_key"] is None for a in answers] == [False, True]
    assert_problem(await make_key(world), 409, "conflict")


async def test_the_last_use_of_a_key_is_noted(world: World) -> None:
    made = await make_key(world)
    assert made.json()["key"]["last_used_at"] is None
    await world.client.get(f"{API}/park", headers=with_key(made))
    await world.app.state.accounts.note_use()
    listed = (await world.client.get(f"{API}/keys", headers=world.auth())).json()
    assert listed["items"][0]["last_used_at"] is not None

"""Nobody may ask without end: not a principal, not a stranger, not for one name."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from serve_apps.web.deps import ApiSettings
from tests.support.api_world import PASSWORD, World, assert_problem, open_world

API = "/api/vpp"


@pytest.fixture
async def tight(settings: ApiSettings) -> AsyncIterator[World]:
    """Yield a world that grants five requests a minute."""
    limits = replace(settings, requests_per_min=5, strangers_per_min=5, logins_per_min=3)
    async with open_world(limits) as opened:
        yield opened


async def test_a_principal_sees_the_quota_shrink_and_is_then_refused(tight: World) -> None:
    url = f"{API}/park"
    left = []
    for _ in range(5):
        answer = await tight.client.get(url, headers=tight.auth("trader"))
        assert answer.status_code == 200
        assert answer.headers["ratelimit-limit"] == "5"
        assert 0 < int(answer.headers["ratelimit-reset"]) <= 60
        left.append(int(answer.headers["ratelimit-remaining"]))
    assert left == [4, 3, 2, 1, 0]
    refused = await tight.client.get(url, headers=tight.auth("trader"))
    assert_problem(refused, 429, "too-many-requests")
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert (await tight.client.get(url, headers=tight.auth("operator"))).status_code == 200


async def test_an_api_key_has_a_quota_of_its_own(tight: World) -> None:
    body = {"name": "x", "roles": ["trader"]}
    made = await tight.client.post(f"{API}/keys", json=body, headers=tight.auth("trader"))
    headers = {"Authorization": f"Bearer {made.json()['api_key']}"}
    codes = [(await tight.client.get(f"{API}/park", headers=headers)).status_code for _ in range(6)]
    assert codes == [200] * 5 + [429]
    assert (await tight.client.get(f"{API}/park", headers=tight.auth("trader"))).status_code == 200


async def test_a_stranger_is_refused_after_some_attempts_and_nobody_else(tight: World) -> None:
    headers = {"Authorization": "Bearer x"}
    codes = [(await tight.client.get(f"{API}/park", headers=headers)).status_code for _ in range(6)]
    assert codes == [401] * 5 + [429]
    body = {"refresh_token": "x"}
    assert (await tight.client.post(f"{API}/auth/refresh", json=body)).status_code == 429
    assert (await tight.client.get("/healthz")).status_code == 200
    assert (await tight.client.get(f"{API}/park", headers=tight.auth())).status_code == 200


async def test_strangers_behind_the_ingress_have_a_limit_each_whatever_they_say(
    settings: ApiSettings,
) -> None:
    limits = replace(settings, strangers_per_min=5, ingress_peer_header="x-peer-secret")
    async with open_world(limits) as world:

        async def code(peer: str, said: str) -> int:
            headers = {"x-peer-secret": peer, "X-Forwarded-For": said, "X-Real-IP": said}
            return (await world.client.get(f"{API}/park", headers=headers)).status_code

        assert [await code("192.0.2.7", f"198.51.100.{n}") for n in range(6)] == [401] * 5 + [429]
        assert await code("192.0.2.8", "192.0.2.7") == 401


async def test_attempts_at_one_name_are_limited_right_or_wrong(tight: World) -> None:
    body = {"username": "operator", "password": PASSWORD}
    codes = [
        (await tight.client.post(f"{API}/auth/login", json=body)).status_code for _ in range(4)
    ]
    assert codes == [200, 200, 200, 429]
    other = {"username": "trader", "password": PASSWORD}
    assert (await tight.client.post(f"{API}/auth/login", json=other)).status_code == 200


async def test_a_page_and_the_document_cost_no_quota(tight: World) -> None:
    for _ in range(8):
        answer = await tight.client.get("/openapi.json")
        assert answer.status_code == 200
        assert "ratelimit-limit" not in answer.headers


# --- pages from elsewhere

ELSEWHERE = {"Origin": "https://scada.example", "Access-Control-Request-Method": "PUT"}


async def test_no_page_from_elsewhere_is_let_in_by_default(world: World) -> None:
    for method in ("OPTIONS", "GET"):
        answer = await world.client.request(method, f"{API}/park", headers=ELSEWHERE)
        assert "access-control-allow-origin" not in answer.headers


async def test_a_page_on_the_list_is_let_in_and_no_other(settings: ApiSettings) -> None:
    listed = replace(settings, cors_origins=("https://scada.example",))
    async with open_world(listed) as world:
        allowed = await world.client.options(f"{API}/park/kill", headers=ELSEWHERE)
        assert allowed.headers["access-control-allow-origin"] == "https://scada.example"
        other = ELSEWHERE | {"Origin": "https://scada.example.evil"}
        refused = await world.client.options(f"{API}/park/kill", headers=other)
        assert "access-control-allow-origin" not in refused.headers

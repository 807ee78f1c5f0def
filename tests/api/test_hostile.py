"""Requests made to hurt: each is refused as the caller's fault, and nothing is changed."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator

import pytest

from serve_apps.web.deps import ApiSettings
from tests.support.api_world import World, assert_problem, open_world
from tests.support.served import Served, served

API = "/api/vpp"
JSON = {"content-type": "application/json"}
KILL = f"{API}/park/kill"


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b'{"reason": "x", "reason": "y"}', 422),
        (b'{"a": {"b": 1, "b": 2}, "reason": "x"}', 422),
        (b'{"reason":' * 50_000, 400),
        (b'{"reason": "\\ud800"}', 422),
        (b'{"reason": "\xc0\xaf"}', 400),
        (b'{"reason": "a\\u0000b"}', 422),
        (b'{"reason": 1e999999}', 422),
        (b'{"reason": NaN}', 422),
        (b'{"reason": "x", "__proto__": {"admin": true}}', 422),
        (b'["reason"]', 422),
        (b'"reason"', 422),
        (b"null", 422),
    ],
    ids=[
        "doubled key",
        "doubled key inside",
        "deep",
        "lone surrogate",
        "overlong utf-8",
        "nul",
        "infinite",
        "nan",
        "prototype",
        "list",
        "text",
        "null",
    ],
)
async def test_hostile_json_is_refused(world: World, content: bytes, status: int) -> None:
    response = await world.client.put(KILL, content=content, headers=world.auth(**JSON))
    assert response.status_code == status, response.text
    assert world.control.killed == set()
    assert world.store.entries == []


@pytest.mark.parametrize(
    "id_",
    [
        "..%2f..%2fetc%2fpasswd",
        "%00",
        "bess1%00",
        "' OR '1'='1",
        "bess1;drop table users",
        "%E2%80%AEbess1",
        "x" * 5000,
        "resource:bess1",
        "+",
        "#",
    ],
)
async def test_hostile_id_finds_nothing(world: World, id_: str) -> None:
    path = f"{API}/resources/{id_.replace('#', '%23').replace(' ', '%20')}"
    response = await world.client.get(path, headers=world.auth())
    assert_problem(response, 404, "not-found")


async def test_misspelt_filter_does_not_show_everything(world: World) -> None:
    response = await world.client.get(
        f"{API}/dispatches", params={"agregation": "site"}, headers=world.auth()
    )
    problem = assert_problem(response, 422, "validation")
    assert "known are aggregation" in str(problem["detail"])


async def test_doubled_filter_is_refused(world: World) -> None:
    url = f"{API}/dispatches?aggregation=site&aggregation=stores"
    assert_problem(await world.client.get(url, headers=world.auth()), 422, "validation")


async def test_nul_in_a_filter_is_refused(world: World) -> None:
    url = f"{API}/dispatches?aggregation=%00"
    assert_problem(await world.client.get(url, headers=world.auth()), 422, "validation")


async def test_method_not_allowed_names_the_methods_of_every_route(world: World) -> None:
    response = await world.client.request("TRACE", KILL, headers=world.auth())
    assert_problem(response, 405, "method-not-allowed")
    assert response.headers["allow"] == "DELETE, PUT"


async def test_body_that_stalls_is_cut_off() -> None:
    async def stalling() -> AsyncIterator[bytes]:
        yield b'{"reason":'
        await asyncio.Event().wait()

    settings = ApiSettings(jwt_secret="s" * 32, body_within_s=0.05)
    async with open_world(settings) as world:
        response = await world.client.put(KILL, content=stalling(), headers=world.auth(**JSON))
        assert_problem(response, 408, "too-slow")
        assert response.headers["connection"] == "close"
        assert world.control.killed == set()


async def test_body_that_drips_gets_no_more_time() -> None:
    async def dripping() -> AsyncIterator[bytes]:
        while True:
            yield b" "
            await asyncio.sleep(0.02)

    settings = ApiSettings(jwt_secret="s" * 32, body_within_s=0.1)
    async with open_world(settings) as world:
        response = await world.client.put(KILL, content=dripping(), headers=world.auth(**JSON))
        assert_problem(response, 408, "too-slow")


@pytest.fixture(scope="module")
def api() -> Iterator[Served]:
    with served(ApiSettings(jwt_secret="s" * 32)) as served_api:
        yield served_api


def _raw(api: Served, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", api.port), timeout=10.0) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while part := connection.recv(65_536):
            answer += part
    return answer


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Request-ID: a\r\n Set-Cookie: b=c\r\n\r\n",
        b"GET /healthz\r\nSet-Cookie:b=c HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /healthz%0d%0aSet-Cookie:%20b=c HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Request-ID: a%0d%0aSet-Cookie: b=c\r\n"
        b"Connection: close\r\n\r\n",
    ],
    ids=["folded header", "broken line", "encoded path", "encoded value"],
)
def test_no_header_can_be_smuggled_into_the_answer(api: Served, request_: bytes) -> None:
    head = _raw(api, request_).split(b"\r\n\r\n")[0].lower()
    assert head
    assert b"\r\nset-cookie" not in head


def test_two_lengths_are_not_believed(api: Served) -> None:
    answer = _raw(
        api,
        b"PUT /api/vpp/park/kill HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
        b"Transfer-Encoding: chunked\r\nContent-Type: application/json\r\n\r\n"
        b"0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    )
    assert b" 200 OK" not in answer

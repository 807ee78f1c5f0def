"""Strangers through the real ingress: each has a limit of their own, and none a false address."""

from __future__ import annotations

import httpx
import pytest

from tests.support.park import Park

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400)]

PER_MIN = 300


def stranger(park: Park, address: str) -> httpx.Client:
    """Return a client that calls from an address of this machine and claims to come from others."""
    headers = {"X-Forwarded-For": "198.51.100.9", "Forwarded": "for=198.51.100.9"}
    transport = httpx.HTTPTransport(local_address=address)
    return httpx.Client(base_url=f"{park.url}/api/vpp", headers=headers, transport=transport)


def test_one_stranger_uses_up_a_limit_of_their_own(park: Park) -> None:
    with stranger(park, "127.0.0.2") as busy, stranger(park, "127.0.0.3") as other:
        # Twice as many, since a new minute may begin meanwhile.
        assert any(busy.get("/live").status_code == 429 for _ in range(2 * PER_MIN))
        assert other.get("/live").status_code == 401
        login = {"username": "operator", "password": park.password}
        other.post("/auth/login", json=login).raise_for_status()
    sessions = park.get("/sessions")["items"]
    assert sessions[0]["address"] == "127.0.0.3"
    assert "198.51.100.9" not in {session["address"] for session in sessions}

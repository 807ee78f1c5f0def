"""Ports for listeners that open later."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from cluster import ports
from controllers.kernel.errors import ConfigError


def test_a_free_port_is_none_that_the_system_hands_out_meanwhile() -> None:
    handed_out = Path("/proc/sys/net/ipv4/ip_local_port_range")
    lowest = int(handed_out.read_text().split()[0]) if handed_out.exists() else 32_768
    for _ in range(20):
        assert ports.LOWEST <= ports.free_port() < lowest


def test_a_taken_port_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        monkeypatch.setattr(ports, "LOWEST", taken)
        monkeypatch.setattr(ports, "HIGHEST", taken)
        with pytest.raises(ConfigError, match="no free port"):
            ports.free_port()
    assert ports.free_port() == taken

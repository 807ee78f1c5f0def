"""Unit tests touch neither a cluster nor a network."""

from __future__ import annotations

import socket
import sys

import pytest


@pytest.fixture(autouse=True)
def refuse_the_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make joining a cluster or opening a connection fail the test."""

    def refuse(*args: object, **kwargs: object) -> None:
        raise RuntimeError("a unit test must not reach outside its process")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)
    if "ray" in sys.modules:  # importing it takes longer than most unit tests together
        monkeypatch.setattr("ray.init", refuse)

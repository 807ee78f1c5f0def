"""Shared fixtures: real brokers and one real Ray cluster for the whole session."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.broker import Broker, mosquitto_path

_NO_MOSQUITTO = "Mosquitto is not installed; `make test` installs it where it may"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip, by name, what needs a Mosquitto that is not there."""
    if mosquitto_path() is not None:
        return
    for item in items:
        if item.get_closest_marker("broker") is not None and "amqtt" not in item.name:
            item.add_marker(pytest.mark.skip(reason=_NO_MOSQUITTO))


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Broker]:
    """A running Mosquitto."""
    broker = Broker("mosquitto", tmp_path)
    broker.start()
    yield broker
    broker.kill()


@pytest.fixture(params=["mosquitto", "amqtt"])
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Broker]:
    """A running broker, once of each kind: both must show the same behaviour."""
    started = Broker(request.param, tmp_path)
    started.start()
    yield started
    started.kill()


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[str]:
    """The address of a local Ray cluster that lives as long as the session."""
    from actors import runtime  # noqa: PLC0415 - only tests that ask pay for importing Ray

    # Ray's socket paths are limited, so its directory must have a short name.
    with tempfile.TemporaryDirectory(prefix="pg", dir="/tmp", ignore_cleanup_errors=True) as path:
        yield runtime.start(n_cpus=2, temp_dir=path)
        for name in runtime.list_names():
            runtime.kill(name)
        runtime.disconnect()

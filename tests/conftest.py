"""Shared fixtures: real brokers, real databases and one real Ray cluster for the whole session."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from tests.support.broker import Broker, mosquitto_path
from tests.support.databases import KINDS, ServerDatabases, migrated_sqlite
from tests.support.servers import Mariadb, Postgresql, Redis, Server

ServerT = TypeVar("ServerT", bound=Server)

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


@contextmanager
def running(server_type: type[ServerT]) -> Iterator[ServerT]:
    """Yield a running server of a kind; skips, by name, where it is not installed."""
    missing = server_type.missing()
    if missing is not None:
        pytest.skip(f"{missing} is not installed; `make test` installs it where it may")
    server = server_type()
    try:
        server.prepare()
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="session")
def postgresql_databases() -> Iterator[ServerDatabases]:
    """Databases on a PostgreSQL that lives as long as the session."""
    with running(Postgresql) as server:
        yield ServerDatabases(server)


@pytest.fixture(scope="session")
def mariadb_databases() -> Iterator[ServerDatabases]:
    """Databases on a MariaDB that lives as long as the session."""
    with running(Mariadb) as server:
        yield ServerDatabases(server)


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Redis]:
    """A Redis that lives as long as the session."""
    with running(Redis) as server:
        yield server


@pytest.fixture(params=KINDS)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a migrated database without data, once of each kind: all must behave alike."""
    if request.param == "sqlite":
        return migrated_sqlite(tmp_path / "parkgrid.sqlite")
    databases: ServerDatabases = request.getfixturevalue(f"{request.param}_databases")
    return databases.migrated()


@pytest.fixture(params=KINDS)
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database without tables, once of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'empty.sqlite'}"
    databases: ServerDatabases = request.getfixturevalue(f"{request.param}_databases")
    return databases.empty()


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

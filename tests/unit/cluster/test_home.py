"""The data directory: private, locked by one process, found by others."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from cluster.home import Home, RunningPark
from controllers.kernel.errors import ConfigError

RUNNING = RunningPark(pid=1, url="http://127.0.0.1:8000", broker_host="127.0.0.1", broker_port=1883)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "deep" / "park")


def test_the_directory_is_for_its_owner_only(home: Home) -> None:
    assert stat.S_IMODE(home.path.stat().st_mode) == 0o700


def test_the_secret_is_private_and_drawn_once(home: Home) -> None:
    path = home.jwt_secret_file
    secret = path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(secret) >= 32
    assert home.jwt_secret_file.read_text() == secret


def test_two_homes_draw_different_secrets(home: Home, tmp_path: Path) -> None:
    other = Home(tmp_path / "other")
    assert home.jwt_secret_file.read_text() != other.jwt_secret_file.read_text()


def test_a_second_park_on_the_same_directory_is_refused(home: Home) -> None:
    with (
        home.locked(),
        pytest.raises(ConfigError, match=f"in use by process {os.getpid()}; stop it"),
        Home(home.path).locked(),
    ):
        pytest.fail("locked twice")
    with home.locked():
        pass


def test_a_running_park_is_found_while_it_runs(home: Home) -> None:
    assert home.running() is None
    with home.locked(), home.announced(RUNNING):
        assert home.running() == RUNNING
    assert home.running() is None


def test_what_a_killed_park_left_behind_is_not_believed(home: Home) -> None:
    with home.announced(RUNNING):
        assert home.running() is None


def test_a_directory_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="name another with --home"):
        Home(tmp_path / "file")

"""What start-up decides before anything is started."""

from __future__ import annotations

import os
import socket
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from cluster.bootstrap import DEMO_PARK, bring_up, check_port, prepare_database
from cluster.cli_park import park_text, print_park
from cluster.home import Home
from cluster.park_file import load_park
from cluster.settings import load_settings
from cluster.storage.engine import open_engine, writing
from cluster.storage.park_rows import bump
from controllers.kernel.errors import ConfigError

DEMO = load_park(DEMO_PARK)


@pytest.fixture
def said() -> list[str]:
    return []


def test_the_demo_park_has_what_it_promises() -> None:
    kinds = [resource.kind for resource in DEMO.resources]
    assert {kind: kinds.count(kind) for kind in kinds} == {
        "pv": 4,
        "wind": 1,
        "battery": 3,
        "ev_station": 2,
        "flexible_load": 2,
        "chp": 1,
        "fleet": 1,
    }
    assert len(DEMO.aggregates) == 2
    assert len(DEMO.roots()) == 1


def test_the_first_start_takes_the_demo_park_and_shows_a_password_once(
    tmp_path: Path, said: list[str]
) -> None:
    url = f"sqlite:///{tmp_path / 'p.sqlite'}"
    assert prepare_database(url, None, said.append) == DEMO
    assert "Log in as operator with password" in "\n".join(said)
    said.clear()
    assert prepare_database(url, None, said.append) == DEMO
    assert said == [f"Park {DEMO.id} ({DEMO.name}): as before"]


def test_a_park_file_replaces_the_park_and_stays(tmp_path: Path, said: list[str]) -> None:
    url = f"sqlite:///{tmp_path / 'p.sqlite'}"
    prepare_database(url, None, said.append)
    mine = msgspec.structs.replace(DEMO, id="mine")
    assert prepare_database(url, mine, said.append) == mine
    assert said[-1].endswith("new version 2")
    assert prepare_database(url, None, said.append) == mine


def test_a_taken_port_is_refused_with_the_remedy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"port {port}: .*choose another with --port"):
            check_port("127.0.0.1", port)
    check_port("127.0.0.1", port)


def test_a_wrong_park_file_is_refused_before_anything_is_touched(
    tmp_path: Path, said: list[str]
) -> None:
    park_file = tmp_path / "park.yaml"
    park_file.write_text(DEMO_PARK.read_text().replace("kind: wind", "kind: windmill"))
    settings = load_settings(home=tmp_path / "home")
    with (
        pytest.raises(ConfigError, match=r"kind = 'windmill': must be one of"),
        ExitStack() as stack,
    ):
        bring_up(settings, park_file, said.append, stack)
    assert not (tmp_path / "home").exists()
    assert said == []


def test_a_home_in_use_is_refused_before_anything_is_started(
    tmp_path: Path, said: list[str]
) -> None:
    settings = load_settings(home=tmp_path)
    in_use = pytest.raises(ConfigError, match=f"in use by process {os.getpid()}")
    with Home(tmp_path).locked(), ExitStack() as stack, in_use:
        bring_up(settings, None, said.append, stack)
    assert said == []


def test_the_printed_park_is_a_park_file_of_the_same_park(tmp_path: Path) -> None:
    printed = tmp_path / "printed.yaml"
    printed.write_text(park_text(DEMO))
    assert load_park(printed) == DEMO


def test_a_park_that_never_was_is_told_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="`parkgrid up` starts one"):
        print_park(load_settings(home=tmp_path))


def test_a_file_that_would_undo_edits_is_refused_with_the_remedy(
    tmp_path: Path, said: list[str]
) -> None:
    url = f"sqlite:///{tmp_path / 'p.sqlite'}"
    prepare_database(url, DEMO, said.append)
    with writing(open_engine(url)) as connection:
        bump(connection, DEMO.id, datetime(2026, 1, 1, tzinfo=UTC))
    changed = msgspec.structs.replace(DEMO, name="Mine")
    with pytest.raises(ConfigError, match="--replace-park"):
        prepare_database(url, changed, said.append)
    assert prepare_database(url, DEMO, said.append) == DEMO
    assert prepare_database(url, changed, said.append, replace=True) == changed

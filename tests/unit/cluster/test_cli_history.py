"""`parkgrid history` exports from the data directory, without a running park."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cluster.cli import app
from cluster.home import Home
from cluster.storage.engine import migrate, open_engine
from cluster.storage.history.opening import open_history_writer
from cluster.storage.registry import open_registry
from controllers.kernel.timebase import SystemClock
from controllers.ports.history import HistorySettings
from tests.support.history import make_row
from tests.support.live_states import make_park


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A data directory with a park and ten samples of a battery, a minute ago."""
    made = Home(tmp_path / "home")
    engine = open_engine(made.database_url)
    migrate(engine)
    engine.dispose()
    registry = open_registry(made.database_url)
    registry.save(make_park())
    registry.close()
    begin = SystemClock().now().replace(microsecond=0) - timedelta(seconds=60)
    writer = open_history_writer(str(made.history), HistorySettings())
    writer.append([make_row(begin + timedelta(seconds=n), 12.5) for n in range(10)])
    writer.rotate()
    return made.path


def run(home: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["history", *arguments, "--home", str(home)])


def test_history_is_printed_as_csv(home: Path) -> None:
    done = run(home, "bess1", "--resolution", "1h", "--signals", "n_samples,power_kw_max")
    assert done.exit_code == 0, done.output
    header, *lines = done.stdout.splitlines()
    assert header == '"start_at_utc","n_samples","power_kw_max","coverage_frac"'
    assert sum(float(line.split(",")[1]) for line in lines) == 10.0
    assert "12.5" in done.stdout


def test_history_is_written_to_a_file(home: Path, tmp_path: Path) -> None:
    out = tmp_path / "site.json"
    done = run(home, "site", "--format", "json", "--resolution", "1d", "--out", str(out))
    assert done.exit_code == 0, done.output
    assert json.loads(out.read_text())["id"] == "site"


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["nobody"], 1, "no resource or aggregation has the id 'nobody'"),
        (["bess1", "--resolution", "2d"], 2, "from 1s to 1d"),
        (["bess1", "--from", "yesterday"], 2, "--from: must be ISO 8601 with a time zone"),
        (["bess1", "--from", "2026-01-01T00:00:00"], 2, "--from: must carry a time zone"),
        (["bess1", "--signals", "x"], 2, "signals: must be of"),
        (["bess1", "--out", "/nowhere/file"], 2, "No such file"),
    ],
)
def test_what_cannot_be_exported_is_told(
    home: Path, arguments: list[str], code: int, says: str
) -> None:
    done = run(home, *arguments)
    assert done.exit_code == code
    assert says in done.stderr

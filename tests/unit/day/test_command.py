"""The command's options: several files after one option, refusals, and where results go."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from cluster.cli import app
from cluster.cli_day import spread
from tests.support.day_files import EXPENSIVE_EVENING, write_building, write_prices


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["--load", "a", "b", "--json"], ["--load", "a", "--load", "b", "--json"]),
        (["--load", "a", "--load", "b"], ["--load", "a", "--load", "b"]),
        (["--pv", "a", "b", "--load", "c"], ["--pv", "a", "--pv", "b", "--load", "c"]),
        (["--load=a", "--price", "p"], ["--load=a", "--price", "p"]),
        ([], []),
    ],
)
def test_files_after_one_option_each_get_it(given: list[str], expected: list[str]) -> None:
    assert spread(given) == expected


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--step", "7"], "--step 7: must be 1 to 60 s and divide a quarter hour"),
        (["--price", "nowhere.xml"], "--price nowhere.xml: No such file"),
        (["--load", "nowhere.csv"], "--load nowhere.csv: No such file"),
        (["--out", "taken"], "--out taken: "),
    ],
)
def test_a_wrong_argument_is_told_in_a_line_and_exit_code_2(
    arguments: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").write_text("a file")
    done = CliRunner().invoke(app, ["day", *arguments])
    assert done.exit_code == 2
    assert says in done.stderr


def test_a_date_that_is_none_is_refused(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["day", "--date", "30.9.2025"])
    assert done.exit_code == 2


def test_a_file_without_the_day_is_refused_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    building = write_building(tmp_path)
    price = write_prices(tmp_path, EXPENSIVE_EVENING)
    dated = "time,price_eur_per_mwh\n2025-09-29T00:00Z,1\n2025-09-29T01:00Z,1\n"
    price.write_text(dated)
    arguments = ["--load", str(building), "--price", str(price), "--date", "2025-09-30"]
    done = CliRunner().invoke(app, ["day", *arguments])
    assert done.exit_code == 2
    assert "no import price at 2025-09-30 00:00 UTC; give another --date" in done.stderr
    assert not (tmp_path / "out").exists()

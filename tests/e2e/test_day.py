"""A whole day from the command line: on public data, and interrupted.

The data is not part of the repository. ``TEST_DATA_DIR`` names its folder; by default it is
``shared/data`` beside the repository. Without it these tests skip, except the one that needs none.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.support.day_files import EXPENSIVE_EVENING, write_building, write_prices
from tests.support.real_data import CITYLEARN, ENTSOE, needs

REPOSITORY = Path(__file__).parents[2]
BUILDINGS = [CITYLEARN / f"Building_{n}.csv" for n in (1, 2, 3)]

needs_data = needs("CityLearn and ENTSO-E", *BUILDINGS, ENTSOE / "FR_prices.xml")


@dataclass(frozen=True, slots=True)
class Case:
    """Prices and one of their days."""

    price: Path
    day: str


CASES = [
    Case(ENTSOE / "FR_prices.xml", "2023-05-07"),
    Case(ENTSOE / "ES_day_ahead_price.xml", "2025-10-02"),
]


def command(*arguments: str | Path) -> list[str]:
    program = "from cluster.cli import app; app()"
    return [sys.executable, "-c", program, "day", *map(str, arguments)]


@pytest.fixture(scope="module", params=CASES, ids=lambda case: f"{case.price.stem}-{case.day}")
def report(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The report of a day, printed as JSON; every number a decimal."""
    case: Case = request.param
    out = tmp_path_factory.mktemp("day")
    carbon = CITYLEARN / "carbon_intensity.csv"
    arguments = ["--price", case.price, "--carbon", carbon, "--date", case.day, "--out", out]
    done = subprocess.run(
        command("--load", *BUILDINGS, *arguments, "--json"),
        capture_output=True,
        timeout=200,
        check=False,
        cwd=REPOSITORY,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert (out / "report.json").read_bytes().strip() == done.stdout.strip()
    assert (out / "chart.png").read_bytes().startswith(b"\x89PNG")
    return json.loads(done.stdout, parse_float=Decimal)


@needs_data
@pytest.mark.timeout(400)
def test_the_plan_is_feasible_and_control_beats_none(report: Any) -> None:
    assert report["complete"]
    assert report["plan"]["first_status"] == "optimal"
    assert report["plan"]["n_degraded"] == 0
    assert report["plan"]["n_plans"] == 96
    assert Decimal(report["difference"]["cost"]["amount"]) < 0
    assert Decimal(report["difference"]["cost_less_stored"]["amount"]) < 0


@needs_data
@pytest.mark.timeout(400)
@pytest.mark.parametrize("which", ["controlled", "uncontrolled"])
def test_the_meters_sums_equal_the_report_s(report: Any, which: str) -> None:
    cost = net = Decimal(0)
    for interval in report["intervals"]:
        metered = interval[which]
        parts = sum(metered["resources_net_kwh"].values())
        assert parts == metered["exported_kwh"] - metered["imported_kwh"]
        net += parts
        bought = metered["imported_kwh"] * Decimal(interval["import_price_per_mwh"])
        cost += bought - metered["exported_kwh"] * Decimal(interval["export_price_per_mwh"])
    assert len(report["intervals"]) == 96
    assert net == sum(report[which]["resources_net_kwh"].values())
    assert round(cost / 1000, 2) == Decimal(report[which]["cost"]["amount"])


@pytest.mark.timeout(120)
def test_an_interrupted_day_ends_cleanly_with_what_was_done(tmp_path: Path) -> None:
    arguments: list[str | Path] = ["--load", write_building(tmp_path), "--price"]
    arguments += [write_prices(tmp_path, EXPENSIVE_EVENING), "--date", "2025-09-30"]
    arguments += ["--out", tmp_path / "out", "--step", "5"]
    with subprocess.Popen(
        command(*arguments), stderr=subprocess.PIPE, stdout=subprocess.PIPE, cwd=REPOSITORY
    ) as day:
        assert day.stderr is not None
        for line in day.stderr:
            if b"03:00" in line:
                break
        day.send_signal(signal.SIGINT)
        printed, said = day.communicate(timeout=60)
    assert day.returncode == 130, said.decode()
    assert b"INCOMPLETE" in printed
    report = json.loads((tmp_path / "out" / "report.json").read_bytes())
    assert not report["complete"]
    assert 12 <= len(report["intervals"]) < 96
    assert (tmp_path / "out" / "chart.png").exists()

"""History and energy over HTTP: exact, bounded, in three formats, gaps as null."""

from __future__ import annotations

import csv
import io
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from controllers.history.samples import Sample
from tests.support.api_world import World, assert_problem
from tests.support.history import make_row
from tests.support.live_states import NOW

API = "/api/vpp"
SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
BESS1 = f"{API}/history/resources/bess1"


def rows(
    start_at: datetime, hours: float, power_kw: float, subject: str = "resource-bess1"
) -> list[Sample]:
    """Return samples every four seconds."""
    n = round(hours * 900)
    return [
        make_row(start_at + 4 * i * SECOND, power_kw, subject=subject, exported_kwh=i / 900)
        for i in range(n)
    ]


async def get(world: World, path: str = BESS1, **query: Any) -> Any:
    response = await world.client.get(path, params=query, headers=world.auth())
    assert response.status_code == 200, response.text
    return response.json()


def text(instant: datetime) -> str:
    return instant.isoformat()


async def test_the_last_day_is_what_is_shown_unasked(world: World) -> None:
    world.past.append(rows(NOW - 2 * HOUR, 1.0, 36.0))
    body = await get(world)
    assert body["resolution_s"] == 60
    assert body["n"] == len(body["start_s"]) == 1440
    assert list(body["columns"]) == [
        "power_kw",
        "power_kw_min",
        "power_kw_max",
        "energy_kwh",
        "coverage_frac",
    ]
    first = body["start_s"].index(int((NOW - 2 * HOUR).timestamp()))
    assert body["columns"]["power_kw"][first - 1 : first + 1] == [None, 36.0]
    assert body["columns"]["coverage_frac"][first - 1 : first + 1] == [0.0, 1.0]
    assert sum(filter(None, body["columns"]["energy_kwh"])) == pytest.approx(36.01, abs=1e-3)


@pytest.mark.parametrize("resolution", ["1s", "7s", "1m", "15m", "1h"])
async def test_energy_is_the_same_at_every_resolution(world: World, resolution: str) -> None:
    world.past.append(rows(NOW - 2 * HOUR, 1.0, 36.0))
    body = await get(
        world,
        **{"from": text(NOW - 3 * HOUR), "to": text(NOW)},
        resolution=resolution,
        signals="energy_kwh,exported_kwh",
    )
    assert sum(filter(None, body["columns"]["energy_kwh"])) == pytest.approx(36.01, abs=1e-3)
    assert sum(body["columns"]["exported_kwh"]) == pytest.approx(899 / 900, abs=1e-3)


async def test_a_day_is_the_parks_own(world: World) -> None:
    body = await get(world, **{"from": text(NOW - 25 * HOUR), "to": text(NOW)}, resolution="1d")
    # Shanghai is eight hours ahead.
    days = [datetime.fromtimestamp(s, NOW.tzinfo) for s in body["start_s"]]
    assert [(day.day, day.hour) for day in days] == [(30, 16), (31, 16)]


async def test_csv_and_arrow_say_the_same_as_json(world: World) -> None:
    world.past.append(rows(NOW - 2 * HOUR, 1.0, 36.125))
    query = {
        "from": text(NOW - 2 * HOUR - 60 * SECOND),
        "to": text(NOW - 2 * HOUR + 60 * SECOND),
        "resolution": "1m",
        "signals": "power_kw,n_samples",
    }
    told = await get(world, **query)
    assert told["columns"] == {
        "power_kw": [None, 36.125],
        "n_samples": [0.0, 15.0],
        "coverage_frac": [0.0, 1.0],
    }
    answer = await world.client.get(BESS1, params={**query, "format": "csv"}, headers=world.auth())
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    lines = list(csv.DictReader(io.StringIO(answer.text)))
    assert [line["power_kw"] for line in lines] == ["", "36.125"]
    assert lines[1]["start_at_utc"] == "2026-06-01 08:00:00"
    answer = await world.client.get(
        BESS1, params={**query, "format": "arrow"}, headers=world.auth()
    )
    assert answer.headers["content-type"] == "application/vnd.apache.arrow.stream"
    table = pa.ipc.open_stream(answer.content).read_all()
    assert table.column("power_kw").to_pylist() == [None, 36.125]
    assert table.schema.metadata[b"id"] == b"bess1"


async def test_an_aggregation_has_a_history_of_its_own(world: World) -> None:
    world.past.append([make_row(NOW - SECOND, 12.0, subject="aggregation-site", target_kw=20.0)])
    query = {"from": text(NOW - SECOND), "to": text(NOW), "resolution": "1s"}
    body = await get(world, f"{API}/history/aggregations/site", signals="target_kw", **query)
    assert body["columns"]["target_kw"] == [20.0]


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ({"resolution": "0s"}, "from 1s to 1d"),
        ({"resolution": "2d"}, "from 1s to 1d"),
        ({"resolution": "1"}, "from 1s to 1d"),
        ({"signals": "power"}, "must be of"),
        ({"signals": ""}, "must be of"),
        ({"from": "2026-06-02T00:00:00Z"}, "must be after from"),
        ({"from": "2026-06-01T00:00:00"}, "timezone"),
        ({"from": "1"}, "2000"),
        ({"from": "1999-01-01T00:00:00Z"}, "2000"),
        ({"from": "2000-01-01T00:00:00Z", "to": "2026-01-01T00:00:00Z"}, "within 3700 days"),
        ({"from": "2026-05-01T00:00:00Z", "resolution": "1s"}, "at least 60s"),
        ({"from": "2025-06-01T00:00:00Z", "resolution": "90s"}, "multiple of 60s before"),
        ({"format": "xml"}, "json"),
        ({"colour": "red"}, "not a known parameter"),
    ],
)
async def test_what_cannot_be_answered_is_refused(
    world: World, query: dict[str, str], says: str
) -> None:
    response = await world.client.get(BESS1, params=query, headers=world.auth())
    problem = assert_problem(response, 422, "validation")
    assert problem["errors"][0]["place"] == "query"  # type: ignore[index]
    assert any(part in str(problem) for part in says.split("|")), problem


async def test_a_year_of_seconds_is_refused_and_the_finest_resolution_named(world: World) -> None:
    response = await world.client.get(
        BESS1,
        params={"from": text(NOW - timedelta(days=365)), "resolution": "1s", "signals": "power_kw"},
        headers=world.auth(),
    )
    problem = assert_problem(response, 422, "validation")
    assert "must be at least 60s for this span and 2 columns, or auto" in str(problem["detail"])


@pytest.mark.parametrize(
    "path", ["/history/resources/gone", "/history/aggregations/bess1", "/energy/bess1"]
)
async def test_an_unknown_subject_is_not_found(world: World, path: str) -> None:
    response = await world.client.get(f"{API}{path}", headers=world.auth())
    assert_problem(response, 404, "not-found")


async def test_a_retired_resource_is_remembered(world: World) -> None:
    world.past.append(rows(NOW - timedelta(days=3), 1.0, 36.0, "resource-gone1"))
    world.past.rotate()
    world.past.tend(NOW)
    path = f"{API}/history/resources/gone1"
    body = await get(world, path, **{"from": text(NOW - timedelta(days=4))}, resolution="1d")
    assert sum(filter(None, body["columns"]["energy_kwh"])) == pytest.approx(36.0, abs=0.1)


async def test_energy_tells_where_it_came_from_and_went(world: World) -> None:
    start_at = NOW - 2 * HOUR
    # Sun of 100 kW: 40 into the battery, 25 into cars, the rest leaves; then 25 are bought.
    world.past.append(
        [
            *rows(start_at, 1.0, 100.0, "resource-pv1"),
            *rows(start_at, 1.0, -40.0, "resource-bess1"),
            *rows(start_at, 2.0, -25.0, "resource-ev1"),
            *rows(start_at, 1.0, 35.0, "aggregation-site"),
            *rows(start_at + HOUR, 1.0, 0.0, "resource-pv1"),
            *rows(start_at + HOUR, 1.0, 0.0, "resource-bess1"),
            *rows(start_at + HOUR, 1.0, -25.0, "aggregation-site"),
        ]
    )
    body = await get(
        world, f"{API}/energy/site", **{"from": text(start_at), "to": text(NOW)}, resolution="1h"
    )
    assert body["n"] == 2
    columns = body["columns"]
    assert columns["generated_kwh"] == pytest.approx([100.0, 0.0])
    assert columns["consumed_kwh"] == pytest.approx([25.0, 25.0])
    assert columns["stored_kwh"] == pytest.approx([40.0, 0.0])
    assert columns["exported_kwh"] == pytest.approx([35.0, 0.0])
    assert columns["imported_kwh"] == pytest.approx([0.0, 25.0])
    assert columns["unaccounted_kwh"] == pytest.approx([0.0, 0.0], abs=1e-6)
    assert columns["self_consumption_frac"] == [pytest.approx(0.65), None]
    assert columns["self_sufficiency_frac"] == pytest.approx([1.0, 0.0])
    assert columns["peak_import_kw"] == pytest.approx([0.0, 25.0])
    assert body["by_kind"]["battery"]["drawn_kwh"] == pytest.approx([40.0, 0.0])
    totals = body["totals"]
    assert totals["self_sufficiency_frac"] == pytest.approx(0.5)
    assert totals["load_factor_frac"] == pytest.approx(0.5)
    assert totals["coverage_frac"] == pytest.approx(1.0)
    assert totals["carbon_kg_co2"] == pytest.approx(25.0 * 0.5366)
    assert body["peak_import_at"] == text(start_at + HOUR).replace("+00:00", "Z")
    assert [factor["kg_co2_per_kwh"] for factor in body["factors"]] == [0.5366]
    assert "Ministry" in body["factors"][0]["source"]


async def test_energy_of_which_nothing_is_known_is_null(world: World) -> None:
    body = await get(world, f"{API}/energy/site", resolution="1d")
    assert set(body["columns"]["imported_kwh"]) == {None}
    assert body["totals"]["coverage_frac"] == 0.0
    assert body["totals"]["self_consumption_frac"] is None


@pytest.mark.parametrize("resolution", ["1s", "20m", "50m", "auto"])
async def test_energy_comes_in_quarter_hours(world: World, resolution: str) -> None:
    response = await world.client.get(
        f"{API}/energy/site", params={"resolution": resolution}, headers=world.auth()
    )
    assert (response.status_code == 200) == (resolution == "auto")

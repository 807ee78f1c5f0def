"""Energy monitoring against a year of three real buildings, and the factors' table."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from cluster.day.citylearn import read_building, read_column
from controllers.history.buckets import US_PER_S, Buckets, FloatArray
from controllers.history.carbon import CHINA, factor_at, factors_for, in_force, read_factors
from controllers.history.energy import Member, kind_of, monitor
from controllers.history.samples import to_us
from controllers.kernel.errors import ConfigError
from controllers.park import ResourceDefinition
from tests.support.history import DAY
from tests.support.real_data import CITYLEARN, needs

PV_KW = 4.0
SHANGHAI = ZoneInfo("Asia/Shanghai")

needs_data = needs("CityLearn", CITYLEARN)


def quarter_hours(power_kw: FloatArray) -> Buckets:
    """Return hours of constant power as quarter hours that were measured throughout."""
    quarters_kw = np.repeat(power_kw, 4)
    edges_us = to_us(DAY) + np.arange(len(quarters_kw) + 1) * 900 * US_PER_S
    return Buckets(
        edges_us=edges_us,
        columns={
            "power_kw.s": np.full(len(quarters_kw), 900.0),
            "power_kw.sum": quarters_kw * 900.0,
            "injected_kwh": np.maximum(quarters_kw, 0.0) / 4.0,
        },
    )


@needs_data
@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_year_of_a_building_balances_and_its_shares_are_those_of_the_data(number: int) -> None:
    name = f"Building_{number}.csv"
    building = read_building((CITYLEARN / name).read_text(), name)
    carbon = np.array(
        read_column((CITYLEARN / "carbon_intensity.csv").read_text(), "carbon_intensity", "c")
    )
    load_kw = np.array(building.load_kw)
    pv_kw = PV_KW * np.array(building.sun_frac)
    net_kw = pv_kw - load_kw
    whole = quarter_hours(net_kw)
    days = whole.edges_us[:: 4 * 24]
    found = monitor(
        whole,
        [
            Member(kind="pv", buckets=quarter_hours(pv_kw)),
            Member(kind="flexible_load", buckets=quarter_hours(-load_kw)),
        ],
        days,
        np.repeat(carbon, 4),
    )
    totals = found.totals
    # The same from the hours of the file, without any of ours.
    used_kwh = np.minimum(pv_kw, load_kw).sum()
    assert totals["generated_kwh"] == pytest.approx(pv_kw.sum())
    assert totals["consumed_kwh"] == pytest.approx(load_kw.sum())
    assert totals["self_consumption_frac"] == pytest.approx(used_kwh / pv_kw.sum())
    assert totals["self_sufficiency_frac"] == pytest.approx(used_kwh / load_kw.sum())
    assert totals["unaccounted_kwh"] == pytest.approx(0.0, abs=1e-6)
    bought_kw = np.maximum(-net_kw, 0.0)
    assert totals["imported_kwh"] == pytest.approx(bought_kw.sum())
    assert totals["peak_import_kw"] == pytest.approx(bought_kw.max())
    assert totals["load_factor_frac"] == pytest.approx(bought_kw.mean() / bought_kw.max())
    assert totals["carbon_kg_co2"] == pytest.approx((bought_kw * carbon).sum())
    assert found.peak_import_at_us == whole.edges_us[4 * int(bought_kw.argmax())]
    assert found.columns["imported_kwh"].sum() == pytest.approx(totals["imported_kwh"])
    assert len(found.columns["imported_kwh"]) == 365
    assert found.by_kind["pv"]["injected_kwh"].sum() == pytest.approx(pv_kw.sum())


def test_without_a_factor_there_is_no_carbon_and_without_sun_no_self_consumption() -> None:
    whole = quarter_hours(np.array([-10.0]))
    members = [Member(kind="ev_station", buckets=whole)]
    found = monitor(whole, members, whole.edges_us[[0, 4]], np.full(4, np.nan))
    assert np.isnan(found.totals["carbon_kg_co2"])
    assert np.isnan(found.totals["self_consumption_frac"])
    assert found.totals["self_sufficiency_frac"] == 0.0
    assert found.totals["load_factor_frac"] == pytest.approx(1.0)


def test_a_quarter_hour_that_was_hardly_measured_makes_no_peak() -> None:
    whole = quarter_hours(np.array([-10.0]))
    whole.columns["power_kw.s"][1] = 100.0
    whole.columns["power_kw.sum"][1] = -500.0 * 100.0
    found = monitor(whole, [], whole.edges_us[[0, 4]], np.full(4, np.nan))
    assert found.totals["peak_import_kw"] == pytest.approx(10.0)
    assert found.columns["coverage_frac"][0] == pytest.approx(2800.0 / 3600.0)


def test_a_fleet_counts_as_its_devices_do() -> None:
    fleet = ResourceDefinition(
        id="f1", name="Fleet", kind="fleet", parameters={"device_kind": "battery"}
    )
    assert kind_of(fleet) == "battery"
    assert kind_of(ResourceDefinition(id="p1", name="Roof", kind="pv")) == "pv"


def test_factors_are_in_force_from_their_local_day_on() -> None:
    midnight = datetime(2022, 1, 1, tzinfo=SHANGHAI)
    instants = [midnight - timedelta(days=800), midnight - timedelta(seconds=1), midnight]
    at_us = np.array([to_us(instant) for instant in instants])
    values = factor_at(CHINA, at_us, SHANGHAI)
    assert np.isnan(values[0])
    assert values[1:].tolist() == [0.5568, 0.5366]
    assert in_force(CHINA, at_us[2:], SHANGHAI) == [CHINA[1]]


def test_a_park_elsewhere_has_no_factors_but_its_own() -> None:
    own = read_factors("from_date,kg_co2_per_kwh,source\n2026-01-01,0.42,contract\n", "f.csv")
    assert factors_for("Europe/Berlin", ()) == ()
    assert factors_for("Asia/Shanghai", ()) == CHINA
    assert factors_for("Asia/Shanghai", own) == own
    assert own[0].from_date == date(2026, 1, 1)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("date,kg\n", "f.csv:1: the header must be from_date,kg_co2_per_kwh,source"),
        ("from_date,kg_co2_per_kwh,source\n", "has no rows"),
        ("from_date,kg_co2_per_kwh,source\n2026-01-01,x,y\n", "f.csv:2: "),
        ("from_date,kg_co2_per_kwh,source\n2026-01-01,-1,y\n", "f.csv:2: "),
        ("from_date,kg_co2_per_kwh,source\n2026-01-01,nan,y\n", "f.csv:2: "),
        ("from_date,kg_co2_per_kwh,source\n2026-01-01,1\n", "f.csv:2: "),
        ("from_date,kg_co2_per_kwh,source\n2026-01-01,1,y,z\n", "f.csv:2: "),
        (
            "from_date,kg_co2_per_kwh,source\n2026-01-02,1,y\n2026-01-01,1,y\n",
            "f.csv:3: from_date must be after 2026-01-02",
        ),
    ],
)
def test_a_wrong_table_is_refused_with_its_line(text: str, says: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        read_factors(text, "f.csv")
    assert says in refusal.value.problems[0]

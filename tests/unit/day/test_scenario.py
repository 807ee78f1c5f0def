"""From files to a park that can be run, and files that do not fit together."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from cluster.day.scenario import MARKET_ZONE, Request, Scenario, scenario
from controllers.kernel.errors import ConfigError
from controllers.kernel.money import Currency
from tests.support.day_files import (
    EXPENSIVE_EVENING,
    entsoe_document,
    entsoe_period,
    write_building,
    write_prices,
)

NOW = datetime(2025, 9, 30, 8, tzinfo=UTC)
DAY = date(2025, 9, 30)
DAY_OF_HOURS = "\n".join(["1.5"] * 24)

PARK = """
id: mine
name: Mine
timezone: Europe/Paris
currency: EUR
resources:
  - {id: hall, name: Hall, kind: flexible_load, parameters: {rated_kw: 20}}
  - {id: office, name: Office, kind: flexible_load, parameters: {rated_kw: 20}}
  - {id: roof, name: Roof, kind: pv, parameters: {rated_kw: 10}}
aggregates:
  - {id: site, name: Site, members: [hall, office, roof]}
tariff:
  - {from_time: "00:00", import_per_mwh: 100, export_per_mwh: 50}
"""


def built(tmp_path: Path, **changes: object) -> Scenario:
    given = {"day": DAY, "price": write_prices(tmp_path, EXPENSIVE_EVENING)} | changes
    loads = given.pop("loads", None) or [str(write_building(tmp_path))]
    return scenario(Request(loads=loads, **given), NOW)  # type: ignore[arg-type]


def file(tmp_path: Path, name: str, text: str) -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


def with_park(tmp_path: Path, *loads: str, **changes: object) -> Scenario:
    park = file(tmp_path, "park.yaml", PARK)
    return scenario(Request(park=park, day=DAY, loads=loads, **changes), NOW)  # type: ignore[arg-type]


def refusal(tmp_path: Path, **changes: object) -> str:
    with pytest.raises(ConfigError) as caught:
        built(tmp_path, **changes)
    return caught.value.problems[0]


def test_a_building_becomes_a_load_a_roof_and_a_battery(tmp_path: Path) -> None:
    found = built(tmp_path)
    kinds = {r.id: r.kind for r in found.park.resources}
    assert kinds == {
        "building_1_load": "flexible_load",
        "building_1_pv": "pv",
        "building_1_battery": "battery",
    }
    battery = found.park.resource("building_1_battery")
    assert battery is not None
    assert battery.parameters["capacity_kwh"] == 6.4
    assert battery.parameters["charge_efficiency_frac"] == pytest.approx(0.9**0.5)
    assert found.initial_soc == {"building_1_battery": 0.0}
    noon = found.frame.period.start_at.replace(hour=12)
    assert found.recorded_kw["building_1_pv"].at(noon) == pytest.approx(4.0 * 0.8, rel=0.02)
    assert any("fixed" in note for note in found.assumptions)


def test_inputs_are_named_with_their_hash(tmp_path: Path) -> None:
    inputs = built(tmp_path).inputs
    assert [(i.role, i.format) for i in inputs] == [
        ("price", "CSV"),
        ("load", "CityLearn building"),
    ]
    assert all(len(i.sha256) == 64 for i in inputs)


def test_without_a_schema_a_building_is_a_load_only(tmp_path: Path) -> None:
    path = write_building(tmp_path)
    (tmp_path / "schema.json").unlink()
    found = built(tmp_path, loads=[str(path)])
    assert [r.kind for r in found.park.resources] == ["flexible_load"]
    assert any("Nothing can store" in note for note in found.assumptions)


def test_market_prices_set_clock_and_currency_and_the_day(tmp_path: Path) -> None:
    hours = {h: 10 * h for h in range(1, 25)}
    period = entsoe_period("2025-10-01T22:00Z", "2025-10-02T22:00Z", "PT60M", hours)
    price = file(tmp_path, "p.xml", entsoe_document(period))
    found = built(tmp_path, price=price, day=None)
    assert found.park.timezone == MARKET_ZONE
    assert found.prices.currency is Currency.EUR
    assert found.frame.day == date(2025, 10, 2)


def test_without_dates_the_day_is_today(tmp_path: Path) -> None:
    assert built(tmp_path, day=None).frame.day == DAY


def test_one_s_own_columns_are_told_apart_by_name(tmp_path: Path) -> None:
    rows = "\n".join("1,2000" for _ in range(24))
    csv = file(tmp_path, "plant.csv", f"hall_kw,oven_w\n{rows}")
    found = built(tmp_path, loads=[str(csv)])
    at = found.frame.period.start_at
    assert {id_: s.at(at) for id_, s in found.recorded_kw.items()} == {"hall": 1.0, "oven": 2.0}


def test_energies_per_row_become_mean_powers(tmp_path: Path) -> None:
    csv = file(tmp_path, "q.csv", "hall_kwh\n" + "\n".join(["0.5"] * 96))
    found = built(tmp_path, loads=[str(csv)])
    assert found.recorded_kw["hall"].at(found.frame.period.start_at) == 2.0


def test_a_given_park_takes_a_file_by_resource(tmp_path: Path) -> None:
    csv = file(tmp_path, "a.csv", f"x_kw\n{DAY_OF_HOURS}")
    found = with_park(tmp_path, f"hall={csv}", yields=[str(csv)])
    assert set(found.recorded_kw) == {"hall", "roof"}
    assert found.prices.next_day_from_hour == 0


@pytest.mark.parametrize(
    ("argument", "says"),
    [("{csv}", "--load: x: no flexible_load left"), ("roof={csv}", "name one of hall, office")],
)
def test_a_file_for_no_resource_of_the_park_is_refused(
    tmp_path: Path, argument: str, says: str
) -> None:
    csv = file(tmp_path, "a.csv", f"x_kw\n{DAY_OF_HOURS}")
    with pytest.raises(ConfigError, match=says):
        with_park(tmp_path, argument.format(csv=csv))


def test_a_file_beyond_the_rating_is_refused(tmp_path: Path) -> None:
    csv = file(tmp_path, "a.csv", "x_kw\n" + "\n".join(["21"] * 24))
    with pytest.raises(ConfigError, match="raise rated_kw"):
        with_park(tmp_path, f"hall={csv}")


def test_prices_in_another_currency_than_the_park_s_are_refused(tmp_path: Path) -> None:
    price = file(tmp_path, "p.csv", f"price_usd_per_kwh\n{DAY_OF_HOURS}")
    with pytest.raises(ConfigError, match="the park settles in EUR"):
        with_park(tmp_path, price=price)


def test_two_price_columns_are_buying_and_selling(tmp_path: Path) -> None:
    rows = "\n".join("0.3,0.1" for _ in range(24))
    price = file(tmp_path, "p.csv", f"import_usd_per_kwh,export_usd_per_kwh\n{rows}")
    buying, selling = built(tmp_path, price=price).prices.at(datetime(2025, 9, 30, 5, tzinfo=UTC))
    assert (str(buying.per_mwh), str(selling.per_mwh)) == ("300.00 USD", "100.00 USD")


def test_formats_are_named_when_refused(tmp_path: Path) -> None:
    building = write_building(tmp_path)
    assert "is CityLearn building; prices come as" in refusal(tmp_path, price=building)
    xml = file(tmp_path, "p.xml", entsoe_document())
    assert "--load" in (said := refusal(tmp_path, loads=[str(xml)]))
    assert "is ENTSO-E XML" in said
    pricing = file(tmp_path, "pricing.csv", "electricity_pricing\n" + "0.2\n" * 8760)
    own = file(tmp_path, "own.csv", f"x_kw\n{DAY_OF_HOURS}")
    said = refusal(tmp_path, price=pricing, loads=[str(own)])
    assert "its rows have no dates of their own" in said


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    assert "--price: is required" in refusal(tmp_path, price=None)
    assert "No such file" in refusal(tmp_path, price=tmp_path / "none.csv")
    binary = tmp_path / "b.csv"
    binary.write_bytes(b"\xff\xfe\x00")
    assert "must be text in UTF-8" in refusal(tmp_path, price=binary)
    yields = file(tmp_path, "y.csv", "time,y_kw\n2025-01-01T00:00Z,1\n2025-01-01T01:00Z,1")
    said = refusal(tmp_path, loads=[str(yields)])
    assert "nothing at 2025-09-30 00:00 UTC" in said


def test_citylearn_prices_pay_nothing_for_what_is_sold(tmp_path: Path) -> None:
    pricing = file(tmp_path, "pricing.csv", "electricity_pricing\n" + "0.2\n" * 8760)
    carbon = file(tmp_path, "carbon.csv", "carbon_intensity\n" + "0.15\n" * 8760)
    found = built(tmp_path, price=pricing, carbon=carbon)
    buying, selling = found.prices.at(NOW)
    assert (buying.per_mwh.amount, selling.per_mwh.amount) == (200, 0)
    assert found.prices.carbon is not None
    assert found.prices.carbon.at(NOW) == 0.15

"""Day-ahead prices out of ENTSO-E documents, and documents that are refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from cluster.day.entsoe import parse_prices
from controllers.kernel.errors import ConfigError
from controllers.kernel.money import Currency
from tests.support.day_files import entsoe_document, entsoe_period

START = "2025-09-30T22:00Z"
START_AT = datetime(2025, 9, 30, 22, tzinfo=UTC)
HOURS = {1: 10.5, 2: 20, 3: -3.25}


def three_hours(resolution: str = "PT60M", prices: dict[int, float | str] | None = None) -> str:
    return entsoe_period(START, "2025-10-01T01:00Z", resolution, prices or dict(HOURS))


@pytest.mark.parametrize("version", ["7:0", "7:3"])
def test_every_version_of_the_namespace_is_read(version: str) -> None:
    found = parse_prices(entsoe_document(three_hours(), version=version), "p.xml")
    assert found.currency is Currency.EUR
    assert found.prices.start_at == START_AT
    assert found.prices.period == timedelta(hours=1)
    assert found.prices.values == [Decimal("10.5"), Decimal(20), Decimal("-3.25")]


def test_missing_positions_of_an_a03_curve_repeat_the_price_before() -> None:
    period = entsoe_period(START, "2025-09-30T23:30Z", "PT15M", {1: 5, 3: 7})
    found = parse_prices(entsoe_document(period, curve="A03"), "p.xml")
    assert found.prices.values == [Decimal(v) for v in (5, 5, 7, 7, 7, 7)]


@pytest.mark.parametrize(("curve", "position"), [("A01", 2), ("A03", 1)])
def test_a_missing_position_that_nothing_explains_is_refused(curve: str, position: int) -> None:
    prices = {p: v for p, v in HOURS.items() if p != position}
    with pytest.raises(ConfigError, match=f"position {position} has no price"):
        parse_prices(entsoe_document(three_hours(prices=dict(prices)), curve=curve), "p.xml")


def test_where_periods_overlap_the_finer_counts() -> None:
    fine = entsoe_period("2025-09-30T23:00Z", "2025-10-01T00:00Z", "PT30M", {1: 1, 2: 2})
    found = parse_prices(entsoe_document(fine, three_hours()), "p.xml")
    assert found.prices.period == timedelta(minutes=30)
    expected = ["10.5", "10.5", "1", "2", "-3.25", "-3.25"]
    assert found.prices.values == [Decimal(v) for v in expected]


def test_a_gap_between_periods_stays_unknown() -> None:
    later = entsoe_period("2025-10-01T02:00Z", "2025-10-01T03:00Z", "PT60M", {1: 9})
    found = parse_prices(entsoe_document(three_hours(), later), "p.xml")
    assert found.prices.values[3:] == [None, Decimal(9)]


@pytest.mark.parametrize(
    "trap",
    ['<!DOCTYPE x [<!ENTITY a "aaaa">]>', '<!doctype x SYSTEM "file:///etc/hostname">'],
)
def test_a_document_with_a_dtd_is_refused_unparsed(trap: str) -> None:
    text = entsoe_document(three_hours()).replace("\n<Pub", f"\n{trap}<Pub", 1)
    with pytest.raises(ConfigError, match="DTD or entities"):
        parse_prices(text, "p.xml")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (entsoe_document(three_hours(), kind="A65"), "Publication_MarketDocument of type A65"),
        (
            "<GL_MarketDocument><type>A65</type></GL_MarketDocument>",
            "GL_MarketDocument of type A65",
        ),
        (entsoe_document(three_hours(), currency="PLN"), "prices in PLN"),
        (entsoe_document(three_hours(), curve="A02"), "curveType A02"),
        (entsoe_document(), "no period with prices"),
        (entsoe_document(three_hours("PT7M")), "resolution PT7M"),
        (entsoe_document(three_hours(prices={1: 1, 2: 2, 4: 4})), "position '4'"),
        (entsoe_document(three_hours(prices={1: "n/e", 2: 2, 3: 3})), "'n/e' is no number"),
        (entsoe_document(three_hours(prices={1: "NaN", 2: 2, 3: 3})), "'NaN' is no number"),
        (entsoe_document(three_hours().replace(START, "2025-09-30T22:00")), "no time zone"),
        ("<a>\n<b></a>", "p.xml:2: no well-formed XML"),
        ("<a/>", "ENTSO-E a of type none"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(text: str, says: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        parse_prices(text, "p.xml")
    assert says in refusal.value.problems[0]
    assert refusal.value.problems[0].startswith("p.xml")


def test_a_document_of_centuries_is_refused() -> None:
    far = entsoe_period("2925-10-01T00:00Z", "2925-10-01T01:00Z", "PT60M", {1: 9})
    with pytest.raises(ConfigError, match="more than 400 days"):
        parse_prices(entsoe_document(three_hours(), far), "p.xml")

"""Members that several aggregates share are found and explained."""

from __future__ import annotations

from controllers.aggregation.conflicts import shared_members
from controllers.kernel.money import Currency
from controllers.park import (
    AggregateDefinition,
    ParkDefinition,
    ResourceDefinition,
    TariffDefinition,
)


def make_park(**aggregates: list[str]) -> ParkDefinition:
    """Return a park of resources r1 to r3 with these aggregates."""
    return ParkDefinition(
        id="park",
        name="park",
        timezone="UTC",
        currency=Currency.EUR,
        resources=[ResourceDefinition(id=f"r{i}", name="r", kind="battery") for i in (1, 2, 3)],
        aggregates=[
            AggregateDefinition(id=id_, name=id_, members=members)
            for id_, members in aggregates.items()
        ],
        tariff=[TariffDefinition(from_time="00:00", import_per_mwh=1.0, export_per_mwh=1.0)],
    )


def test_park_without_sharing_has_no_conflicts() -> None:
    assert shared_members(make_park(inner=["r1", "r2"], top=["inner", "r3"])) == []


def test_member_of_two_aggregates_is_named_with_its_home() -> None:
    (found,) = shared_members(make_park(north=["r1", "r2"], south=["r2", "r3"]))
    assert (found.member_id, found.home, found.others) == ("r2", "north", ("south",))
    assert "r2 is a member of north, south: north counts it by default" in found.explanation


def test_member_above_and_below_is_named_once_per_rule() -> None:
    found = shared_members(make_park(inner=["r1"], middle=["inner"], top=["middle", "r1"]))
    assert [f.member_id for f in found] == ["r1", "r1"]
    assert "r1 is a direct member of top and of inner inside top" in found[1].explanation

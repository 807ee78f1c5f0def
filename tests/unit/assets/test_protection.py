"""What widens a resource waits for a second person; what narrows or only describes it does not."""

from __future__ import annotations

from typing import Any

import pytest

from controllers.assets.protection import (
    ANY_CHANGE_WIDENS,
    DOWN_WIDENS,
    EXCLUSION_BAND,
    UP_WIDENS,
    widenings,
)
from controllers.park import ResourceDefinition
from controllers.resources.kinds import TWINS

BATTERY = {"capacity_kwh": 200.0, "max_charge_kw": 100.0, "max_discharge_kw": 100.0}
DESCRIBES = {
    "azimuth_deg",
    "charge_efficiency_frac",
    "cop",
    "cut_in_m_s",
    "cut_out_m_s",
    "dead_band_kw",
    "discharge_efficiency_frac",
    "efficiency",
    "heat_ratio",
    "hub_height_m",
    "merit_per_mwh",
    "meter_class_frac",
    "rated_m_s",
    "rebound_frac",
    "rebound_min",
    "reserve_duration_h",
    "response_s",
    "start_cost",
    "store_loss_frac_per_h",
    "tilt_deg",
}


def battery(**changes: Any) -> ResourceDefinition:
    own = {n: v for n, v in changes.items() if n in ResourceDefinition.__struct_fields__}
    parameters = {**BATTERY, **{n: v for n, v in changes.items() if n not in own}}
    return ResourceDefinition(id="b", name="B", kind="battery", parameters=parameters, **own)


def test_of_every_parameter_it_is_known_what_widens_it() -> None:
    sets = (UP_WIDENS, DOWN_WIDENS, ANY_CHANGE_WIDENS, EXCLUSION_BAND, DESCRIBES)
    names = {row.name for twin in TWINS.values() for row in twin.PARAMETERS}
    assert sorted(name for known in sets for name in known) == sorted(names)


@pytest.mark.parametrize(
    ("narrow", "wide"),
    [
        ({"max_discharge_kw": 90.0}, {}),
        ({"capacity_kwh": 150.0}, {}),
        ({"soc_min_frac": 0.2}, {}),
        ({"soc_min_frac": 0.2}, {"soc_min_frac": 0.1}),
        ({"soc_max_frac": 0.8}, {}),
        ({"reserve_soc_frac": 0.3}, {}),
        ({"frozen_after_s": 100.0}, {"frozen_after_s": 0.0}),
        ({"on_stale": "zero"}, {"on_stale": "hold"}),
        ({"exclusion_low_kw": -5.0, "exclusion_high_kw": 5.0}, {}),
        (
            {"exclusion_low_kw": -5.0, "exclusion_high_kw": 5.0},
            {"exclusion_low_kw": -9.0, "exclusion_high_kw": 4.0},
        ),
        ({"fallback": "zero"}, {"fallback": "release"}),
        (
            {"fallback": "limit", "fallback_limit_kw": 0.0},
            {"fallback": "limit", "fallback_limit_kw": 5.0},
        ),
    ],
)
def test_one_way_is_wider(narrow: dict[str, Any], wide: dict[str, Any]) -> None:
    (told,) = widenings(battery(**narrow), battery(**wide))
    assert " -> " in told
    if "exclusion_low_kw" not in wide:
        assert widenings(battery(**wide), battery(**narrow)) == []


def test_what_becomes_wider_is_told_with_its_unit() -> None:
    after = battery(max_charge_kw=120.5, max_discharge_kw=50.0, soc_min_frac=0.0)
    assert widenings(battery(), after) == [
        "max_charge_kw 100 -> 120.5 kW",
        "soc_min_frac 0.05 -> 0",
    ]


def test_the_sign_of_the_device_is_no_small_thing() -> None:
    turned = battery(consumption_positive=True)
    assert len(widenings(battery(), turned)) == len(widenings(turned, battery())) == 1


def test_what_only_describes_goes_at_once() -> None:
    other = battery(charge_efficiency_frac=0.9, merit_per_mwh=10.0, latitude_deg=30.0)
    assert widenings(battery(), other) == []

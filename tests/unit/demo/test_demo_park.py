"""The demo park is what the README promises, and can do what the tour asks of it."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

import cluster.demo
from cluster.demo.dynamics import RUN_FREE, Surroundings
from cluster.demo.physics import build_device
from cluster.demo.weather import WeatherYear
from cluster.park_file import load_park
from controllers.park import ParkDefinition
from controllers.resources.kinds import TWINS
from controllers.resources.parameters import check_parameters


@pytest.fixture(scope="module")
def park() -> ParkDefinition:
    return load_park(Path(cluster.demo.__path__[0]) / "park.yaml")


def test_park_has_the_promised_resources(park: ParkDefinition) -> None:
    assert Counter(r.kind for r in park.resources) == {
        "pv": 4,
        "wind": 1,
        "battery": 3,
        "ev_station": 2,
        "flexible_load": 2,
        "chp": 1,
        "fleet": 1,
    }
    assert park.resource("hp-fleet").parameters["n_devices"] == 1000  # type: ignore[union-attr]
    assert any(r.consumption_positive for r in park.resources)


def test_one_vpp_lies_inside_the_other_and_every_resource_in_one(park: ParkDefinition) -> None:
    (root,) = park.roots()
    (nested,) = [a for a in park.aggregates if a is not root]
    assert nested.id in root.members
    assert sorted(root.members + nested.members) == sorted(
        [nested.id, *(r.id for r in park.resources)]
    )


@pytest.mark.parametrize("month", [1, 4, 7, 10])
def test_batteries_alone_can_lift_the_park_to_500_kw_for_ten_minutes(
    park: ParkDefinition, month: int
) -> None:
    weather, rng = WeatherYear.load(), np.random.default_rng(month)
    batteries = [r.parameters for r in park.resources if r.kind == "battery"]
    discharge_kw = sum(float(p["max_discharge_kw"]) for p in batteries)
    # From half charge, above the state of charge each must keep.
    usable_kwh = sum(
        float(p["capacity_kwh"]) * (0.5 - float(p.get("reserve_soc_frac", 0.05))) for p in batteries
    )
    fleet = next(r.parameters for r in park.resources if r.kind == "fleet")
    fleet_kw = -float(fleet["n_devices"]) * float(fleet["device_kw"]) * 0.5
    others = [
        build_device(r.kind, check_parameters(TWINS[r.kind].PARAMETERS, r.parameters)[0], rng)
        for r in park.resources
        if r.kind in ("pv", "wind", "ev_station", "flexible_load")
    ]
    local_time = datetime(2026, month, 14, tzinfo=ZoneInfo(park.timezone))
    for _ in range(96):
        local_time += timedelta(minutes=15)
        surroundings = Surroundings(local_time=local_time, weather=weather.at(local_time))
        for device in others:
            device.step(900.0, RUN_FREE, surroundings, rng)
        natural_kw = fleet_kw + sum(device.measure().power_kw for device in others)
        assert 500.0 - natural_kw < discharge_kw
        assert (500.0 - natural_kw) / 6.0 < usable_kwh

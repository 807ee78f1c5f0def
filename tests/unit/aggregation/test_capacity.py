"""Capacity adds up what is measured, once, and holds it no longer than its energy lasts."""

from __future__ import annotations

import pytest

from controllers.aggregation.capacity import Capacity, capacity_of
from controllers.kernel.states import Envelope, Quality, ResourceState
from controllers.park import ResourceDefinition
from tests.support.live_states import NOW, make_resource_state
from tests.support.twins import VALID


def resource(id_: str, kind: str) -> ResourceDefinition:
    return ResourceDefinition(id=id_, name=id_, kind=kind, parameters=VALID[kind])


def envelope(min_kw: float, max_kw: float, up_kwh: float, down_kwh: float, natural: float = 0.0):
    return Envelope(
        min_kw=min_kw,
        max_kw=max_kw,
        ramp_up_kw_per_min=1.0,
        ramp_down_kw_per_min=1.0,
        energy_up_kwh=up_kwh,
        energy_down_kwh=down_kwh,
        reserve_up_kw=5.0,
        natural_kw=natural,
    )


BATTERY, ROOF = resource("b", "battery"), resource("roof", "pv")
CHARGED = make_resource_state(
    "b", power_kw=20.0, rated_kw=100.0, envelope=envelope(-80.0, 100.0, 50.0, 40.0)
)
SUNNY = make_resource_state(
    "roof", kind="pv", power_kw=60.0, envelope=envelope(0.0, 60.0, 0.0, 60.0, natural=60.0)
)


def capacity(*states: ResourceState, horizon_s: float = 7200.0) -> Capacity:
    return capacity_of(
        [BATTERY, ROOF], {state.id: state for state in states}, now=NOW, horizon_s=horizon_s
    )


def test_what_is_measured_adds_up() -> None:
    sums = capacity(CHARGED, SUNNY)
    assert (sums.rated_kw, sums.rated_export_kw, sums.rated_import_kw) == (200.0, 200.0, 80.0)
    assert (sums.power_kw, sums.min_kw, sums.max_kw) == (80.0, -80.0, 160.0)
    assert (sums.energy_up_kwh, sums.energy_down_kwh, sums.reserve_up_kw) == (50.0, 100.0, 10.0)
    assert (sums.coverage_frac, sums.unmeasured) == (1.0, [])


def test_a_store_holds_power_for_as_long_as_its_energy_lasts() -> None:
    up = {s.duration_s: s.up_kw for s in capacity(CHARGED).sustained}
    # 100 kW for the half hour that 50 kWh last, from the 20 kW it gives already.
    assert (up[1800.0], up[3600.0], up[7200.0]) == (80.0, 30.0, 5.0)
    down = {s.duration_s: s.down_kw for s in capacity(CHARGED).sustained}
    assert (down[1800.0], down[7200.0]) == (100.0, 40.0)


def test_sun_can_be_turned_down_for_any_time_and_never_up() -> None:
    assert {(s.up_kw, s.down_kw) for s in capacity(SUNNY).sustained} == {(0.0, 60.0)}


@pytest.mark.parametrize(
    "state",
    [
        make_resource_state("b", quality=Quality.STALE),
        make_resource_state("b", killed=True),
        make_resource_state("other"),
    ],
    ids=["stale", "killed", "never spoke"],
)
def test_what_cannot_be_trusted_is_not_offered(state: ResourceState) -> None:
    sums = capacity(state, SUNNY)
    assert (sums.rated_kw, sums.power_kw, sums.unmeasured) == (200.0, 60.0, ["b"])
    assert sums.coverage_frac == 0.5


def test_the_horizon_is_the_last_duration() -> None:
    assert [s.duration_s for s in capacity(horizon_s=600.0).sustained] == [60.0, 300.0, 600.0]
    assert capacity(horizon_s=60.0).sustained[-1].duration_s == 60.0

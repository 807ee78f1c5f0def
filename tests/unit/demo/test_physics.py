"""Each kind of simulated device obeys its nature before anybody's order."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from cluster.demo.dynamics import RUN_FREE, Order, PhysicalDevice, Surroundings, Weather
from cluster.demo.physics import build_device, build_fleet
from controllers.kernel.errors import ConfigError
from controllers.resources.kinds import TWINS
from controllers.resources.parameters import check_parameters

SHANGHAI = ZoneInfo("Asia/Shanghai")
NOON = datetime(2026, 7, 21, 12, tzinfo=SHANGHAI)  # a Tuesday
BRIGHT = Weather(
    direct_w_per_m2=800.0,
    diffuse_w_per_m2=120.0,
    sun_elevation_deg=70.0,
    sun_azimuth_deg=180.0,
    temperature_degc=10.0,
    wind_speed_m_per_s=7.0,
)
DAY = Surroundings(local_time=NOON, weather=BRIGHT)
NIGHT = replace(
    DAY,
    weather=replace(BRIGHT, direct_w_per_m2=0.0, diffuse_w_per_m2=0.0, sun_elevation_deg=-30.0),
)
FLEET = {
    "device_kind": "heat_pump",
    "n_devices": 200,
    "device_kw": 2.0,
    "store_kwh": 8.0,
    "efficiency": 3.0,
}
GIVEN: dict[str, dict[str, float | int | bool | str]] = {
    "pv": {"rated_kw": 100.0},
    "wind": {"rated_kw": 500.0},
    "battery": {"capacity_kwh": 200.0, "max_charge_kw": 100.0, "max_discharge_kw": 100.0},
    "ev_station": {"n_plugs": 10, "max_charge_kw": 100.0},
    "flexible_load": {"rated_kw": 100.0, "flexible_frac": 0.4, "increase_frac": 0.1},
    "chp": {"min_kw": 50.0, "max_kw": 100.0, "min_up_min": 10.0, "min_down_min": 10.0},
    "heat_pump": {"rated_kw": 10.0, "store_kwh": 40.0},
}


def values(kind: str, **changes: float | bool) -> dict[str, float | int | bool | str]:
    given = FLEET if kind == "fleet" else GIVEN[kind]
    complete, problems = check_parameters(TWINS[kind].PARAMETERS, {**given, **changes})
    assert problems == []
    return complete


def device(kind: str, **changes: float | bool) -> PhysicalDevice:
    return build_device(kind, values(kind, **changes), np.random.default_rng(7))


def run(
    subject: PhysicalDevice,
    seconds: float,
    order: Order = RUN_FREE,
    surroundings: Surroundings = DAY,
    *,
    dt_s: float = 1.0,
) -> list[float]:
    """Step a device and return the power after each step."""
    rng = np.random.default_rng(3)
    powers_kw = []
    for i in range(round(seconds / dt_s)):
        now = surroundings.local_time + timedelta(seconds=dt_s * (i + 1))
        subject.step(dt_s, order, replace(surroundings, local_time=now), rng)
        powers_kw.append(subject.measure().power_kw)
    return powers_kw


def test_every_kind_but_the_fleet_is_simulated() -> None:
    assert set(GIVEN) | {"fleet"} == set(TWINS)


@pytest.mark.parametrize("kind", sorted(GIVEN))
@pytest.mark.parametrize("dt_s", [0.2, 60.0, 900.0])
def test_no_order_takes_a_device_outside_its_range(kind: str, dt_s: float) -> None:
    subject = device(kind)
    low_kw, high_kw = subject.range_kw
    span_kw = high_kw - low_kw
    for order in (RUN_FREE, Order(setpoint_kw=low_kw), Order(setpoint_kw=high_kw)):
        for power_kw in run(subject, 40 * dt_s, order, dt_s=dt_s):
            assert low_kw - 0.01 * span_kw <= power_kw <= high_kw + 0.01 * span_kw


@pytest.mark.parametrize("kind", sorted(GIVEN))
def test_registers_never_fall_and_match_the_power(kind: str) -> None:
    subject = device(kind)
    run(subject, 60.0)
    before = subject.measure()
    powers_kw = run(subject, 600.0, Order(setpoint_kw=sum(subject.range_kw) / 2))
    after = subject.measure()
    assert after.exported_kwh >= before.exported_kwh
    assert after.imported_kwh >= before.imported_kwh
    net_kwh = after.exported_kwh - before.exported_kwh
    net_kwh -= after.imported_kwh - before.imported_kwh
    assert net_kwh == pytest.approx(sum(powers_kw) / 3600.0, abs=0.05 + 0.01 * abs(net_kwh))


@pytest.mark.parametrize("kind", sorted(GIVEN))
def test_restored_device_goes_on_where_it_was(kind: str) -> None:
    original = device(kind)
    run(original, 900.0)
    twin = build_device(kind, values(kind), np.random.default_rng(99))
    twin.restore(original.dump())
    if kind == "heat_pump":
        # The house behind the pump is drawn at random; only what changes is remembered.
        assert twin.measure().signals["store_frac"] == pytest.approx(
            original.measure().signals["store_frac"], abs=1e-4
        )
        return
    assert twin.dump() == original.dump()
    assert run(twin, 30.0)[-1] == pytest.approx(run(original, 30.0)[-1], rel=0.05, abs=0.2)


@pytest.mark.parametrize("kind", ["battery", "pv", "wind", "flexible_load"])
def test_same_seed_gives_the_same_day(kind: str) -> None:
    assert run(device(kind), 120.0) == run(device(kind), 120.0)


def test_battery_reaches_its_order_within_seconds() -> None:
    subject = device("battery")
    assert run(subject, 10.0, Order(setpoint_kw=80.0))[-1] == pytest.approx(80.0, abs=0.5)


def test_battery_obeys_the_ordered_ramp() -> None:
    powers_kw = run(device("battery"), 30.0, Order(setpoint_kw=80.0, ramp_kw_per_min=60.0))
    assert powers_kw[-1] == pytest.approx(30.0, abs=1.0)


@pytest.mark.parametrize(("order_kw", "end_frac"), [(100.0, 0.05), (-100.0, 0.95)])
@pytest.mark.parametrize("dt_s", [1.0, 900.0])
def test_battery_stops_at_the_limit_of_its_charge(
    order_kw: float, end_frac: float, dt_s: float
) -> None:
    subject = device("battery")
    powers_kw = run(subject, 4 * 3600.0, Order(setpoint_kw=order_kw), dt_s=dt_s)
    signals = subject.measure().signals
    assert signals["soc_frac"] == pytest.approx(end_frac, abs=0.01)
    assert powers_kw[-1] == pytest.approx(0.0, abs=1.0)


def test_battery_loses_energy_on_the_way() -> None:
    subject = device("battery")
    soc_frac = subject.measure().signals["soc_frac"]
    run(subject, 1800.0, Order(setpoint_kw=-50.0))
    run(subject, 1800.0, Order(setpoint_kw=50.0))
    stored_kwh = (subject.measure().signals["soc_frac"] - soc_frac) * 200.0
    assert stored_kwh == pytest.approx(25.0 * 0.95 - 25.0 / 0.95, abs=0.2)


def test_battery_left_alone_does_nothing() -> None:
    assert max(abs(x) for x in run(device("battery"), 60.0)) < 0.5


def test_pv_makes_nothing_at_night() -> None:
    assert run(device("pv"), 120.0, surroundings=NIGHT)[-1] == 0.0


def test_pv_is_curtailed_but_never_pushed() -> None:
    subject = device("pv")
    free_kw = run(subject, 60.0)[-1]
    assert free_kw > 50.0
    assert run(subject, 60.0, Order(setpoint_kw=20.0))[-1] == pytest.approx(20.0, abs=0.5)
    pushed_kw = run(subject, 60.0, Order(setpoint_kw=100.0))[-1]
    assert pushed_kw == pytest.approx(subject.measure().signals["available_kw"], rel=0.05)


@pytest.mark.parametrize("kind", ["pv", "wind"])
def test_plant_that_cannot_be_curtailed_ignores_orders(kind: str) -> None:
    subject = device(kind, curtailable=False)
    assert run(subject, 60.0, Order(setpoint_kw=0.0))[-1] > 50.0


def test_roof_facing_away_from_the_sun_gets_less() -> None:
    low_sun = replace(DAY, weather=replace(BRIGHT, sun_elevation_deg=25.0))
    south = device("pv", tilt_deg=30.0, azimuth_deg=180.0)
    north = device("pv", tilt_deg=30.0, azimuth_deg=0.0)
    assert (
        run(south, 60.0, surroundings=low_sun)[-1]
        > 2.0 * run(north, 60.0, surroundings=low_sun)[-1]
    )


@pytest.mark.parametrize(
    ("wind_m_per_s", "low_frac", "high_frac"),
    [(0.5, 0.0, 0.0), (5.0, 0.01, 0.6), (14.0, 0.7, 1.01), (30.0, 0.0, 0.0)],
    ids=["below cut-in", "part load", "rated", "above cut-out"],
)
def test_wind_turbine_follows_its_power_curve(
    wind_m_per_s: float, low_frac: float, high_frac: float
) -> None:
    weather = replace(BRIGHT, wind_speed_m_per_s=wind_m_per_s)
    powers_kw = run(device("wind"), 600.0, surroundings=replace(DAY, weather=weather))
    assert low_frac * 500.0 <= float(np.mean(powers_kw[60:])) <= high_frac * 500.0


def test_chp_warms_up_before_it_delivers() -> None:
    powers_kw = run(device("chp"), 600.0, Order(setpoint_kw=80.0))
    assert max(powers_kw[:59]) == 0.0
    assert min(powers_kw[62:]) > 49.0
    assert powers_kw[-1] == pytest.approx(80.0, abs=1.0)


def test_chp_keeps_its_minimum_times() -> None:
    subject = device("chp")
    run(subject, 120.0, Order(setpoint_kw=80.0))
    run(subject, 300.0, Order(setpoint_kw=0.0))
    assert subject.measure().signals["running"] == 1.0
    run(subject, 300.0, Order(setpoint_kw=0.0))
    assert subject.measure().signals["running"] == 0.0
    run(subject, 300.0, Order(setpoint_kw=80.0))
    assert subject.measure().signals["running"] == 0.0


def test_chp_runs_at_its_minimum_rather_than_below() -> None:
    assert run(device("chp"), 300.0, Order(setpoint_kw=30.0))[-1] == pytest.approx(50.0, abs=1.0)
    assert run(device("chp"), 300.0, Order(setpoint_kw=20.0))[-1] == 0.0


def test_chp_burns_fuel_for_what_it_exports() -> None:
    subject = device("chp")
    run(subject, 3600.0, Order(setpoint_kw=100.0))
    seen = subject.measure()
    assert seen.signals["fuel_kwh"] == pytest.approx(seen.exported_kwh / 0.38)


def test_ev_station_has_vehicles_from_the_start_and_charges_them() -> None:
    subject = device("ev_station")
    assert run(subject, 60.0)[-1] < -5.0
    seen = subject.measure()
    assert len(seen.sessions) == seen.signals["n_vehicles"] > 0
    assert all(s.departs_at > NOON for s in seen.sessions)


def test_ev_station_charges_who_leaves_first() -> None:
    subject = device("ev_station")
    run(subject, 1.0)
    before = {s.session_id: s for s in subject.measure().sessions}
    run(subject, 300.0, Order(setpoint_kw=-10.0))
    after = {s.session_id: s.energy_needed_kwh for s in subject.measure().sessions}
    charged = {id_: s.energy_needed_kwh - after[id_] for id_, s in before.items() if id_ in after}
    first = min(charged, key=lambda id_: before[id_].departs_at)
    assert charged[first] == pytest.approx(max(charged.values()))
    assert charged[first] > 0.3


def test_ev_station_charges_as_much_as_it_draws_less_losses() -> None:
    subject = device("ev_station")
    run(subject, 1.0)
    before = subject.measure()
    run(subject, 60.0, dt_s=1.0)
    after = subject.measure()
    known = {s.session_id: s.energy_needed_kwh for s in before.sessions}
    charged_kwh = sum(
        known[s.session_id] - s.energy_needed_kwh for s in after.sessions if s.session_id in known
    )
    drawn_kwh = after.imported_kwh - before.imported_kwh
    assert charged_kwh == pytest.approx(0.93 * drawn_kwh, rel=0.02, abs=2e-3)


def test_ev_station_below_the_least_power_of_a_point_is_off() -> None:
    assert run(device("ev_station"), 60.0, Order(setpoint_kw=-3.0))[-1] == pytest.approx(
        0.0, abs=0.2
    )


def test_full_vehicle_draws_nothing() -> None:
    subject = device("ev_station")
    night = replace(DAY, local_time=NOON.replace(hour=1))
    tomorrow = (NOON + timedelta(days=1)).isoformat()
    subject.restore({"vehicles": [["v1", 5.0, tomorrow, 22.0]]})
    charging_kw, *_, last_kw = run(subject, 1800.0, surroundings=night, dt_s=10.0)
    assert charging_kw == pytest.approx(-22.0, abs=0.5)
    assert last_kw == pytest.approx(0.0, abs=0.2)
    assert subject.measure().imported_kwh == pytest.approx(5.0 / 0.93, rel=0.01)


def test_building_sheds_only_its_flexible_part() -> None:
    subject = device("flexible_load")
    run(subject, 120.0)
    run(subject, 120.0, Order(setpoint_kw=0.0))
    seen = subject.measure()
    assert seen.power_kw == pytest.approx(0.6 * seen.signals["baseline_kw"], rel=0.05)


def test_building_draws_later_part_of_what_it_shed() -> None:
    subject = device("flexible_load", rebound_frac=0.5)
    run(subject, 1800.0, Order(setpoint_kw=0.0))
    owed_kwh = subject.measure().signals["owed_kwh"]
    assert owed_kwh == pytest.approx(0.5 * 0.4 * 80.0 * 0.5, rel=0.15)
    seen_kw = run(subject, 60.0)[-1]
    assert seen_kw < subject.measure().signals["baseline_kw"] - 1.0
    run(subject, 4 * 3600.0, dt_s=60.0)
    assert subject.measure().signals["owed_kwh"] < 0.2 * owed_kwh


def test_building_stops_shedding_at_the_edge_of_comfort() -> None:
    subject = device("flexible_load", max_interruption_min=30.0, rebound_frac=1.0)
    run(subject, 2 * 3600.0, Order(setpoint_kw=0.0), dt_s=10.0)
    seen = subject.measure()
    assert seen.signals["indoor_temp_c"] >= 25.5
    assert seen.power_kw < 0.8 * seen.signals["baseline_kw"]


def test_building_uses_less_at_night() -> None:
    night = replace(DAY, local_time=NOON.replace(hour=3))
    by_night_kw = run(device("flexible_load"), 60.0, surroundings=night)[-1]
    assert by_night_kw > 0.6 * run(device("flexible_load"), 60.0)[-1]


@pytest.mark.parametrize("setpoint_kw", [-2.0, 0.0, math.nan])
def test_heat_pump_stores_stay_between_their_levels(setpoint_kw: float) -> None:
    rng = np.random.default_rng(5)
    pumps = build_fleet(values("fleet"), rng)
    for _ in range(24 * 30):
        pumps.step(120.0, np.full(200, setpoint_kw), np.full(200, math.inf), DAY, rng)
        assert pumps.store_frac.min() > 0.05
        assert pumps.store_frac.max() < 0.97
    assert pumps.power_kw.min() >= -2.0
    assert pumps.power_kw.max() <= 0.0


def test_heat_pumps_obey_each_its_own_set_point() -> None:
    rng = np.random.default_rng(5)
    pumps = build_fleet(values("fleet"), rng)
    setpoints_kw = np.linspace(-2.0, 0.0, 200)
    for _ in range(60):
        pumps.step(1.0, setpoints_kw, np.full(200, math.inf), DAY, rng)
    middle = (pumps.store_frac > 0.2) & (pumps.store_frac < 0.9)
    np.testing.assert_allclose(pumps.power_kw[middle], setpoints_kw[middle], atol=0.01)


def test_limited_heat_pumps_run_free_below_the_limit() -> None:
    rng = np.random.default_rng(5)
    pumps = build_fleet(values("fleet"), rng)
    for _ in range(120):
        pumps.step(1.0, np.full(200, math.nan), np.full(200, 0.5), DAY, rng)
    assert pumps.power_kw.min() == pytest.approx(-0.5, abs=0.01)
    assert pumps.power_kw.max() > -0.1


def test_unknown_kind_is_refused() -> None:
    with pytest.raises(ConfigError, match="must be one of"):
        build_device("tidal", {}, np.random.default_rng(0))


def test_fleet_of_another_kind_is_refused() -> None:
    with pytest.raises(ConfigError, match="heat_pump"):
        build_fleet({"device_kind": "ev"}, np.random.default_rng(0))


def test_damaged_memory_is_ignored() -> None:
    subject = device("battery")
    subject.restore({"soc_frac": "full", "power_kw": math.inf})
    assert 0.5 < subject.measure().signals["soc_frac"] < 0.8


def test_vehicles_of_a_dump_keep_their_departure() -> None:
    subject = device("ev_station")
    run(subject, 60.0)
    twin = device("ev_station")
    twin.restore(subject.dump())
    departures = [s.departs_at.astimezone(UTC) for s in subject.measure().sessions]
    assert [s.departs_at for s in twin.measure().sessions] == departures

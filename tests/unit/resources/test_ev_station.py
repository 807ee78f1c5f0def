"""The EV station: latest start, the shared connection, the least current, and its projection."""

from __future__ import annotations

import numpy as np
import pytest

from controllers.kernel.states import Envelope
from controllers.resources.ev_station import EvStation
from controllers.resources.parameters import ParameterValue
from controllers.resources.twin import TwinState, Vehicle
from tests.support.twins import at, make, reading, seen, vehicle


def station(**given: ParameterValue) -> EvStation:
    return make(EvStation, **{"charge_efficiency_frac": 1.0, **given})


def plugged(twin: EvStation, *vehicles: Vehicle, power_kw: float = 0.0) -> TwinState:
    return seen(twin, reading(0, power_kw, vehicles=list(vehicles)))


def offered(twin: EvStation, *vehicles: Vehicle, power_kw: float = 0.0) -> Envelope:
    return twin.envelope(plugged(twin, *vehicles, power_kw=power_kw), at(0))


def test_a_vehicle_with_time_may_wait_or_charge() -> None:
    envelope = offered(station(), vehicle(11.0, 3.0))
    assert (envelope.min_kw, envelope.max_kw, envelope.natural_kw) == (-11.0, 0.0, -11.0)
    assert (envelope.exclusion_low_kw, envelope.exclusion_high_kw) == (-4.14, 0.0)
    assert (envelope.energy_up_kwh, envelope.energy_down_kwh) == (11.0, 11.0)


def test_at_its_latest_start_a_vehicle_must_charge_at_full_rate() -> None:
    envelope = offered(station(), vehicle(11.0, 1.0))
    assert (envelope.min_kw, envelope.max_kw) == pytest.approx((-11.0, -11.0))
    assert envelope.energy_up_kwh == 0.0


def test_losses_bring_the_latest_start_forward() -> None:
    waiting = vehicle(11.0, 1.1)
    assert offered(station(), waiting).max_kw == 0.0
    assert offered(station(charge_efficiency_frac=0.9), waiting).max_kw == pytest.approx(-11.0)


def test_just_before_the_latest_start_the_least_current_suffices() -> None:
    # Half a minute of slack: half the rate for the next minute would do, 6 A at the least.
    assert offered(station(), vehicle(11.0, 1.0 + 0.5 / 60)).max_kw == pytest.approx(-5.5)
    assert offered(station(), vehicle(11.0, 1.0 + 0.9 / 60)).max_kw == pytest.approx(-4.14)
    assert offered(station(), vehicle(11.0, 1.0 + 1.1 / 60)).max_kw == 0.0


@pytest.mark.parametrize("leaves_in_h", [0.5, 0.0, -1.0], ids=["late", "now", "overdue"])
def test_a_departure_out_of_reach_is_charged_for_as_fast_as_possible(leaves_in_h: float) -> None:
    envelope = offered(station(), vehicle(11.0, leaves_in_h))
    assert (envelope.min_kw, envelope.max_kw) == (-11.0, -11.0)


def test_the_station_limit_bounds_what_all_can_draw() -> None:
    envelope = offered(station(max_charge_kw=25.0), *(vehicle(30.0, 9.0) for _ in range(4)))
    assert envelope.min_kw == -25.0


def test_a_shared_connection_makes_vehicles_start_earlier() -> None:
    # Each alone could wait an hour; together they need the connection for all of the two hours.
    pair = [vehicle(11.0, 2.0, name="a"), vehicle(11.0, 2.0, name="b")]
    assert offered(station(max_charge_kw=22.0), *pair).max_kw == 0.0
    assert offered(station(max_charge_kw=11.0), *pair).max_kw == pytest.approx(-11.0)


def test_the_points_limit_what_a_vehicle_could_take() -> None:
    fast = vehicle(50.0, 9.0, max_charge_kw=150.0)
    assert offered(station(plug_max_charge_kw=22.0), fast).min_kw == -22.0


def test_the_last_of_a_charge_is_still_drawn_at_the_least_power() -> None:
    envelope = offered(station(), vehicle(0.01, 9.0))
    assert (envelope.min_kw, envelope.max_kw) == (-4.14, 0.0)


def test_a_slow_vehicle_narrows_the_forbidden_band() -> None:
    envelope = offered(station(), vehicle(5.0, 9.0, max_charge_kw=2.3), vehicle(5.0, 9.0))
    assert envelope.exclusion_low_kw == -2.3


def test_full_vehicles_and_an_empty_station_offer_nothing() -> None:
    for vehicles in ([], [vehicle(0.0, 2.0)]):
        envelope = offered(station(), *vehicles)
        assert (envelope.min_kw, envelope.max_kw, envelope.exclusion_low_kw) == (0.0, 0.0, 0.0)


def test_reserve_counts_what_lasts_for_its_duration() -> None:
    twin = station(reserve_duration_h=1.0)
    # One hour of slack: it can pause for the whole hour.
    assert offered(twin, vehicle(11.0, 2.0), power_kw=-11.0).reserve_up_kw == pytest.approx(11.0)
    # Half an hour of slack: over the hour it must draw half of its rate.
    assert offered(twin, vehicle(11.0, 1.5), power_kw=-11.0).reserve_up_kw == pytest.approx(5.5)
    # It is full after half an hour, so only half of its rate can be drawn for the hour.
    assert offered(twin, vehicle(5.5, 9.0)).reserve_down_kw == pytest.approx(5.5)


def test_a_projection_waits_as_told_and_still_meets_every_departure() -> None:
    twin = station(max_charge_kw=22.0)
    vehicles = [vehicle(11.0, 2.0, name="a"), vehicle(5.5, 1.0, name="b"), vehicle(20.0, 3.0)]
    run = twin.project(plugged(twin, *vehicles), np.zeros(12), np.zeros(12), 900.0)
    assert run.energy_kwh[0] == 36.5
    assert run.energy_kwh[-1] == pytest.approx(0.0, abs=1e-9)
    assert np.diff(run.energy_kwh) == pytest.approx(run.power_kw * 0.25)
    assert run.power_kw[0] == 0.0
    # By the first departure its vehicle is served, by the second both.
    assert run.energy_kwh[0] - run.energy_kwh[4] >= 5.5 - 1e-9
    assert run.energy_kwh[0] - run.energy_kwh[8] >= 16.5 - 1e-9


def test_a_released_station_charges_as_fast_as_it_can() -> None:
    twin = station()
    state = plugged(twin, vehicle(8.0, 9.0))
    run = twin.project(state, np.full(4, np.nan), np.zeros(4), 900.0)
    assert run.power_kw.tolist() == pytest.approx([-11.0, -11.0, -10.0, 0.0])


def test_two_vehicles_that_both_must_charge_are_both_served() -> None:
    twin = station()
    pair = [vehicle(11.0, 1.05, name="a"), vehicle(4.4, 0.5, name="b")]
    run = twin.project(plugged(twin, *pair), np.zeros(4), np.zeros(4), 900.0)
    # 8.8 and 6.6 kW; had the first in line taken all of it, the second would be late.
    assert run.power_kw[:2].tolist() == pytest.approx([-15.4, -22.0])
    assert run.energy_kwh[2] == pytest.approx(11.0 * 0.55)

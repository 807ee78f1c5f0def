"""The battery: limits that fade in near full and empty, the backup reserve, counting energy."""

from __future__ import annotations

import numpy as np
import pytest

from controllers.resources.battery import Battery
from tests.support.twins import at, make, reading, seen


def test_at_half_charge_all_power_is_offered() -> None:
    twin = make(Battery)
    envelope = twin.envelope(seen(twin, reading(0, 0.0, soc_frac=0.5)), at(0))
    assert (envelope.min_kw, envelope.max_kw, envelope.natural_kw) == (-80.0, 100.0, 0.0)
    assert envelope.energy_up_kwh == pytest.approx(0.45 * 200 * 0.95)
    assert envelope.energy_down_kwh == pytest.approx(0.45 * 200 / 0.95)
    assert envelope.ramp_up_kw_per_min == 60.0 * 100.0


@pytest.mark.parametrize(
    ("soc_frac", "min_kw", "max_kw"),
    [(0.95, 0.0, 100.0), (0.99, 0.0, 100.0), (0.05, -80.0, 0.0), (0.01, -80.0, 0.0)],
    ids=["full", "overfull", "empty", "overempty"],
)
def test_at_a_limit_only_the_way_back_is_open(
    soc_frac: float, min_kw: float, max_kw: float
) -> None:
    twin = make(Battery)
    envelope = twin.envelope(seen(twin, reading(0, 0.0, soc_frac=soc_frac)), at(0))
    assert (envelope.min_kw, envelope.max_kw) == pytest.approx((min_kw, max_kw))


def test_near_empty_the_offer_is_what_a_minute_can_take() -> None:
    twin = make(Battery)
    state = seen(twin, reading(0, 0.0, soc_frac=0.052))
    assert twin.envelope(state, at(0)).max_kw == pytest.approx(0.002 * 200 * 0.95 * 60)


def test_the_backup_reserve_is_never_offered() -> None:
    twin = make(Battery, reserve_soc_frac=0.4)
    envelope = twin.envelope(seen(twin, reading(0, 0.0, soc_frac=0.4)), at(0))
    assert (envelope.max_kw, envelope.energy_up_kwh, envelope.reserve_up_kw) == (0.0, 0.0, 0.0)


def test_the_age_of_the_sample_counts_against_the_store() -> None:
    twin = make(Battery, max_age_s=10.0)
    state = seen(twin, reading(0, 100.0, soc_frac=0.055))
    fresh, aged = twin.envelope(state, at(0)), twin.envelope(state, at(9))
    used_kwh = 100.0 * 9 / 3600
    assert fresh.energy_up_kwh - aged.energy_up_kwh == pytest.approx(used_kwh)
    assert twin.envelope(state, at(10)) == twin.envelope(state, at(100))


def test_reserve_is_what_can_be_sustained_from_the_present_power() -> None:
    twin = make(Battery, reserve_duration_h=2.0)
    envelope = twin.envelope(seen(twin, reading(0, -20.0, soc_frac=0.5)), at(0))
    assert envelope.reserve_up_kw == pytest.approx(0.45 * 200 * 0.95 / 2.0 + 20.0)
    assert envelope.reserve_down_kw == pytest.approx(0.45 * 200 / 0.95 / 2.0 - 20.0)


def test_between_levels_the_store_is_counted_from_power() -> None:
    twin = make(Battery)
    state = seen(twin, reading(0, 90.0, soc_frac=0.5), reading(8, 90.0))
    assert state.memory["stored_kwh"] == pytest.approx(100.0 - 90.0 * 8 / 3600 / 0.95)
    state = seen(twin, reading(16, -90.0), reading(24, -90.0), state=state)
    assert state.memory["stored_kwh"] == pytest.approx(
        100.0 - 90.0 * 8 / 3600 / 0.95 + 90.0 * 8 / 3600 * 0.95
    )


def test_without_any_level_nothing_is_offered() -> None:
    twin = make(Battery)
    envelope = twin.envelope(seen(twin, reading(0, 10.0), reading(1, 10.0)), at(1))
    assert (envelope.min_kw, envelope.max_kw) == (0.0, 0.0)


def test_a_projection_stops_at_the_floor() -> None:
    twin = make(Battery)
    state = seen(twin, reading(0, 0.0, soc_frac=0.3))
    run = twin.project(state, np.array([100.0, 100.0, 100.0, -80.0]), np.zeros(4), 900.0)
    assert run.power_kw.tolist() == pytest.approx([100.0, 90.0, 0.0, -80.0])
    assert run.energy_kwh.tolist() == pytest.approx([60.0, 60.0 - 25.0 / 0.95, 10.0, 10.0, 29.0])


def test_a_projection_takes_the_nearer_edge_of_the_band() -> None:
    twin = make(Battery, exclusion_low_kw=-10.0, exclusion_high_kw=20.0)
    state = seen(twin, reading(0, 0.0, soc_frac=0.5))
    run = twin.project(state, np.array([4.0, 6.0, 20.0, np.nan]), np.zeros(4), 900.0)
    assert run.power_kw.tolist() == [-10.0, 20.0, 20.0, 0.0]


def test_an_edge_that_the_store_cannot_hold_is_not_taken() -> None:
    twin = make(Battery, exclusion_low_kw=-10.0, exclusion_high_kw=20.0)
    state = seen(twin, reading(0, 0.0, soc_frac=0.05))
    run = twin.project(state, np.array([20.0]), np.zeros(1), 900.0)
    assert run.power_kw.tolist() == [-10.0]


def test_a_projection_moves_no_faster_than_the_ramp() -> None:
    twin = make(Battery, ramp_frac_per_min=0.1)
    state = seen(twin, reading(0, 0.0, soc_frac=0.5))
    run = twin.project(state, np.array([100.0, 100.0, -80.0]), np.zeros(3), 120.0)
    assert run.power_kw.tolist() == pytest.approx([20.0, 40.0, 20.0])

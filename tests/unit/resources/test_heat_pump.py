"""The heat pump: the store must not run empty or over, and heat is conserved."""

from __future__ import annotations

import numpy as np
import pytest

from controllers.resources.heat_pump import HeatPump
from tests.support.twins import at, make, reading, seen


def heat_pump(**given: float) -> HeatPump:
    return make(HeatPump, **{"cop": 3.0, "store_loss_frac_per_h": 0.0, **given})


def test_with_a_half_full_store_all_power_is_offered() -> None:
    twin = heat_pump()
    state = seen(twin, reading(0, -20.0, store_frac=0.5, heat_demand_kw=60.0))
    envelope = twin.envelope(state, at(0))
    assert (envelope.min_kw, envelope.max_kw, envelope.natural_kw) == (-50.0, 0.0, -20.0)
    assert envelope.energy_up_kwh == pytest.approx(0.4 * 200 / 3.0)
    assert envelope.energy_down_kwh == pytest.approx(0.45 * 200 / 3.0)


@pytest.mark.parametrize(
    ("store_frac", "min_kw", "max_kw"),
    [(0.05, -50.0, -50.0), (0.1, -50.0, -20.0), (0.95, -20.0, 0.0), (1.0, 0.0, 0.0)],
    ids=["below the floor", "at the floor", "at the ceiling", "above the ceiling"],
)
def test_at_a_limit_of_the_store_power_is_what_keeps_it(
    store_frac: float, min_kw: float, max_kw: float
) -> None:
    twin = heat_pump()
    state = seen(twin, reading(0, -20.0, store_frac=store_frac, heat_demand_kw=60.0))
    envelope = twin.envelope(state, at(0))
    assert (envelope.min_kw, envelope.max_kw) == pytest.approx((min_kw, max_kw))


def test_losses_count_as_demand() -> None:
    twin = heat_pump(store_loss_frac_per_h=0.3)
    state = seen(twin, reading(0, -20.0, store_frac=0.1, heat_demand_kw=60.0))
    assert twin.envelope(state, at(0)).max_kw == pytest.approx(-(60.0 + 0.3 * 20.0) / 3.0)


def test_without_a_demand_signal_the_present_heat_is_the_demand() -> None:
    twin = heat_pump()
    state = seen(twin, reading(0, -15.0, store_frac=0.1))
    envelope = twin.envelope(state, at(0))
    assert (envelope.max_kw, envelope.natural_kw) == pytest.approx((-15.0, -15.0))


def test_reserve_is_what_the_store_can_bridge() -> None:
    twin = heat_pump(reserve_duration_h=1.0)
    state = seen(twin, reading(0, -20.0, store_frac=0.2, heat_demand_kw=60.0))
    # 20 kWh above the floor serve a third of the hour's 60 kWh.
    assert twin.envelope(state, at(0)).reserve_up_kw == pytest.approx(20.0 / 3.0)


def test_between_levels_the_store_is_counted_from_power_and_demand() -> None:
    twin = heat_pump()
    state = seen(twin, reading(0, -30.0, store_frac=0.5, heat_demand_kw=60.0), reading(6, -30.0))
    assert state.memory["heat_kwh"] == pytest.approx(100.0 + (90.0 - 60.0) * 6 / 3600)
    fresh = seen(twin, reading(12, -30.0, store_frac=0.7), state=state)
    assert fresh.memory["heat_kwh"] == pytest.approx(140.0)


def test_without_any_level_power_is_left_where_it_is() -> None:
    twin = heat_pump()
    envelope = twin.envelope(seen(twin, reading(0, -20.0), reading(1, -20.0)), at(1))
    assert (envelope.min_kw, envelope.max_kw, envelope.natural_kw) == (-20.0, -20.0, -20.0)


def test_a_projection_conserves_heat_and_keeps_the_limits() -> None:
    twin = heat_pump()
    state = seen(twin, reading(0, -20.0, store_frac=0.5, heat_demand_kw=60.0))
    setpoints_kw = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -50.0, np.nan])
    run = twin.project(state, setpoints_kw, np.full(8, -20.0), 900.0)
    assert np.diff(run.energy_kwh) == pytest.approx((-run.power_kw * 3.0 - 60.0) * 0.25)
    assert run.energy_kwh[5] == pytest.approx(25.0)
    assert run.power_kw[5:].tolist() == pytest.approx([-(60.0 - 20.0) / 3.0, -50.0, -20.0])
    assert run.energy_kwh.min() == pytest.approx(20.0)


def test_a_store_cannot_give_what_it_has_not() -> None:
    twin = heat_pump()
    assert twin.heat_after(5.0, 0.0, 60.0, 1.0) == 0.0
    assert twin.heat_after(195.0, -50.0, 0.0, 1.0) == 200.0

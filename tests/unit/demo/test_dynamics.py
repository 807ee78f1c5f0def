"""Lag, ramp and chance: exact for any step length."""

from __future__ import annotations

import numpy as np
import pytest

from cluster.demo.dynamics import Actuator, Order, Registers, Wander, limited


@pytest.mark.parametrize("n_steps", [1, 7, 60, 900])
@pytest.mark.parametrize(("lag_s", "ramp"), [(0.4, 36_000.0), (8.0, 30.0), (30.0, 6.0)])
def test_power_and_energy_do_not_depend_on_the_step_length(
    n_steps: int, lag_s: float, ramp: float
) -> None:
    actuator = Actuator(lag_s=lag_s, ramp_kw_per_min=ramp)
    whole_kw, whole_mean_kw = actuator.follow(-40.0, 60.0, 90.0, None)
    power_kw, energy_kws = -40.0, 0.0
    for _ in range(n_steps):
        power_kw, mean_kw = actuator.follow(power_kw, 60.0, 90.0 / n_steps, None)
        energy_kws += mean_kw * 90.0 / n_steps
    assert power_kw == pytest.approx(whole_kw, abs=1e-6)
    assert energy_kws == pytest.approx(whole_mean_kw * 90.0, abs=1e-6)


def test_far_from_the_target_the_ramp_limits() -> None:
    actuator = Actuator(lag_s=1.0, ramp_kw_per_min=60.0)
    power_kw, mean_kw = actuator.follow(0.0, -100.0, 10.0, None)
    assert (power_kw, mean_kw) == (pytest.approx(-10.0), pytest.approx(-5.0))


def test_ordered_ramp_counts_only_where_it_is_slower() -> None:
    actuator = Actuator(lag_s=1.0, ramp_kw_per_min=60.0)
    assert actuator.follow(0.0, 100.0, 10.0, 30.0)[0] == pytest.approx(5.0)
    assert actuator.follow(0.0, 100.0, 10.0, 600.0)[0] == pytest.approx(10.0)


def test_power_at_the_target_stays() -> None:
    assert Actuator(lag_s=2.0, ramp_kw_per_min=5.0).follow(7.0, 7.0, 900.0, None) == (7.0, 7.0)


@pytest.mark.parametrize("dt_s", [0.2, 30.0, 900.0])
def test_wander_keeps_unit_variance_at_any_step(dt_s: float) -> None:
    rng = np.random.default_rng(1)
    walk = Wander(60.0)
    values = [walk.step(dt_s, rng) for _ in range(40_000)]
    assert np.std(values) == pytest.approx(1.0, abs=0.15)


def test_registers_keep_directions_apart() -> None:
    registers = Registers()
    registers.add(60.0, 60.0)
    registers.add(-120.0, 60.0)
    assert (registers.exported_kwh, registers.imported_kwh) == (1.0, 2.0)


@pytest.mark.parametrize(
    ("order", "expected_kw"),
    [
        (Order(), -50.0),
        (Order(setpoint_kw=10.0), 10.0),
        (Order(limit_kw=20.0), -20.0),
        (Order(limit_kw=80.0), -50.0),
        (Order(setpoint_kw=30.0, limit_kw=20.0), 30.0),
    ],
)
def test_device_heads_for_its_order_else_its_nature_within_the_limit(
    order: Order, expected_kw: float
) -> None:
    assert limited(-50.0, order) == expected_kw

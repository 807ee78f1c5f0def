"""Properties of the twins: ordered envelopes, safe look-ahead, conserved energy, exact splits."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from controllers.resources.base import LOOKAHEAD_S
from controllers.resources.battery import Battery
from controllers.resources.chp import Chp
from controllers.resources.ev_station import EvStation
from controllers.resources.fleet import Fleet
from controllers.resources.fleet_columns import FleetColumns
from controllers.resources.heat_pump import HeatPump
from controllers.resources.kinds import TWINS, build_twin
from controllers.resources.twin import Reading, Vehicle
from tests.support.twins import VALID, at, make, reading, seen, vehicle

fracs = st.floats(0.0, 1.0)
STEP_S = 900.0
N_STEPS = 12
setpoints = st.lists(
    st.one_of(st.just(float("nan")), st.floats(-150.0, 150.0)), min_size=N_STEPS, max_size=N_STEPS
).map(np.array)
vehicles = st.lists(
    st.builds(
        vehicle,
        st.floats(0.0, 40.0),
        st.floats(-0.5, 12.0),
        max_charge_kw=st.sampled_from([2.3, 3.7, 11.0, 22.0, 150.0]),
    ),
    max_size=12,
)


@st.composite
def histories(draw: st.DrawFn) -> list[Reading]:
    """A few samples with any signals, gaps and powers of either sign."""
    seconds, samples = 0.0, []
    for _ in range(draw(st.integers(1, 6))):
        seconds += draw(st.floats(0.05, 30.0))
        signals = {
            name: draw(values)
            for name, values in {
                "soc_frac": fracs,
                "store_frac": fracs,
                "heat_demand_kw": st.floats(0.0, 300.0),
                "baseline_kw": st.floats(-250.0, 0.0),
                "indoor_temp_c": st.floats(10.0, 35.0),
                "running": st.sampled_from([0.0, 1.0]),
                "available_kw": st.floats(0.0, 150.0),
            }.items()
            if draw(st.booleans())
        }
        samples.append(
            reading(
                seconds,
                draw(st.floats(-120.0, 120.0)),
                setpoint_kw=draw(st.none() | st.floats(-120.0, 120.0)),
                vehicles=draw(vehicles),
                **signals,
            )
        )
    return samples


@settings(max_examples=40)
@pytest.mark.parametrize("kind", sorted(set(TWINS) - {"fleet"}))
@given(history=histories(), later_s=st.floats(0.0, 600.0))
def test_an_envelope_is_ordered_within_the_name_plate_and_finite(
    kind: str, history: list[Reading], later_s: float
) -> None:
    twin = build_twin(kind, VALID[kind])
    state = seen(twin, *history)
    envelope = twin.envelope(state, history[-1].measured_at + timedelta(seconds=later_s))
    assert -twin.rated_kw - 1e-9 <= envelope.min_kw <= envelope.max_kw <= twin.rated_kw + 1e-9
    assert envelope.min_kw <= envelope.natural_kw <= envelope.max_kw
    for magnitude in (
        envelope.energy_up_kwh,
        envelope.energy_down_kwh,
        envelope.reserve_up_kw,
        envelope.reserve_down_kw,
        envelope.ramp_up_kw_per_min,
    ):
        assert 0.0 <= magnitude < float("inf")
    assert envelope.exclusion_low_kw <= envelope.exclusion_high_kw
    assert state.exported_kwh >= 0.0
    assert state.imported_kwh >= 0.0


@given(powers_kw=st.lists(st.floats(-80.0, 80.0), min_size=2, max_size=30))
def test_exported_less_imported_is_the_integral_of_power(powers_kw: list[float]) -> None:
    samples = [reading(float(i), p) for i, p in enumerate(powers_kw)]
    state = seen(make(Battery), *samples)
    integral_kwh = np.trapezoid(powers_kw) / 3600.0
    assert state.exported_kwh - state.imported_kwh == pytest.approx(integral_kwh, abs=1e-9)


@given(soc_frac=fracs, share=fracs, power_kw=st.floats(-80.0, 100.0), age_s=st.floats(0.0, 10.0))
def test_a_setpoint_inside_the_envelope_can_be_held_for_the_look_ahead(
    soc_frac: float, share: float, power_kw: float, age_s: float
) -> None:
    twin = make(Battery, reserve_soc_frac=0.3)
    state = seen(twin, reading(0, power_kw, soc_frac=soc_frac))
    envelope = twin.envelope(state, at(age_s))
    held_kw = envelope.min_kw + share * (envelope.max_kw - envelope.min_kw)
    now_kwh = twin.stored_after(soc_frac * 200.0, power_kw, age_s / 3600.0)
    then_kwh = twin.stored_after(now_kwh, held_kw, LOOKAHEAD_S / 3600.0)
    assert then_kwh >= min(now_kwh, twin.floor_kwh) - 1e-6
    assert then_kwh <= max(now_kwh, twin.ceiling_kwh) + 1e-6


@given(soc_frac=fracs, setpoints_kw=setpoints)
def test_a_projected_battery_conserves_energy_and_keeps_its_limits(
    soc_frac: float, setpoints_kw: np.ndarray
) -> None:
    twin = make(Battery, reserve_soc_frac=0.2)
    state = seen(twin, reading(0, 0.0, soc_frac=soc_frac))
    run = twin.project(state, setpoints_kw, np.zeros(N_STEPS), STEP_S)
    charged_kwh = np.where(run.power_kw > 0.0, run.power_kw / 0.95, run.power_kw * 0.95) * 0.25
    assert np.diff(run.energy_kwh) == pytest.approx(-charged_kwh, abs=1e-9)
    start_kwh = run.energy_kwh[0]
    assert run.energy_kwh.min() >= min(start_kwh, twin.floor_kwh) - 1e-6
    assert run.energy_kwh.max() <= max(start_kwh, twin.ceiling_kwh) + 1e-6
    assert (run.power_kw >= run.min_kw - 1e-9).all()
    assert (run.power_kw <= run.max_kw + 1e-9).all()


@given(
    store_frac=fracs, setpoints_kw=setpoints, demand_kw=st.floats(0.0, 150.0), loss=st.floats(0, 1)
)
def test_a_projected_store_stays_within_its_limits_while_the_pump_can_help_it(
    store_frac: float, setpoints_kw: np.ndarray, demand_kw: float, loss: float
) -> None:
    twin = make(HeatPump, store_loss_frac_per_h=0.1 * loss, cop=3.0)
    state = seen(twin, reading(0, 0.0, store_frac=store_frac))
    run = twin.project(state, setpoints_kw, np.full(N_STEPS, -demand_kw / 3.0), STEP_S)
    lost_kw = run.energy_kwh[:-1] * twin.loss_frac_per_h
    gained_kwh = (-run.power_kw * 3.0 - demand_kw - lost_kw) * 0.25
    expected = np.clip(run.energy_kwh[:-1] + gained_kwh, 0.0, 200.0)
    assert run.energy_kwh[1:] == pytest.approx(expected, abs=1e-6)
    assert run.energy_kwh.max() <= max(run.energy_kwh[0], twin.ceiling_kwh) + 1e-6
    if demand_kw + 0.1 * 200.0 <= 150.0:
        assert run.energy_kwh.min() >= min(run.energy_kwh[0], twin.floor_kwh) - 1e-6


@given(setpoints_kw=setpoints, running=st.booleans())
def test_a_projected_chp_never_runs_inside_its_band_nor_breaks_its_minimum_times(
    setpoints_kw: np.ndarray, running: bool
) -> None:
    twin = make(Chp, min_up_min=45.0, min_down_min=30.0)
    state = seen(twin, reading(0, 80.0 if running else 0.0, running=float(running)))
    run = twin.project(state, setpoints_kw, np.full(N_STEPS, 70.0), STEP_S)
    runs = run.power_kw > 0.0
    assert ((run.power_kw == 0.0) | (run.power_kw >= 60.0 - 1e-9)).all()
    changes = np.flatnonzero(np.diff(np.concatenate([[running], runs]).astype(int)))
    for begin, end in pairwise(changes.tolist()):
        assert end - begin >= (3 if runs[begin] else 2)


@given(
    needed_kwh=st.floats(0.0, 40.0),
    rate_kw=st.sampled_from([2.3, 3.7, 11.0, 22.0]),
    leaves_after=st.integers(1, N_STEPS),
    setpoints_kw=setpoints,
)
def test_a_departure_that_full_power_meets_is_met_under_any_setpoints(
    needed_kwh: float, rate_kw: float, leaves_after: int, setpoints_kw: np.ndarray
) -> None:
    twin = make(EvStation)
    waiting = vehicle(needed_kwh, leaves_after * 0.25, max_charge_kw=rate_kw)
    state = seen(twin, reading(0, 0.0, vehicles=[waiting]))
    fastest = twin.project(state, np.full(N_STEPS, np.nan), np.zeros(N_STEPS), STEP_S)
    run = twin.project(state, setpoints_kw, np.zeros(N_STEPS), STEP_S)
    assert run.energy_kwh[leaves_after] == pytest.approx(
        0.0 if fastest.energy_kwh[leaves_after] <= 0.0 else fastest.energy_kwh[leaves_after],
        abs=1e-6,
    )


@given(plugged=vehicles, setpoints_kw=setpoints)
def test_a_projected_station_conserves_energy_and_keeps_its_bounds(
    plugged: list[Vehicle], setpoints_kw: np.ndarray
) -> None:
    twin = make(EvStation)
    state = seen(twin, reading(0, 0.0, vehicles=plugged))
    run = twin.project(state, setpoints_kw, np.zeros(N_STEPS), STEP_S)
    assert np.diff(run.energy_kwh) == pytest.approx(run.power_kw * 0.25, abs=1e-6)
    assert (run.power_kw >= run.min_kw - 1e-9).all()
    assert (run.power_kw <= run.max_kw + 1e-9).all()
    assert run.power_kw.min() >= -100.0


@given(
    device_kind=st.sampled_from(["heat_pump", "battery", "ev"]),
    levels=st.lists(fracs, min_size=1, max_size=40),
    n_stale=st.integers(0, 40),
    setpoint_kw=st.floats(-200.0, 200.0),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_fleet_split_is_exact_and_within_every_device(
    device_kind: str, levels: list[float], n_stale: int, setpoint_kw: float, seed: int
) -> None:
    n = len(levels)
    fleet = make(Fleet, device_kind=device_kind, n_devices=n, efficiency=0.9, max_age_s=10.0)
    columns = FleetColumns(fleet)
    rng = np.random.default_rng(seed)
    power_kw = rng.uniform(-3.0, 3.0 if device_kind == "battery" else 0.0, n)
    departs_in_h = rng.uniform(0.0, 6.0, n)
    signals = {"store_frac": levels, "departs_in_h": departs_in_h}
    columns.observe_chunk(
        first=0, measured_at=at(0), power_kw=power_kw, signals=signals, command_id=None
    )
    n_stale = min(n_stale, n)
    if n_stale < n:
        columns.observe_chunk(
            first=n_stale,
            measured_at=at(9),
            power_kw=power_kw[n_stale:],
            signals={name: column[n_stale:] for name, column in signals.items()},
            command_id=None,
        )
    total = columns.aggregate(at(12))
    assert total is not None
    assert total.n_fresh == n - n_stale
    sums = total.reading.signals
    parts_kw = columns.split(setpoint_kw, at(12))
    possible_kw = min(max(setpoint_kw, sums["min_kw"]), sums["max_kw"])
    assert parts_kw.sum() == pytest.approx(possible_kw, abs=1e-6)
    assert parts_kw[:n_stale].tolist() == power_kw[:n_stale].tolist()
    moved_kw, level = parts_kw[n_stale:], np.array(levels[n_stale:])
    assert (np.abs(moved_kw) <= 3.0 + 1e-9).all()
    assert (moved_kw[level >= fleet.store_max_frac] >= -1e-9).all()
    if device_kind == "battery":
        assert (moved_kw[level <= fleet.store_min_frac] <= 1e-9).all()
    else:
        assert (moved_kw <= 1e-9).all()
    if device_kind == "heat_pump":
        assert moved_kw[level <= fleet.store_min_frac] == pytest.approx(-3.0)

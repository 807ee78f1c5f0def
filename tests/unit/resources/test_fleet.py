"""The fleet: intake of chunks, sums, read-back, and the exact split over devices."""

from __future__ import annotations

import math

import numpy as np
import pytest

from controllers.kernel.errors import DomainError
from controllers.resources.fleet import Fleet
from controllers.resources.fleet_columns import FleetColumns
from controllers.resources.parameters import ParameterValue
from tests.support.twins import at, make, seen


def pumps(n_devices: int = 4, **given: ParameterValue) -> Fleet:
    return make(Fleet, **{"n_devices": n_devices, "max_age_s": 10.0, **given})


def observe(
    columns: FleetColumns,
    power_kw: list[float],
    store_frac: list[float] | None,
    *,
    first: int = 0,
    seconds: float = 0.0,
    command_id: str | None = None,
    **signals: list[float],
) -> int:
    if store_frac is not None:
        signals["store_frac"] = store_frac
    return columns.observe_chunk(
        first=first,
        measured_at=at(seconds),
        power_kw=power_kw,
        signals=signals,
        command_id=command_id,
    )


def test_chunks_add_up_to_one_reading() -> None:
    columns = FleetColumns(pumps())
    assert observe(columns, [-1.0, -2.0], [0.5, 0.5]) == 2
    assert observe(columns, [-3.0, 0.0], [0.7, 0.9], first=2, seconds=1.0) == 2
    total = columns.aggregate(at(1))
    assert total is not None
    assert total.reading.measured_at == at(1)
    assert total.reading.power_kw == -6.0
    assert (total.coverage_frac, total.n_fresh, total.command_id) == (1.0, 4, None)
    # The last device is nearly full and may draw no more than its fading limit.
    assert total.reading.signals["min_kw"] == pytest.approx(-9.0 - 3.0)
    assert total.reading.signals["max_kw"] == 0.0
    assert total.reading.signals["natural_kw"] == -6.0
    assert total.reading.signals["store_frac"] == pytest.approx(0.65)


def test_nothing_is_known_before_the_first_chunk() -> None:
    assert FleetColumns(pumps()).aggregate(at(0)) is None


def test_the_twin_reads_its_envelope_from_the_sums() -> None:
    fleet = pumps(reserve_duration_h=1.0)
    columns = FleetColumns(fleet)
    observe(columns, [-1.0] * 4, [0.5] * 4)
    total = columns.aggregate(at(0))
    assert total is not None
    envelope = fleet.envelope(seen(fleet, total.reading), at(0))
    assert (envelope.min_kw, envelope.max_kw, envelope.natural_kw) == (-12.0, 0.0, -4.0)
    assert envelope.energy_up_kwh == pytest.approx(4 * 0.4 * 10 / 3.0)
    assert envelope.energy_down_kwh == pytest.approx(4 * 0.45 * 10 / 3.0)
    assert envelope.reserve_up_kw == pytest.approx(4.0)
    assert envelope.reserve_down_kw == pytest.approx(4 * 0.45 * 10 / 3.0)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"first": -1}, "first"),
        ({"first": 3}, "first"),
        ({"power_kw": []}, "power_kw"),
        ({"power_kw": [[1.0], [2.0]]}, "power_kw"),
        ({"power_kw": [-1.0, math.nan]}, "power_kw"),
        ({"power_kw": [-1.0, -30.0]}, "power_kw"),
        ({"signals": {"store_frac": [0.5]}}, "signals.store_frac"),
        ({"signals": {"store_frac": [0.5, math.inf]}}, "signals.store_frac"),
        ({"signals": {"store_frac": [0.5, 1.2]}}, "signals.store_frac"),
        ({"measured_at": at(5)}, "measured_at"),
        ({"measured_at": at(4)}, "measured_at"),
    ],
)
def test_a_chunk_that_does_not_fit_changes_nothing(change: dict[str, object], field: str) -> None:
    columns = FleetColumns(pumps())
    observe(columns, [-1.0] * 4, [0.5] * 4, seconds=5)
    before = columns.aggregate(at(5))
    chunk: dict[str, object] = {
        "first": 0,
        "measured_at": at(6),
        "power_kw": [-2.0, -2.0],
        "signals": {"store_frac": [0.1, 0.1]},
        "command_id": "c-1-1",
        **change,
    }
    with pytest.raises(DomainError) as refusal:
        columns.observe_chunk(**chunk)  # type: ignore[arg-type]
    assert refusal.value.field == field
    assert columns.aggregate(at(5)) == before


def test_a_late_chunk_is_news_only_for_devices_it_is_newer_for() -> None:
    columns = FleetColumns(pumps())
    observe(columns, [-1.0, -1.0], [0.5, 0.5], seconds=5)
    assert observe(columns, [-3.0] * 4, [0.5] * 4, seconds=3) == 2
    total = columns.aggregate(at(5))
    assert total is not None
    assert total.reading.power_kw == -8.0
    assert total.reading.measured_at == at(5)


def test_unknown_signals_are_ignored() -> None:
    columns = FleetColumns(pumps())
    assert observe(columns, [-1.0], [0.5], supply_temp_c=[35.0]) == 1


def test_devices_out_of_date_count_with_their_last_power_and_are_not_moved() -> None:
    columns = FleetColumns(pumps())
    observe(columns, [-1.0, -2.0], [0.5, 0.5])
    observe(columns, [-1.5, -1.5], [0.5, 0.5], first=2, seconds=10.5)
    total = columns.aggregate(at(10.5))
    assert total is not None
    assert (total.coverage_frac, total.n_fresh) == (0.5, 2)
    assert total.reading.power_kw == -6.0
    assert total.reading.signals["min_kw"] == pytest.approx(-3.0 - 6.0)
    assert total.reading.signals["max_kw"] == pytest.approx(-3.0)
    assert columns.split(-7.0, at(10.5)).tolist() == pytest.approx([-1.0, -2.0, -2.0, -2.0])


def test_a_device_without_a_level_is_fresh_but_not_steered() -> None:
    columns = FleetColumns(pumps(2))
    observe(columns, [-1.0, -1.0], None)
    total = columns.aggregate(at(0))
    assert total is not None
    assert total.coverage_frac == 1.0
    assert "store_frac" not in total.reading.signals
    assert columns.split(0.0, at(0)).tolist() == [-1.0, -1.0]


def test_a_command_counts_as_executed_when_nearly_all_read_it_back() -> None:
    columns = FleetColumns(pumps(100))
    observe(columns, [-1.0] * 94, [0.5] * 94, command_id="f-1-2")
    observe(columns, [-1.0] * 6, [0.5] * 6, first=94, seconds=-1.0, command_id="f-1-1")
    total = columns.aggregate(at(0))
    assert total is not None
    assert total.command_id is None
    observe(columns, [-1.0], [0.5], first=94, command_id="f-1-2")
    total = columns.aggregate(at(0))
    assert total is not None
    assert total.command_id == "f-1-2"
    assert columns.aggregate(at(60)).command_id is None  # type: ignore[union-attr]


def test_natural_power_is_remembered_from_before_the_command() -> None:
    columns = FleetColumns(pumps(2))
    observe(columns, [-1.0, -1.0], [0.5, 0.5])
    observe(columns, [0.0, 0.0], [0.5, 0.5], seconds=1, command_id="f-1-1")
    total = columns.aggregate(at(1))
    assert total is not None
    assert total.reading.signals["natural_kw"] == -2.0


def test_an_empty_store_must_draw_and_a_full_one_must_not() -> None:
    columns = FleetColumns(pumps(4))
    observe(columns, [0.0, 0.0, 0.0, 0.0], [0.1, 0.125, 0.5, 0.95])
    assert columns.split(0.0, at(0)).tolist() == pytest.approx([-3.0, -1.5, 0.0, 0.0])
    assert columns.split(-99.0, at(0)).tolist() == pytest.approx([-3.0, -3.0, -3.0, 0.0])


def test_the_emptier_store_draws_more() -> None:
    columns = FleetColumns(pumps(2))
    observe(columns, [0.0, 0.0], [0.35, 0.65])
    first_kw, second_kw = columns.split(-3.0, at(0)).tolist()
    assert first_kw + second_kw == pytest.approx(-3.0)
    assert first_kw == pytest.approx(2.0 * second_kw)


def test_batteries_give_from_the_fuller_and_rest_when_released() -> None:
    fleet = pumps(2, device_kind="battery", efficiency=0.9)
    columns = FleetColumns(fleet)
    observe(columns, [1.0, 1.0], [0.3, 0.5])
    total = columns.aggregate(at(0))
    assert total is not None
    sums = total.reading.signals
    assert (sums["min_kw"], sums["max_kw"], sums["natural_kw"]) == (-6.0, 6.0, 0.0)
    assert sums["energy_up_kwh"] == pytest.approx((0.2 + 0.4) * 10 * 0.9)
    first_kw, second_kw = columns.split(3.0, at(0)).tolist()
    assert (first_kw, second_kw) == pytest.approx((1.0, 2.0))
    assert fleet.high_kw == 6.0


def test_vehicles_charge_when_released_and_must_at_their_latest_start() -> None:
    columns = FleetColumns(pumps(3, device_kind="ev", efficiency=1.0, store_max_frac=1.0))
    observe(columns, [0.0] * 3, [0.7, 0.7, 0.7], departs_in_h=[1.0, 1.125, 5.0])
    total = columns.aggregate(at(0))
    assert total is not None
    sums = total.reading.signals
    assert (sums["min_kw"], sums["natural_kw"]) == (-9.0, -9.0)
    assert sums["max_kw"] == pytest.approx(-3.0 - 1.5)
    assert sums["energy_up_kwh"] == pytest.approx(0.0 + 0.125 * 3 + 3.0)
    assert columns.split(0.0, at(0)).tolist() == pytest.approx([-3.0, -1.5, 0.0])


def test_vehicles_without_a_departure_may_wait() -> None:
    columns = FleetColumns(pumps(1, device_kind="ev", efficiency=1.0))
    observe(columns, [-3.0], [0.7])
    assert columns.split(0.0, at(0)).tolist() == [0.0]


@pytest.mark.parametrize("setpoint_kw", [math.nan, math.inf])
def test_a_setpoint_that_is_not_finite_is_refused(setpoint_kw: float) -> None:
    columns = FleetColumns(pumps())
    with pytest.raises(DomainError, match="setpoint_kw"):
        columns.split(setpoint_kw, at(0))


def test_the_meters_of_many_devices_err_independently() -> None:
    assert pumps(100).sigma_kw(-150.0) == pytest.approx(pumps(1).sigma_kw(-1.5) * math.sqrt(100.0))


@pytest.mark.parametrize("device_kind", ["heat_pump", "battery", "ev"])
def test_a_projection_conserves_energy_within_the_stores(device_kind: str) -> None:
    efficiency = 3.0 if device_kind == "heat_pump" else 0.9
    fleet = pumps(10, device_kind=device_kind, efficiency=efficiency)
    columns = FleetColumns(fleet)
    observe(columns, [-1.0] * 10, [0.5] * 10)
    total = columns.aggregate(at(0))
    assert total is not None
    setpoints_kw = np.array([np.nan, -30.0, -30.0, -30.0, 30.0, 30.0, 30.0, 30.0, 30.0, 30.0])
    natural_kw = np.full(10, -10.0)
    run = fleet.project(seen(fleet, total.reading), setpoints_kw, natural_kw, 1800.0)
    drain_kw = 30.0 if device_kind == "heat_pump" else 0.0
    stored_kw = [fleet.stored_per_h(p) - drain_kw for p in run.power_kw.tolist()]
    assert np.diff(run.energy_kwh) == pytest.approx(np.array(stored_kw) * 0.5)
    assert run.energy_kwh[0] == pytest.approx(50.0)
    assert run.energy_kwh.min() >= 10.0 - 1e-9
    assert run.energy_kwh.max() <= 95.0 + 1e-9
    assert (run.power_kw >= run.min_kw).all()
    assert (run.power_kw <= run.max_kw).all()
    if device_kind == "battery":
        assert run.power_kw.max() > 0.0
        assert run.energy_kwh.min() == pytest.approx(10.0)
    else:
        assert run.power_kw.max() <= 0.0

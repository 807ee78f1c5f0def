"""Valid parameters of every kind, and short forms for feeding a twin."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TypeVar

from controllers.resources.parameters import ParameterValue, check_parameters
from controllers.resources.twin import Reading, Twin, TwinState, Vehicle

T0 = datetime(2026, 6, 1, 12, tzinfo=UTC)
TwinT = TypeVar("TwinT", bound=Twin)

VALID: dict[str, dict[str, ParameterValue]] = {
    "pv": {"rated_kw": 100.0},
    "wind": {"rated_kw": 2000.0},
    "battery": {"capacity_kwh": 200.0, "max_charge_kw": 80.0, "max_discharge_kw": 100.0},
    "ev_station": {"n_plugs": 10, "max_charge_kw": 100.0},
    "flexible_load": {"rated_kw": 200.0},
    "chp": {"min_kw": 60.0, "max_kw": 120.0},
    "heat_pump": {"rated_kw": 50.0, "store_kwh": 200.0},
    "fleet": {
        "device_kind": "heat_pump",
        "n_devices": 100,
        "device_kw": 3.0,
        "store_kwh": 10.0,
        "efficiency": 3.0,
    },
}


def make(twin: type[TwinT], **given: ParameterValue) -> TwinT:
    """Return a valid twin of a class, with some parameters changed."""
    values, problems = check_parameters(twin.PARAMETERS, {**VALID[twin.KIND], **given})
    problems = problems or twin.check(values, path="")
    if problems:
        raise ValueError("; ".join(map(str, problems)))
    return twin(values)


def at(seconds: float) -> datetime:
    """Return the instant so many seconds into the test."""
    return T0 + timedelta(seconds=seconds)


def reading(
    seconds: float,
    power_kw: float,
    *,
    setpoint_kw: float | None = None,
    vehicles: list[Vehicle] | None = None,
    **signals: float,
) -> Reading:
    """Return a sample so many seconds into the test."""
    return Reading(
        measured_at=at(seconds),
        power_kw=power_kw,
        setpoint_kw=setpoint_kw,
        vehicles=vehicles or [],
        signals=signals,
    )


def seen(twin: Twin, *readings: Reading, state: TwinState | None = None) -> TwinState:
    """Return the state after some samples."""
    state = state or TwinState()
    for sample in readings:
        state = twin.observe(state, sample)
    return state


def vehicle(
    needed_kwh: float, leaves_in_h: float, *, max_charge_kw: float = 11.0, name: str = "v"
) -> Vehicle:
    """Return a plugged-in vehicle."""
    return Vehicle(
        session_id=name,
        energy_needed_kwh=needed_kwh,
        departs_at=at(leaves_in_h * 3600.0),
        max_charge_kw=max_charge_kw,
    )

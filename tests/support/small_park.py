"""A park with one resource of each kind, and believable states."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from controllers.kernel.money import Currency
from controllers.park import (
    AggregateDefinition,
    ParkDefinition,
    ResourceDefinition,
    TariffDefinition,
)
from controllers.resources.kinds import build_twin
from controllers.resources.parameters import ParameterValue
from controllers.resources.twin import Reading, Twin, TwinState, Vehicle

NOW = datetime(2026, 6, 20, 23, 7, tzinfo=UTC)
"""07:07 in Shanghai."""

_PARAMETERS: dict[str, tuple[str, dict[str, ParameterValue]]] = {
    "roof": ("pv", {"rated_kw": 300.0}),
    "wind": ("wind", {"rated_kw": 100.0}),
    "bess": ("battery", {"capacity_kwh": 400.0, "max_charge_kw": 200.0, "max_discharge_kw": 200.0}),
    "plugs": ("ev_station", {"n_plugs": 4, "max_charge_kw": 60.0}),
    "hall": ("flexible_load", {"rated_kw": 200.0}),
    "engine": ("chp", {"min_kw": 50.0, "max_kw": 100.0, "merit_per_mwh": 1500.0}),
    "pump": ("heat_pump", {"rated_kw": 60.0, "store_kwh": 400.0}),
    "homes": (
        "fleet",
        {
            "device_kind": "heat_pump",
            "n_devices": 100,
            "device_kw": 1.0,
            "store_kwh": 4.0,
            "efficiency": 3.0,
        },
    ),
}


def small_park(**limits_kw: float) -> ParkDefinition:
    """Return the park: ``outer`` holds ``inner`` (roof, bess, hall) and the rest.

    Args:
        limits_kw: of ``outer``, e.g. ``max_import_kw``.
    """
    inner = ["roof", "bess", "hall"]
    rest = [id_ for id_ in _PARAMETERS if id_ not in inner]
    return ParkDefinition(
        id="small",
        name="Small park",
        timezone="Asia/Shanghai",
        currency=Currency.CNY,
        resources=[
            ResourceDefinition(id=id_, name=id_, kind=kind, parameters=parameters)
            for id_, (kind, parameters) in _PARAMETERS.items()
        ],
        aggregates=[
            AggregateDefinition(id="inner", name="inner", members=inner, max_export_kw=500.0),
            AggregateDefinition(
                id="outer",
                name="outer",
                members=["inner", *rest],
                max_import_kw=limits_kw.get("max_import_kw"),
                max_export_kw=limits_kw.get("max_export_kw"),
            ),
            AggregateDefinition(id="second", name="second", members=["bess", "engine"]),
        ],
        tariff=[
            TariffDefinition(from_time="06:00", import_per_mwh=900.0, export_per_mwh=400.0),
            TariffDefinition(from_time="22:00", import_per_mwh=300.0, export_per_mwh=250.0),
        ],
    )


def twins_of(park: ParkDefinition) -> dict[str, Twin]:
    """Return a twin per resource."""
    return {r.id: build_twin(r.kind, r.parameters) for r in park.resources}


def states_of(twins: dict[str, Twin], now: datetime = NOW) -> dict[str, TwinState]:
    """Return the states after one believable sample each."""
    car = Vehicle(
        session_id="car",
        energy_needed_kwh=20.0,
        departs_at=now + timedelta(hours=3),
        max_charge_kw=11.0,
    )
    seen: dict[str, Reading] = {
        "roof": Reading(measured_at=now, power_kw=60.0),
        "wind": Reading(measured_at=now, power_kw=40.0),
        "bess": Reading(measured_at=now, power_kw=0.0, signals={"soc_frac": 0.5}),
        "plugs": Reading(measured_at=now, power_kw=0.0, vehicles=[car]),
        "hall": Reading(measured_at=now, power_kw=-120.0),
        "engine": Reading(measured_at=now, power_kw=0.0),
        "pump": Reading(
            measured_at=now, power_kw=-20.0, signals={"store_frac": 0.5, "heat_demand_kw": 40.0}
        ),
        "homes": Reading(
            measured_at=now, power_kw=-30.0, signals={"store_frac": 0.5, "natural_kw": -30.0}
        ),
    }
    return {id_: twins[id_].observe(TwinState(), reading) for id_, reading in seen.items()}

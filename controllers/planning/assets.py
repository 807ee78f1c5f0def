"""From a twin and what is believed of it to the assets of a dispatch problem.

Every resource is a connection point of its own name, behind which its asset stands, or one per
vehicle. A resource that cannot be planned (no set-point possible, or its store's level unknown) is
a point that injects its forecast, so that limits still count it. kW and kWh become MW and MWh.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from controllers.kernel.timebase import require_utc
from controllers.kernel.units import KW_PER_MW, SECONDS_PER_HOUR
from controllers.planning.horizon import PlanHorizon
from controllers.planning.prices import Prices
from controllers.resources.battery import Battery
from controllers.resources.chp import Chp
from controllers.resources.ev_station import EvStation
from controllers.resources.fleet import Fleet
from controllers.resources.flexible_load import FlexibleLoad
from controllers.resources.heat_pump import HeatPump
from controllers.resources.renewables import Pv, Wind
from controllers.resources.twin import FloatArray, Twin, TwinState
from optimization.dispatch import plant, problem, storage
from optimization.dispatch.fields import INF, series

CURTAILMENT_COST_PER_MWH = 0.01
"""Enough to prefer using what is free where the price is zero."""
_LONG_AGO_H = 1000.0
_JUST_NOW_H = 1e-3
_REBOUND_TAIL = 2.0
"""A load returns what it owes at a decaying rate; most of it within two rebound times."""
_MOST_LOSS_FRAC_PER_H = 0.99
_MINUTES_PER_HOUR = 60.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Asset:
    """One resource as the planner sees it."""

    id: str
    twin: Twin
    state: TwinState
    natural_kw: FloatArray  # [T], forecast when released


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Worth:
    """What energy left in a store at the end is taken to be worth.

    Without it a plan would sell out, or never fill up, before the wall at its end.
    """

    usual_per_mwh: float
    """Midway between buying and selling, over the horizon: neither hoards nor dumps."""
    highest_per_mwh: float


def worth_of(prices: Prices) -> Worth:
    """Return the worth of energy at the end of a horizon."""
    return Worth(
        usual_per_mwh=float((prices.import_per_mwh + prices.export_per_mwh).mean() / 2),
        highest_per_mwh=float(prices.import_per_mwh.max()),
    )


def is_planned(asset: Asset) -> bool:
    """Tell whether a plan may give the resource set-points."""
    match asset.twin:
        case Pv() | Wind():
            return asset.twin.curtailable
        case Battery():
            return "stored_kwh" in asset.state.memory
        case HeatPump():
            return "heat_kwh" in asset.state.memory
        case Fleet():
            return "store_frac" in asset.state.signals
        case _:
            return asset.state.measured_at is not None


def connection_point(asset: Asset, parent: str) -> problem.ConnectionPoint:
    """Return the point of a resource, connected to its parent."""
    if not is_planned(asset):
        forecast = series(asset.natural_kw / KW_PER_MW)
        return problem.ConnectionPoint(name=asset.id, parent=parent, fixed_mw=forecast)
    twin = asset.twin
    most_kw = twin.max_charge_kw if isinstance(twin, EvStation) else INF
    return problem.ConnectionPoint(name=asset.id, parent=parent, max_import_mw=most_kw / KW_PER_MW)


def dispatch_assets(asset: Asset, horizon: PlanHorizon, worth: Worth) -> tuple[problem.Asset, ...]:
    """Return what stands behind a resource's point; nothing where it cannot be planned."""
    if not is_planned(asset):
        return ()
    match asset.twin:
        case Battery() as twin:
            return (_battery(asset, twin, horizon, worth),)
        case Fleet(device_kind="battery") as twin:
            return (_battery_fleet(asset, twin, worth),)
        case Fleet() as twin:
            return (_heat_fleet(asset, twin, worth),)
        case HeatPump() as twin:
            return (_heat_pump(asset, twin, worth),)
        case Pv() | Wind():
            return (_renewable(asset),)
        case FlexibleLoad() as twin:
            return (_load(asset, twin, horizon),)
        case EvStation() as twin:
            return _vehicles(asset, twin, horizon)
        case Chp() as twin:
            return (_generator(asset, twin, horizon),)
    raise TypeError(f"{asset.id}: a {type(asset.twin).__name__} cannot be planned")


def _battery(asset: Asset, twin: Battery, horizon: PlanHorizon, worth: Worth) -> storage.Battery:
    days = float(horizon.step_h.sum()) / 24.0
    return storage.Battery(
        name=asset.id,
        point=asset.id,
        max_charge_mw=-twin.low_kw / KW_PER_MW,
        max_discharge_mw=twin.high_kw / KW_PER_MW,
        initial_mwh=asset.state.memory["stored_kwh"] / KW_PER_MW,
        min_mwh=twin.floor_kwh / KW_PER_MW,
        max_mwh=twin.ceiling_kwh / KW_PER_MW,
        charge_efficiency=twin.charge_efficiency_frac,
        discharge_efficiency=twin.discharge_efficiency_frac,
        max_discharge_mwh=twin.cycle_budget_per_day * twin.capacity_kwh * days / KW_PER_MW,
        # The merit is the cost of an injected MWh; half of it falls on the way in.
        wear_per_mwh=max(twin.merit_per_mwh, 0.0) / 2,
        terminal_value_per_mwh=worth.usual_per_mwh * twin.discharge_efficiency_frac,
    )


def _battery_fleet(asset: Asset, twin: Fleet, worth: Worth) -> storage.Battery:
    initial_mwh, min_mwh, max_mwh = _levels_mwh(asset, twin)
    return storage.Battery(
        name=asset.id,
        point=asset.id,
        max_charge_mw=-twin.low_kw / KW_PER_MW,
        max_discharge_mw=twin.high_kw / KW_PER_MW,
        initial_mwh=initial_mwh,
        min_mwh=min_mwh,
        max_mwh=max_mwh,
        charge_efficiency=twin.efficiency,
        discharge_efficiency=twin.efficiency,
        wear_per_mwh=max(twin.merit_per_mwh, 0.0) / 2,
        terminal_value_per_mwh=worth.usual_per_mwh * twin.efficiency,
    )


def _heat_fleet(asset: Asset, twin: Fleet, worth: Worth) -> storage.HeatStore:
    """Return the common store of heat pumps or vehicles.

    Vehicles have no drain to serve: they fill at the cheapest hours of the day.
    """
    fills = twin.device_kind == "ev"
    per_draw = worth.highest_per_mwh if fills else worth.usual_per_mwh
    initial_mwh, min_mwh, max_mwh = _levels_mwh(asset, twin)
    return storage.HeatStore(
        name=asset.id,
        point=asset.id,
        max_draw_mw=_always(asset, twin.rated_kw / KW_PER_MW),
        cop=_always(asset, twin.efficiency),
        heat_demand_mw=_always(asset, 0.0) if fills else _drain_mw(asset, twin.efficiency),
        initial_mwh=initial_mwh,
        min_mwh=min_mwh,
        max_mwh=max_mwh,
        terminal_value_per_mwh=per_draw / twin.efficiency,
    )


def _heat_pump(asset: Asset, twin: HeatPump, worth: Worth) -> storage.HeatStore:
    return storage.HeatStore(
        name=asset.id,
        point=asset.id,
        max_draw_mw=_always(asset, twin.rated_kw / KW_PER_MW),
        cop=_always(asset, twin.cop),
        heat_demand_mw=_drain_mw(asset, twin.cop),
        initial_mwh=asset.state.memory["heat_kwh"] / KW_PER_MW,
        min_mwh=twin.floor_kwh / KW_PER_MW,
        max_mwh=twin.ceiling_kwh / KW_PER_MW,
        standing_loss_frac_per_h=min(twin.loss_frac_per_h, _MOST_LOSS_FRAC_PER_H),
        terminal_value_per_mwh=worth.usual_per_mwh / twin.cop,
    )


def _levels_mwh(asset: Asset, twin: Fleet) -> tuple[float, float, float]:
    """Return what a fleet stores, at least and at most."""
    capacity_mwh = twin.n_devices * twin.store_kwh / KW_PER_MW
    now_frac = asset.state.signals["store_frac"]
    return (
        now_frac * capacity_mwh,
        twin.store_min_frac * capacity_mwh,
        twin.store_max_frac * capacity_mwh,
    )


def _drain_mw(asset: Asset, ratio: float) -> tuple[float, ...]:
    return series(np.maximum(-asset.natural_kw, 0.0) * ratio / KW_PER_MW)


def _always(asset: Asset, value: float) -> tuple[float, ...]:
    return (value,) * len(asset.natural_kw)


def _renewable(asset: Asset) -> plant.Renewable:
    return plant.Renewable(
        name=asset.id,
        point=asset.id,
        available_mw=series(np.maximum(asset.natural_kw, 0.0) / KW_PER_MW),
        curtailment_cost_per_mwh=CURTAILMENT_COST_PER_MWH,
    )


def _load(asset: Asset, twin: FlexibleLoad, horizon: PlanHorizon) -> plant.Load:
    demand_kw = np.clip(-asset.natural_kw, 0.0, twin.rated_kw)
    less_kw = demand_kw * twin.flexible_frac
    memory, temp_c = asset.state.memory, asset.state.signals.get("indoor_temp_c")
    if memory.get("resting", 0.0) > 0.0:
        begins_h = np.cumsum(horizon.step_h) - horizon.step_h
        less_kw[begins_h < memory.get("interrupted_h", 0.0)] = 0.0
    if temp_c is not None and not twin.comfort_low_c <= temp_c <= twin.comfort_high_c:
        # Out of comfort now; a quarter hour later it may be back in.
        less_kw[0] = 0.0
    rebound = twin.flexible_frac * twin.rebound_frac * twin.max_interruption_h / twin.rebound_h
    more_kw = np.minimum(demand_kw * (rebound + twin.increase_frac), twin.rated_kw - demand_kw)
    return plant.Load(
        name=asset.id,
        point=asset.id,
        demand_mw=series(demand_kw / KW_PER_MW),
        max_less_mw=series(less_kw / KW_PER_MW),
        max_more_mw=series(more_kw / KW_PER_MW),
        interruption_cost_per_mwh=max(twin.merit_per_mwh, 0.0),
        max_interruption_h=twin.max_interruption_h,
        rebound_frac=twin.rebound_frac,
        window_h=twin.max_interruption_h + _REBOUND_TAIL * twin.rebound_h,
        owed_mwh=memory.get("owed_kwh", 0.0) / KW_PER_MW,
    )


def _vehicles(asset: Asset, twin: EvStation, horizon: PlanHorizon) -> tuple[storage.Vehicle, ...]:
    """Return the vehicles plugged in, empty of what they need.

    One that has outstayed its departure may leave at any time: it charges in the first step.
    """
    # A session that is reported twice is one vehicle.
    sessions = {vehicle.session_id: vehicle for vehicle in asset.state.vehicles}
    built = []
    for id_, vehicle in sessions.items():
        left = require_utc("departs_at", vehicle.departs_at) - horizon.now
        left_h = left.total_seconds() / SECONDS_PER_HOUR
        most_kw = min(vehicle.max_charge_kw, twin.plug_max_charge_kw)
        needed_mwh = vehicle.energy_needed_kwh / KW_PER_MW
        built.append(
            storage.Vehicle(
                name=f"{asset.id}/{id_}",
                point=asset.id,
                departure_h=left_h if left_h > 0.0 else float(horizon.step_h[0]),
                max_charge_mw=most_kw / KW_PER_MW,
                initial_mwh=0.0,
                max_mwh=needed_mwh,
                target_mwh=needed_mwh,
                charge_efficiency=twin.charge_efficiency_frac,
            )
        )
    return tuple(built)


def _generator(asset: Asset, twin: Chp, horizon: PlanHorizon) -> plant.Generator:
    ramp_mw_per_h = twin.ramp_kw_per_min * _MINUTES_PER_HOUR / KW_PER_MW
    powers_mw = sorted({twin.min_kw / KW_PER_MW, twin.high_kw / KW_PER_MW})
    return plant.Generator(
        name=asset.id,
        point=asset.id,
        min_mw=twin.min_kw / KW_PER_MW,
        max_mw=twin.high_kw / KW_PER_MW,
        curve=tuple(
            plant.CostPoint(power_mw=mw, cost_per_h=mw * twin.merit_per_mwh) for mw in powers_mw
        ),
        starts=(plant.StartCost(off_h=0.0, cost=twin.start_cost),),
        min_up_h=twin.min_up_h,
        min_down_h=twin.min_down_h,
        ramp_up_mw_per_h=ramp_mw_per_h,
        ramp_down_mw_per_h=ramp_mw_per_h,
        initial_h=_in_state_h(asset.state, horizon),
        initial_mw=max(asset.state.power_kw, 0.0) / KW_PER_MW,
    )


def _in_state_h(state: TwinState, horizon: PlanHorizon) -> float:
    """Return hours running, or minus the hours standing still."""
    running = state.memory.get("running", 0.0) > 0.0
    since_h = (horizon.now.timestamp() - state.memory.get("since_s", 0.0)) / SECONDS_PER_HOUR
    since_h = min(max(since_h, _JUST_NOW_H), _LONG_AGO_H)
    return since_h if running else -since_h

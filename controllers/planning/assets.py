"""From twins and what is believed of them to the asset groups of a day plan.

A resource that cannot be planned (no set-point possible, or its store's level unknown) enters as a
rigid load or plant with its forecast, so that limits still count it. kW and kWh become MW and MWh.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
from optimization.day_plan import (
    AssetGroup,
    Batteries,
    ChargingStations,
    FlexibleLoads,
    Gensets,
    HeatStores,
    Renewables,
)

CURTAILMENT_COST_PER_MWH = 0.01
"""Enough to prefer using what is free where the price is zero."""
_LONG_AGO_H = 1000.0
_JUST_NOW_H = 1e-3
_REBOUND_TAIL = 2.0
"""A load returns what it owes at a decaying rate; most of it within two rebound times."""
_RIGID_WINDOW_H = 1.0
_MOST_LOSS_FRAC_PER_H = 0.99


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Asset:
    """One resource as the planner sees it."""

    id: str
    twin: Twin
    state: TwinState
    natural_kw: FloatArray  # [T], forecast when released


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Worth:
    """What energy left in a store at the end is taken to be worth."""

    usual_per_mwh: float
    """Midway between buying and selling, over the day: neither hoards nor dumps."""
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


def asset_groups(
    assets: Sequence[Asset], horizon: PlanHorizon, prices: Prices
) -> tuple[AssetGroup, ...]:
    """Return the groups of a day plan for all assets."""
    planned = [asset for asset in assets if is_planned(asset)]
    rigid = [asset for asset in assets if not is_planned(asset)]
    worth = worth_of(prices)

    def chosen(*kinds: type) -> list[Asset]:
        return [asset for asset in planned if isinstance(asset.twin, kinds)]

    fleets = chosen(Fleet)
    batteries = chosen(Battery) + [a for a in fleets if _device_kind(a) == "battery"]
    heaters = chosen(HeatPump) + [a for a in fleets if _device_kind(a) != "battery"]
    drawing = [asset for asset in rigid if asset.natural_kw.sum() < 0]
    giving = [asset for asset in rigid if asset.natural_kw.sum() >= 0]
    built: list[AssetGroup | None] = [
        _group(batteries, lambda some: _batteries(some, horizon, worth)),
        _group(chosen(Pv, Wind), lambda some: _renewables(some, curtailable=True)),
        _group(giving, lambda some: _renewables(some, curtailable=False)),
        _group(chosen(FlexibleLoad), lambda some: _flexible_loads(some, horizon)),
        _group(drawing, _rigid_loads),
        _group(chosen(EvStation), lambda some: _charging_stations(some, horizon)),
        _group(chosen(Chp), lambda some: _gensets(some, horizon)),
        _group(heaters, lambda some: _heat_stores(some, worth)),
    ]
    return tuple(group for group in built if group is not None)


def _group(assets: list[Asset], build: Callable[[list[Asset]], AssetGroup]) -> AssetGroup | None:
    return build(assets) if assets else None


def _device_kind(asset: Asset) -> str:
    return asset.twin.device_kind if isinstance(asset.twin, Fleet) else ""


def _names(assets: Sequence[Asset]) -> tuple[str, ...]:
    return tuple(asset.id for asset in assets)


def _batteries(assets: Sequence[Asset], horizon: PlanHorizon, worth: Worth) -> Batteries:
    cells = np.array([_cells(asset) for asset in assets]).T
    charge_kw, discharge_kw, stored_kwh, floor_kwh, ceiling_kwh, budget_kwh = cells[:6]
    charge_frac, discharge_frac, merit_per_mwh = cells[6:]
    days = float(horizon.step_h.sum()) / 24.0
    return Batteries(
        names=_names(assets),
        max_charge_mw=charge_kw / KW_PER_MW,
        max_discharge_mw=discharge_kw / KW_PER_MW,
        initial_mwh=stored_kwh / KW_PER_MW,
        min_mwh=floor_kwh / KW_PER_MW,
        max_mwh=ceiling_kwh / KW_PER_MW,
        charge_efficiency=charge_frac,
        discharge_efficiency=discharge_frac,
        standing_loss_frac_per_h=np.zeros(len(assets)),
        max_discharge_mwh=budget_kwh * days / KW_PER_MW,
        # The merit is the cost of an injected MWh; half of it falls on the way in.
        wear_per_mwh=np.maximum(merit_per_mwh, 0.0) / 2,
        terminal_value_per_mwh=worth.usual_per_mwh * discharge_frac,
    )


def _cells(asset: Asset) -> tuple[float, ...]:
    twin, state = asset.twin, asset.state
    if isinstance(twin, Battery):
        return (
            -twin.low_kw,
            twin.high_kw,
            state.memory["stored_kwh"],
            twin.floor_kwh,
            twin.ceiling_kwh,
            twin.cycle_budget_per_day * twin.capacity_kwh,
            twin.charge_efficiency_frac,
            twin.discharge_efficiency_frac,
            twin.merit_per_mwh,
        )
    if isinstance(twin, Fleet):
        stored_kwh, floor_kwh, ceiling_kwh = _fleet_levels(twin, state)
        efficiency = twin.efficiency
        charge_kw, discharge_kw, merit = -twin.low_kw, twin.high_kw, twin.merit_per_mwh
        limits = (charge_kw, discharge_kw, stored_kwh, floor_kwh, ceiling_kwh, np.inf)
        return (*limits, efficiency, efficiency, merit)
    raise TypeError(f"{asset.id}: {type(twin).__name__} stores no electricity")


def _fleet_levels(twin: Fleet, state: TwinState) -> tuple[float, float, float]:
    capacity_kwh = twin.n_devices * twin.store_kwh
    fracs = (state.signals["store_frac"], twin.store_min_frac, twin.store_max_frac)
    stored_kwh, floor_kwh, ceiling_kwh = (frac * capacity_kwh for frac in fracs)
    return stored_kwh, floor_kwh, ceiling_kwh


def _renewables(assets: Sequence[Asset], *, curtailable: bool) -> Renewables:
    available_kw = np.array([asset.natural_kw for asset in assets])
    return Renewables(
        names=_names(assets),
        available_mw=np.maximum(available_kw, 0.0) / KW_PER_MW,
        curtailable=np.full(len(assets), curtailable),
        curtailment_cost_per_mwh=np.full(len(assets), CURTAILMENT_COST_PER_MWH),
    )


def _flexible_loads(assets: Sequence[Asset], horizon: PlanHorizon) -> FlexibleLoads:
    twins = [asset.twin for asset in assets if isinstance(asset.twin, FlexibleLoad)]
    drawn = zip(assets, twins, strict=True)
    bounds = [_flexible_bounds(asset, twin, horizon) for asset, twin in drawn]
    demand_kw, less_kw, more_kw = np.array(bounds).transpose(1, 0, 2)
    owed_kwh = [asset.state.memory.get("owed_kwh", 0.0) for asset in assets]
    window_h = [t.max_interruption_h + _REBOUND_TAIL * t.rebound_h for t in twins]
    return FlexibleLoads(
        names=_names(assets),
        demand_mw=demand_kw / KW_PER_MW,
        max_less_mw=less_kw / KW_PER_MW,
        max_more_mw=more_kw / KW_PER_MW,
        max_interruption_h=np.array([twin.max_interruption_h for twin in twins]),
        rebound_frac=np.array([twin.rebound_frac for twin in twins]),
        window_h=np.array(window_h),
        owed_mwh=np.array(owed_kwh) / KW_PER_MW,
        interruption_cost_per_mwh=np.array([max(twin.merit_per_mwh, 0.0) for twin in twins]),
    )


def _flexible_bounds(asset: Asset, twin: FlexibleLoad, horizon: PlanHorizon) -> FloatArray:
    """Return [3, T]: base draw, most that can be left out, most that can be added, in kW."""
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
    return np.stack([demand_kw, less_kw, more_kw])


def _rigid_loads(assets: Sequence[Asset]) -> FlexibleLoads:
    demand_kw = np.array([np.maximum(-asset.natural_kw, 0.0) for asset in assets])
    none, zeros = np.zeros(len(assets)), np.zeros_like(demand_kw)
    return FlexibleLoads(
        names=_names(assets),
        demand_mw=demand_kw / KW_PER_MW,
        max_less_mw=zeros,
        max_more_mw=zeros,
        max_interruption_h=np.full(len(assets), _RIGID_WINDOW_H),
        rebound_frac=none,
        window_h=np.full(len(assets), _RIGID_WINDOW_H),
        owed_mwh=none,
        interruption_cost_per_mwh=none,
    )


def _charging_stations(assets: Sequence[Asset], horizon: PlanHorizon) -> ChargingStations:
    twins = [asset.twin for asset in assets if isinstance(asset.twin, EvStation)]
    sessions = [
        (n, f"{asset.id}/{vehicle.session_id}", vehicle, twin)
        for n, (asset, twin) in enumerate(zip(assets, twins, strict=True))
        for vehicle in asset.state.vehicles
    ]
    seconds_left = [
        (require_utc("departs_at", vehicle.departs_at) - horizon.now).total_seconds()
        for _, _, vehicle, _ in sessions
    ]
    # What is wanted is energy in the vehicle; the plan counts at the plug.
    needed_kwh = [v.energy_needed_kwh / twin.charge_efficiency_frac for _, _, v, twin in sessions]
    rate_kw = [min(v.max_charge_kw, twin.plug_max_charge_kw) for _, _, v, twin in sessions]
    return ChargingStations(
        names=_names(assets),
        max_charge_mw=np.array([twin.max_charge_kw for twin in twins]) / KW_PER_MW,
        session_names=tuple(name for _, name, _, _ in sessions),
        session_station=np.array([n for n, _, _, _ in sessions], dtype=np.int64),
        session_energy_mwh=np.array(needed_kwh, dtype=np.float64) / KW_PER_MW,
        session_max_mw=np.array(rate_kw, dtype=np.float64) / KW_PER_MW,
        session_departure_h=np.maximum(np.array(seconds_left, dtype=np.float64), 0.0)
        / SECONDS_PER_HOUR,
    )


def _gensets(assets: Sequence[Asset], horizon: PlanHorizon) -> Gensets:
    twins = [asset.twin for asset in assets if isinstance(asset.twin, Chp)]
    ramp_kw_per_min = np.array([twin.ramp_kw_per_min for twin in twins])
    power_kw = [max(asset.state.power_kw, 0.0) for asset in assets]
    return Gensets(
        names=_names(assets),
        min_mw=np.array([twin.min_kw for twin in twins]) / KW_PER_MW,
        max_mw=np.array([twin.high_kw for twin in twins]) / KW_PER_MW,
        cost_per_mwh=np.array([twin.merit_per_mwh for twin in twins]),
        start_cost=np.array([twin.start_cost for twin in twins]),
        min_up_h=np.array([twin.min_up_h for twin in twins]),
        min_down_h=np.array([twin.min_down_h for twin in twins]),
        initial_h=np.array([_in_state_h(asset.state, horizon) for asset in assets]),
        initial_mw=np.array(power_kw) / KW_PER_MW,
        ramp_mw_per_h=ramp_kw_per_min * 60.0 / KW_PER_MW,
    )


def _in_state_h(state: TwinState, horizon: PlanHorizon) -> float:
    """Return hours running, or minus the hours standing still."""
    running = state.memory.get("running", 0.0) > 0.0
    since_h = (horizon.now.timestamp() - state.memory.get("since_s", 0.0)) / SECONDS_PER_HOUR
    since_h = min(max(since_h, _JUST_NOW_H), _LONG_AGO_H)
    return since_h if running else -since_h


def _heat_stores(assets: Sequence[Asset], worth: Worth) -> HeatStores:
    stores = np.array([_heat(asset) for asset in assets]).T
    rated_kw, ratio, stored_kwh, floor_kwh, ceiling_kwh, loss_frac_per_h = stores
    natural_kw = np.array([np.minimum(asset.natural_kw, 0.0) for asset in assets])
    # Vehicles of a fleet have no drain to serve: they fill at the cheapest hours of the day.
    fills = np.array([_device_kind(asset) == "ev" for asset in assets])
    per_draw = np.where(fills, worth.highest_per_mwh, worth.usual_per_mwh)
    drain_kw = np.where(fills[:, None], 0.0, -natural_kw * ratio[:, None])
    shape = natural_kw.shape
    return HeatStores(
        names=_names(assets),
        min_draw_mw=np.zeros(shape),
        max_draw_mw=np.broadcast_to(rated_kw[:, None] / KW_PER_MW, shape),
        cop=np.broadcast_to(ratio[:, None], shape),
        heat_demand_mw=drain_kw / KW_PER_MW,
        initial_mwh=stored_kwh / KW_PER_MW,
        min_mwh=floor_kwh / KW_PER_MW,
        max_mwh=ceiling_kwh / KW_PER_MW,
        standing_loss_frac_per_h=np.minimum(loss_frac_per_h, _MOST_LOSS_FRAC_PER_H),
        terminal_value_per_mwh=per_draw / ratio,
    )


def _heat(asset: Asset) -> tuple[float, ...]:
    twin, state = asset.twin, asset.state
    if isinstance(twin, HeatPump):
        levels = (state.memory["heat_kwh"], twin.floor_kwh, twin.ceiling_kwh)
        return (twin.rated_kw, twin.cop, *levels, twin.loss_frac_per_h)
    if isinstance(twin, Fleet):
        return (twin.rated_kw, twin.efficiency, *_fleet_levels(twin, state), 0.0)
    raise TypeError(f"{asset.id}: {type(twin).__name__} stores no heat")

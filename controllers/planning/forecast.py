"""First-form forecasts: what a resource would do if released, from what is known of it now.

All of them persist something and say how old and how good their basis is. A load repeats the day
before; a PV plant keeps its clearness, the ratio of its power to that of a clear sky; wind decays
from what it is towards its mean. Power in kW, injection positive, as in the twins' ``natural_kw``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from controllers.kernel.errors import DomainError
from controllers.kernel.states import Quality
from controllers.park import ParkDefinition, ResourceDefinition
from controllers.planning.horizon import DAY, PlanHorizon
from controllers.planning.sun import Plane, clear_sky_frac
from controllers.resources.fleet import Fleet
from controllers.resources.flexible_load import FlexibleLoad
from controllers.resources.heat_pump import HeatPump
from controllers.resources.renewables import Pv, Wind
from controllers.resources.twin import FloatArray, Twin, TwinState

CLEARNESS_DECAY_H = 3.0
WIND_DECAY_H = 6.0
USUAL_CLEARNESS_FRAC = 0.6
USUAL_WIND_FRAC = 0.25
_LOW_SUN_FRAC = 0.05
"""With less irradiance than this the ratio to a clear sky says nothing."""
_MOST_CLEARNESS_FRAC = 1.3
_FRESH = timedelta(minutes=15)
_USUAL_LATITUDE_DEG = 35.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class History:
    """Mean power of consecutive periods; NaN where nothing was measured."""

    start_at: datetime
    period: timedelta
    power_kw: FloatArray  # [K]

    @property
    def end_at(self) -> datetime:
        """End of the last period."""
        return self.start_at + len(self.power_kw) * self.period

    def at(self, instant: datetime) -> float:
        """Return the power of the period that holds an instant, NaN outside."""
        index = (instant - self.start_at) // self.period
        return float(self.power_kw[index]) if 0 <= index < len(self.power_kw) else np.nan

    def middle_at(self) -> list[datetime]:
        """Middles of the periods, [K]."""
        return [self.start_at + (i + 0.5) * self.period for i in range(len(self.power_kw))]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Forecast:
    """Expected power when released, on the steps of a horizon, with its basis."""

    power_kw: FloatArray  # [T]
    basis: str
    """What was persisted."""
    basis_age_s: float
    """Age of the newest measurement in it; infinite where there is none."""
    quality: Quality


def seasonal_naive(history: History, horizon: PlanHorizon) -> FloatArray:
    """Return [T]: each step repeats the latest known day at the same time of day.

    Gaps take the mean of what is known.

    Raises:
        DomainError: the history holds no measurement at all.
    """
    if np.isnan(history.power_kw).all():
        raise DomainError("history", len(history.power_kw), "must hold at least one measurement")
    return np.array([_latest_same_time(history, at) for at in horizon.middle_at])


def _latest_same_time(history: History, instant: datetime) -> float:
    day_before = instant - DAY
    while day_before >= history.start_at:
        value = history.at(day_before)
        if not np.isnan(value):
            return value
        day_before -= DAY
    return float(np.nanmean(history.power_kw))


def clear_sky_persistence(
    plane: Plane,
    rated_kw: float,
    horizon: PlanHorizon,
    *,
    measured: tuple[datetime, float] | None = None,
    history: History | None = None,
) -> FloatArray:
    """Return [T] of a PV plant: clearness now, fading towards the usual one.

    Args:
        plane: place and attitude.
        rated_kw: bound of the result.
        horizon: steps wanted.
        measured: instant and available power in kW, if any.
        history: gives the usual clearness, if any.
    """
    usual = USUAL_CLEARNESS_FRAC if history is None else _usual_clearness(plane, rated_kw, history)
    clearness = np.full(horizon.n_steps, usual)
    if measured is not None:
        then_frac = float(clear_sky_frac([measured[0]], plane)[0])
        if then_frac >= _LOW_SUN_FRAC:
            now = min(measured[1] / (rated_kw * then_frac), _MOST_CLEARNESS_FRAC)
            clearness += (now - usual) * np.exp(-horizon.ahead_h / CLEARNESS_DECAY_H)
    return np.clip(clearness * clear_sky_frac(horizon.middle_at, plane) * rated_kw, 0.0, rated_kw)


def _usual_clearness(plane: Plane, rated_kw: float, history: History) -> float:
    clear_kw = clear_sky_frac(history.middle_at(), plane) * rated_kw
    known = ~np.isnan(history.power_kw)
    possible = float(clear_kw[known].sum())
    if possible <= 0.0:
        return USUAL_CLEARNESS_FRAC
    return float(min(history.power_kw[known].sum() / possible, _MOST_CLEARNESS_FRAC))


def decaying_persistence(
    now_kw: float, mean_kw: float, horizon: PlanHorizon, *, decay_h: float = WIND_DECAY_H
) -> FloatArray:
    """Return [T]: from the power now towards the mean."""
    return mean_kw + (now_kw - mean_kw) * np.exp(-horizon.ahead_h / decay_h)


def forecast_park(
    park: ParkDefinition,
    twins: Mapping[str, Twin],
    states: Mapping[str, TwinState],
    horizon: PlanHorizon,
    histories: Mapping[str, History] | None = None,
) -> dict[str, Forecast]:
    """Return a forecast of every resource that has a state.

    Args:
        park: the park.
        twins: by resource id.
        states: by resource id.
        horizon: steps wanted.
        histories: by resource id, where there is one.
    """
    forecasts = {}
    for resource in park.resources:
        if resource.id in states:
            state = states[resource.id]
            history = (histories or {}).get(resource.id)
            if history is not None and np.isnan(history.power_kw).all():
                history = None
            power_kw, basis = _natural(
                park, resource, (twins[resource.id], state), history, horizon
            )
            forecasts[resource.id] = _with_age(power_kw, basis, state, history, horizon)
    return forecasts


def _natural(
    park: ParkDefinition,
    resource: ResourceDefinition,
    believed: tuple[Twin, TwinState],
    history: History | None,
    horizon: PlanHorizon,
) -> tuple[FloatArray, str]:
    twin, state = believed
    measured_kw = _natural_now(twin, state)
    match twin:
        case Pv():
            measured = None if state.measured_at is None else (state.measured_at, measured_kw)
            plane = _plane(park, resource, twin, horizon.now)
            power_kw = clear_sky_persistence(
                plane, twin.rated_kw, horizon, measured=measured, history=history
            )
            return power_kw, "clearness"
        case Wind():
            mean_kw = USUAL_WIND_FRAC * twin.rated_kw
            if history is not None:
                mean_kw = float(np.nanmean(history.power_kw))
            now_kw = mean_kw if state.measured_at is None else measured_kw
            return decaying_persistence(now_kw, mean_kw, horizon), "power now and mean"
        case FlexibleLoad() | HeatPump() | Fleet() if history is not None:
            return seasonal_naive(history, horizon), "same time of the day before"
        case _:
            return np.full(horizon.n_steps, measured_kw), "power now"


def _natural_now(twin: Twin, state: TwinState) -> float:
    """Return the power in kW a resource would have now if released."""
    match twin:
        case Pv() | Wind():
            return state.memory.get("available_kw", max(state.power_kw, 0.0))
        case FlexibleLoad():
            return state.memory.get("base_kw", min(state.power_kw, 0.0))
        case HeatPump():
            demand_kw = state.signals.get("heat_demand_kw")
            return min(state.power_kw, 0.0) if demand_kw is None else -demand_kw / twin.cop
        case Fleet():
            return state.signals.get("natural_kw", min(state.power_kw, 0.0))
        case _:
            return 0.0


def _plane(park: ParkDefinition, resource: ResourceDefinition, twin: Pv, now: datetime) -> Plane:
    """Place a plant; one without a place stands on its zone's meridian at a usual latitude."""
    latitude_deg, longitude_deg = resource.latitude_deg, resource.longitude_deg
    if latitude_deg is None or longitude_deg is None:
        offset = now.astimezone(ZoneInfo(park.timezone)).utcoffset() or timedelta()
        latitude_deg = _USUAL_LATITUDE_DEG
        longitude_deg = offset.total_seconds() / 240.0
    return Plane(
        latitude_deg=latitude_deg,
        longitude_deg=longitude_deg,
        tilt_deg=twin.tilt_deg,
        azimuth_deg=twin.azimuth_deg,
    )


def _with_age(
    power_kw: FloatArray,
    basis: str,
    state: TwinState,
    history: History | None,
    horizon: PlanHorizon,
) -> Forecast:
    ends = (state.measured_at, None if history is None else history.end_at)
    newest = [at for at in ends if at is not None]
    if not newest:
        return Forecast(
            power_kw=power_kw, basis="nothing", basis_age_s=np.inf, quality=Quality.MISSING
        )
    age = max(horizon.now - max(newest), timedelta())
    quality = Quality.GOOD if age <= _FRESH else Quality.UNCERTAIN if age <= DAY else Quality.STALE
    return Forecast(
        power_kw=power_kw, basis=basis, basis_age_s=age.total_seconds(), quality=quality
    )

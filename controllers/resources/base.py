"""What metered twins share: energy integration, meter uncertainty, ramp, stale-data policy."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime

import numpy as np

from controllers.kernel.errors import Problem
from controllers.kernel.states import Envelope
from controllers.resources.parameters import ParameterValue, number
from controllers.resources.twin import FloatArray, Reading, SignalRule, TwinState

LOOKAHEAD_S = 60.0
"""A set-point inside the envelope can be held this long without breaking a storage limit."""
LOOKAHEAD_H = LOOKAHEAD_S / 3600.0
HORIZON_H = 1.0
"""Kinds without a store state their energy up and down as what this many hours can move."""

_METER_FLOOR_FRAC = 0.0005
_PLAUSIBLE_FACTOR = 1.25


class MeteredTwin:
    """A resource behind one meter; kinds add what they remember and their envelope.

    The meter's standard deviation is taken as (class x reading + 0.05 % of rated power) / sqrt(3):
    an error evenly spread within the class limit. Its growth with age is judged elsewhere.
    """

    def __init__(
        self, values: Mapping[str, ParameterValue], *, low_kw: float, high_kw: float
    ) -> None:
        self.low_kw = low_kw
        """Least power by name-plate."""
        self.high_kw = high_kw
        """Greatest power by name-plate."""
        self.rated_kw = max(high_kw, -low_kw)
        self.ramp_kw_per_min = number(values, "ramp_frac_per_min") * self.rated_kw
        self.response_s = number(values, "response_s")
        self.merit_per_mwh = number(values, "merit_per_mwh")
        self.reserve_duration_h = number(values, "reserve_duration_h")
        self.dead_band_kw = number(values, "dead_band_kw")
        self.max_age_s = number(values, "max_age_s")
        self._meter_class_frac = number(values, "meter_class_frac")
        margin_kw = (_PLAUSIBLE_FACTOR - 1.0) * self.rated_kw
        self._power_rule = SignalRule(
            signal="power_kw",
            max_age_s=self.max_age_s,
            on_stale=str(values["on_stale"]),
            limit_kw=number(values, "stale_limit_kw"),
            low=low_kw - margin_kw,
            high=high_kw + margin_kw,
            frozen_after_s=number(values, "frozen_after_s"),
        )

    @staticmethod
    def check(values: Mapping[str, ParameterValue], *, path: str) -> list[Problem]:
        """Return broken rules between parameters; none for kinds that have no such rule."""
        return []

    @property
    def signal_rules(self) -> tuple[SignalRule, ...]:
        """Signals this kind relies on, with their stale-data policy."""
        return (self._power_rule,)

    def observe(self, state: TwinState, reading: Reading) -> TwinState:
        """Return the state after an accepted sample; one that is not newer changes nothing."""
        before = state.measured_at
        elapsed_s = 0.0
        if before is not None:
            elapsed_s = (reading.measured_at - before).total_seconds()
            if elapsed_s <= 0.0:
                return state
            if elapsed_s > self.max_age_s:
                elapsed_s = 0.0
        step_h = elapsed_s / 3600.0
        exported, imported = _injected_and_drawn(state.power_kw, reading.power_kw, step_h)
        return TwinState(
            measured_at=reading.measured_at,
            power_kw=reading.power_kw,
            sigma_kw=self.sigma_kw(reading.power_kw),
            exported_kwh=state.exported_kwh + exported,
            imported_kwh=state.imported_kwh + imported,
            signals={**state.signals, **reading.signals} if reading.signals else state.signals,
            vehicles=reading.vehicles,
            memory=self._remember(state, reading, step_h),
        )

    def sigma_kw(self, power_kw: float) -> float:
        """Return one standard deviation of a power reading in kW."""
        spread = self._meter_class_frac * abs(power_kw) + _METER_FLOOR_FRAC * self.rated_kw
        return spread / math.sqrt(3.0)

    def _remember(self, state: TwinState, reading: Reading, step_h: float) -> dict[str, float]:
        """Return the kind's memory; ``step_h`` is zero across a gap."""
        return state.memory

    def _envelope(
        self,
        min_kw: float,
        max_kw: float,
        *,
        natural_kw: float,
        energy_up_kwh: float,
        energy_down_kwh: float,
        reserve_up_kw: float,
        reserve_down_kw: float,
        exclusion: tuple[float, float] = (0.0, 0.0),
    ) -> Envelope:
        """Return an envelope with the ramp, response, dead band and merit that every kind has."""
        return Envelope(
            min_kw=min_kw,
            max_kw=max_kw,
            ramp_up_kw_per_min=self.ramp_kw_per_min,
            ramp_down_kw_per_min=self.ramp_kw_per_min,
            energy_up_kwh=max(energy_up_kwh, 0.0),
            energy_down_kwh=max(energy_down_kwh, 0.0),
            reserve_up_kw=max(reserve_up_kw, 0.0),
            reserve_down_kw=max(reserve_down_kw, 0.0),
            dead_band_kw=self.dead_band_kw,
            exclusion_low_kw=exclusion[0],
            exclusion_high_kw=exclusion[1],
            merit_per_mwh=self.merit_per_mwh,
            natural_kw=natural_kw,
            response_s=self.response_s,
        )

    def _within_ramp(self, wanted_kw: float, from_kw: float, step_s: float) -> float:
        """Return the power nearest to ``wanted_kw`` that one step can reach."""
        reach_kw = self.ramp_kw_per_min * step_s / 60.0
        return clip(wanted_kw, from_kw - reach_kw, from_kw + reach_kw)


def clip(value: float, low: float, high: float) -> float:
    """Return the value nearest to ``value`` in ``[low, high]``; ``low`` wins where they cross."""
    return max(low, min(value, high))


def outside_band(
    power_kw: float, low_kw: float, high_kw: float, band: tuple[float, float]
) -> float:
    """Return the nearest power in ``[low_kw, high_kw]`` outside an open band, if there is one."""
    if not band[0] < power_kw < band[1]:
        return power_kw
    edges = [edge for edge in band if low_kw <= edge <= high_kw]
    return min(edges, key=lambda edge: abs(edge - power_kw), default=power_kw)


def wanted(setpoints_kw: FloatArray, natural_kw: FloatArray) -> FloatArray:
    """Return the set-points with natural power where released (NaN), [T]."""
    return np.where(np.isnan(setpoints_kw), natural_kw, setpoints_kw)


def age_s(state: TwinState, now: datetime) -> float:
    """Return the age of the last sample in seconds, never negative; infinite before the first."""
    if state.measured_at is None:
        return math.inf
    return max((now - state.measured_at).total_seconds(), 0.0)


def order_problem(
    values: Mapping[str, ParameterValue], low: str, high: str, *, path: str, gap: float = 0.0
) -> list[Problem]:
    """Return a problem unless ``low`` lies below ``high``, by at least ``gap``."""
    if number(values, low) + gap <= number(values, high) and values[low] != values[high]:
        return []
    by = f" by at least {gap:g}" if gap else ""
    rule = f"must be below {high} = {values[high]}{by}"
    return [Problem(field=f"{path}{low}", value=values[low], rule=rule)]


def _injected_and_drawn(from_kw: float, to_kw: float, step_h: float) -> tuple[float, float]:
    """Return exported and imported kWh of a straight line between two readings."""
    if from_kw >= 0.0 and to_kw >= 0.0:
        return (from_kw + to_kw) * 0.5 * step_h, 0.0
    if from_kw <= 0.0 and to_kw <= 0.0:
        return 0.0, -(from_kw + to_kw) * 0.5 * step_h
    above, below = max(from_kw, to_kw), -min(from_kw, to_kw)
    per_kwh = 0.5 * step_h / (above + below)
    return above * above * per_kwh, below * below * per_kwh

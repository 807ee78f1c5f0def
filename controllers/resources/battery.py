"""The twin of a battery: state of charge, efficiencies, and a reserve that is never discharged."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar

import numpy as np

from controllers.kernel.errors import Problem
from controllers.kernel.states import Envelope
from controllers.resources.base import (
    LOOKAHEAD_H,
    MeteredTwin,
    age_s,
    clip,
    order_problem,
    outside_band,
    wanted,
)
from controllers.resources.parameters import Parameter, ParameterValue, number
from controllers.resources.rows import common_rows, kw_row, number_row
from controllers.resources.twin import (
    FloatArray,
    Projection,
    Reading,
    SignalRule,
    TwinState,
)

_ROWS: tuple[Parameter, ...] = (
    number_row(
        "capacity_kwh",
        "kWh",
        "Energy between empty and full.",
        "从空到满的电量。",
        default=None,
        low=0.0,
        high=1e7,
        low_open=True,
    ),
    kw_row("max_charge_kw", "Greatest charging power at the terminals.", "最大充电功率（端口）。"),
    kw_row(
        "max_discharge_kw", "Greatest discharging power at the terminals.", "最大放电功率（端口）。"
    ),
    number_row(
        "charge_efficiency_frac",
        "",
        "Share of the drawn energy that reaches the cells.",
        "充电效率：吸收电量中存入电芯的比例。",
        default=0.95,
        low=0.5,
        high=1.0,
    ),
    number_row(
        "discharge_efficiency_frac",
        "",
        "Share of the energy leaving the cells that reaches the terminals.",
        "放电效率：电芯放出电量中到达端口的比例。",
        default=0.95,
        low=0.5,
        high=1.0,
    ),
    number_row(
        "soc_min_frac",
        "",
        "State of charge below which the battery is not discharged.",
        "最低荷电状态，低于此值不放电。",
        default=0.05,
        low=0.0,
        high=1.0,
    ),
    number_row(
        "soc_max_frac",
        "",
        "State of charge above which the battery is not charged.",
        "最高荷电状态，高于此值不充电。",
        default=0.95,
        low=0.0,
        high=1.0,
    ),
    number_row(
        "reserve_soc_frac",
        "",
        "Backup reserve: state of charge kept for the site, never discharged for a market.",
        "备用电量：为园区保留的荷电状态，绝不向市场放出。",
        default=0.0,
        low=0.0,
        high=1.0,
    ),
    number_row(
        "cycle_budget_per_day",
        "1/day",
        "Full equivalent cycles a plan may use per day.",
        "计划每天可使用的等效满循环次数。",
        default=2.0,
        low=0.0,
        high=50.0,
        low_open=True,
    ),
    number_row(
        "exclusion_low_kw",
        "kW",
        "Lower end of the open band in which the inverter cannot run; equal ends mean none.",
        "逆变器不能运行的开区间下限；上下限相等表示没有。",
        default=0.0,
        low=-1e6,
        high=1e6,
    ),
    number_row(
        "exclusion_high_kw",
        "kW",
        "Upper end of that band.",
        "该区间上限。",
        default=0.0,
        low=-1e6,
        high=1e6,
    ),
    *common_rows(on_stale="zero", ramp_frac_per_min=60.0, response_s=2.0, merit_per_mwh=80.0),
)


class Battery(MeteredTwin):
    """A battery.

    The envelope shrinks towards the limits of the store, so that any power inside it can be held
    for the look-ahead of one minute. Between two readings of ``soc_frac`` the stored energy is
    counted from power; before the first one the battery offers nothing.
    """

    KIND: ClassVar[str] = "battery"
    PARAMETERS: ClassVar[tuple[Parameter, ...]] = _ROWS

    def __init__(self, values: Mapping[str, ParameterValue]) -> None:
        super().__init__(
            values,
            low_kw=-number(values, "max_charge_kw"),
            high_kw=number(values, "max_discharge_kw"),
        )
        self.capacity_kwh = number(values, "capacity_kwh")
        self.charge_efficiency_frac = number(values, "charge_efficiency_frac")
        self.discharge_efficiency_frac = number(values, "discharge_efficiency_frac")
        self.cycle_budget_per_day = number(values, "cycle_budget_per_day")
        floor_frac = max(number(values, "soc_min_frac"), number(values, "reserve_soc_frac"))
        self.floor_kwh = floor_frac * self.capacity_kwh
        """Stored energy below which nothing is discharged, backup reserve included."""
        self.ceiling_kwh = number(values, "soc_max_frac") * self.capacity_kwh
        self.exclusion_kw = (
            number(values, "exclusion_low_kw"),
            number(values, "exclusion_high_kw"),
        )

    @staticmethod
    def check(values: Mapping[str, ParameterValue], *, path: str) -> list[Problem]:
        """Return problems where the levels or the exclusion band are out of order."""
        problems = order_problem(values, "soc_min_frac", "soc_max_frac", path=path)
        if not problems:
            problems = order_problem(values, "reserve_soc_frac", "soc_max_frac", path=path)
        low, high = number(values, "exclusion_low_kw"), number(values, "exclusion_high_kw")
        if low > high:
            rule = f"must not be above exclusion_high_kw = {high:g} kW"
            problems.append(Problem(field=f"{path}exclusion_low_kw", value=low, rule=rule))
        charge, discharge = number(values, "max_charge_kw"), number(values, "max_discharge_kw")
        if low < high and (low < -charge or high > discharge):
            rule = f"must lie between {-charge:g} and {discharge:g} kW, the battery's own limits"
            problems.append(Problem(field=f"{path}exclusion_low_kw", value=low, rule=rule))
        return problems

    @property
    def signal_rules(self) -> tuple[SignalRule, ...]:
        """Power, and the state of charge that guards the store."""
        soc = SignalRule(
            signal="soc_frac",
            max_age_s=6.0 * self.max_age_s,
            on_stale="zero",
            low=0.0,
            high=1.0,
        )
        return (self._power_rule, soc)

    def envelope(self, state: TwinState, now: datetime) -> Envelope:
        """Return what the battery can do from ``now`` on."""
        stored_kwh = state.memory.get("stored_kwh")
        if stored_kwh is None:
            above_kwh = room_kwh = 0.0
        else:
            since_h = min(age_s(state, now), self.max_age_s) / 3600.0
            stored_kwh = self.stored_after(stored_kwh, state.power_kw, since_h)
            above_kwh = max(stored_kwh - self.floor_kwh, 0.0) * self.discharge_efficiency_frac
            room_kwh = max(self.ceiling_kwh - stored_kwh, 0.0) / self.charge_efficiency_frac
        max_kw = min(self.high_kw, above_kwh / LOOKAHEAD_H)
        min_kw = max(self.low_kw, -room_kwh / LOOKAHEAD_H)
        return self._envelope(
            min_kw,
            max_kw,
            natural_kw=0.0,
            energy_up_kwh=above_kwh,
            energy_down_kwh=room_kwh,
            reserve_up_kw=min(max_kw, above_kwh / self.reserve_duration_h) - state.power_kw,
            reserve_down_kw=state.power_kw - max(min_kw, -room_kwh / self.reserve_duration_h),
            exclusion=self.exclusion_kw,
        )

    def project(
        self, state: TwinState, setpoints_kw: FloatArray, natural_kw: FloatArray, step_s: float
    ) -> Projection:
        """Return the run; the store's limits hold at the end of every step."""
        step_h = step_s / 3600.0
        n_steps = len(setpoints_kw)
        power_kw, min_kw, max_kw = np.zeros(n_steps), np.zeros(n_steps), np.zeros(n_steps)
        energy_kwh = np.zeros(n_steps + 1)
        energy_kwh[0] = stored_kwh = state.memory.get("stored_kwh", self.floor_kwh)
        last_kw = state.power_kw
        released = np.isnan(setpoints_kw)
        for t, wanted_kw in enumerate(wanted(setpoints_kw, natural_kw).tolist()):
            above_kwh = max(stored_kwh - self.floor_kwh, 0.0) * self.discharge_efficiency_frac
            room_kwh = max(self.ceiling_kwh - stored_kwh, 0.0) / self.charge_efficiency_frac
            max_kw[t] = highest_kw = min(self.high_kw, above_kwh / step_h)
            min_kw[t] = lowest_kw = max(self.low_kw, -room_kwh / step_h)
            reachable_kw = self._within_ramp(wanted_kw, last_kw, step_s)
            last_kw = clip(reachable_kw, lowest_kw, highest_kw)
            if not released[t]:
                last_kw = outside_band(last_kw, lowest_kw, highest_kw, self.exclusion_kw)
            power_kw[t] = last_kw
            stored_kwh = self.stored_after(stored_kwh, last_kw, step_h)
            energy_kwh[t + 1] = stored_kwh
        return Projection(power_kw=power_kw, min_kw=min_kw, max_kw=max_kw, energy_kwh=energy_kwh)

    def stored_after(self, stored_kwh: float, power_kw: float, step_h: float) -> float:
        """Return the stored energy after running at one power."""
        if power_kw > 0.0:
            return stored_kwh - power_kw * step_h / self.discharge_efficiency_frac
        return stored_kwh - power_kw * step_h * self.charge_efficiency_frac

    def _remember(self, state: TwinState, reading: Reading, step_h: float) -> dict[str, float]:
        soc_frac = reading.signals.get("soc_frac")
        if soc_frac is not None:
            return {"stored_kwh": soc_frac * self.capacity_kwh}
        if "stored_kwh" not in state.memory:
            return state.memory
        mean_kw = 0.5 * (state.power_kw + reading.power_kw)
        stored_kwh = self.stored_after(state.memory["stored_kwh"], mean_kw, step_h)
        return {"stored_kwh": clip(stored_kwh, 0.0, self.capacity_kwh)}

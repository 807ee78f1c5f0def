"""The twin of a heat pump with a thermal store: electricity can wait while the store lasts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar

import numpy as np

from controllers.kernel.errors import Problem
from controllers.kernel.states import Envelope
from controllers.resources.base import LOOKAHEAD_H, MeteredTwin, clip, order_problem, wanted
from controllers.resources.parameters import Parameter, ParameterValue, number
from controllers.resources.rows import common_rows, kw_row, number_row
from controllers.resources.twin import FloatArray, Projection, Reading, SignalRule, TwinState

_ROWS: tuple[Parameter, ...] = (
    kw_row("rated_kw", "Greatest electrical power drawn.", "最大电功率。"),
    number_row(
        "cop",
        "kW/kW",
        "Coefficient of performance: heat per unit of electricity.",
        "能效比：每单位电力产生的热量。",
        default=3.2,
        low=1.0,
        high=10.0,
    ),
    number_row(
        "store_kwh",
        "kWh",
        "Heat between an empty and a full store.",
        "蓄热罐从空到满的热量。",
        default=None,
        low=0.0,
        high=1e6,
        low_open=True,
    ),
    number_row(
        "store_min_frac",
        "",
        "Level below which the heat pump must run.",
        "低于此蓄热水平必须运行。",
        default=0.1,
        low=0.0,
        high=1.0,
    ),
    number_row(
        "store_max_frac",
        "",
        "Level above which the heat pump must stop.",
        "高于此蓄热水平必须停止。",
        default=0.95,
        low=0.0,
        high=1.0,
    ),
    number_row(
        "store_loss_frac_per_h",
        "1/h",
        "Share of the stored heat lost per hour.",
        "每小时热损失占蓄热量的比例。",
        default=0.005,
        low=0.0,
        high=1.0,
    ),
    *common_rows(on_stale="release", ramp_frac_per_min=2.0, response_s=20.0, merit_per_mwh=60.0),
)


class HeatPump(MeteredTwin):
    """A heat pump that fills a thermal store which serves a heat demand.

    The store's level comes from ``store_frac`` and is counted on from power and demand between its
    readings; the demand (thermal, positive) from ``heat_demand_kw``, else it is taken to equal the
    heat produced now. Before the first level is known the heat pump offers nothing.
    """

    KIND: ClassVar[str] = "heat_pump"
    PARAMETERS: ClassVar[tuple[Parameter, ...]] = _ROWS

    def __init__(self, values: Mapping[str, ParameterValue]) -> None:
        super().__init__(values, low_kw=-number(values, "rated_kw"), high_kw=0.0)
        self.cop = number(values, "cop")
        self.store_kwh = number(values, "store_kwh")
        self.floor_kwh = number(values, "store_min_frac") * self.store_kwh
        self.ceiling_kwh = number(values, "store_max_frac") * self.store_kwh
        self.loss_frac_per_h = number(values, "store_loss_frac_per_h")

    @staticmethod
    def check(values: Mapping[str, ParameterValue], *, path: str) -> list[Problem]:
        """Return a problem where the store's levels are out of order."""
        return order_problem(values, "store_min_frac", "store_max_frac", path=path)

    @property
    def signal_rules(self) -> tuple[SignalRule, ...]:
        """Power, and the store's level that guards comfort."""
        store = SignalRule(
            signal="store_frac",
            max_age_s=6.0 * self.max_age_s,
            on_stale="release",
            low=0.0,
            high=1.0,
        )
        return (self._power_rule, store)

    def envelope(self, state: TwinState, now: datetime) -> Envelope:
        """Return what the heat pump can do from ``now`` on."""
        heat_kwh = state.memory.get("heat_kwh")
        if heat_kwh is None:
            held_kw = clip(state.power_kw, self.low_kw, 0.0)
            return self._envelope(
                held_kw,
                held_kw,
                natural_kw=held_kw,
                energy_up_kwh=0.0,
                energy_down_kwh=0.0,
                reserve_up_kw=0.0,
                reserve_down_kw=0.0,
            )
        demand_kw = self._demand_kw(state.signals, state.power_kw)
        min_kw, max_kw = self._bounds(heat_kwh, demand_kw, LOOKAHEAD_H)
        long_min_kw, long_max_kw = self._bounds(heat_kwh, demand_kw, self.reserve_duration_h)
        return self._envelope(
            min_kw,
            max_kw,
            natural_kw=clip(-demand_kw / self.cop, min_kw, max_kw),
            energy_up_kwh=(heat_kwh - self.floor_kwh) / self.cop,
            energy_down_kwh=(self.ceiling_kwh - heat_kwh) / self.cop,
            reserve_up_kw=min(max_kw, long_max_kw) - state.power_kw,
            reserve_down_kw=state.power_kw - max(min_kw, long_min_kw),
        )

    def project(
        self, state: TwinState, setpoints_kw: FloatArray, natural_kw: FloatArray, step_s: float
    ) -> Projection:
        """Return the run; ``natural_kw`` is the power that just meets the forecast heat demand.

        The energy is the heat in the store.
        """
        n_steps, step_h = len(setpoints_kw), step_s / 3600.0
        power_kw, min_kw, max_kw = np.zeros(n_steps), np.zeros(n_steps), np.zeros(n_steps)
        stored_kwh = np.zeros(n_steps + 1)
        stored_kwh[0] = heat_kwh = state.memory.get("heat_kwh", self.floor_kwh)
        for t, wanted_kw in enumerate(wanted(setpoints_kw, natural_kw).tolist()):
            demand_kw = -float(natural_kw[t]) * self.cop
            min_kw[t], max_kw[t] = lowest_kw, highest_kw = self._bounds(heat_kwh, demand_kw, step_h)
            power_kw[t] = held_kw = clip(wanted_kw, lowest_kw, highest_kw)
            heat_kwh = self.heat_after(heat_kwh, held_kw, demand_kw, step_h)
            stored_kwh[t + 1] = heat_kwh
        return Projection(power_kw=power_kw, min_kw=min_kw, max_kw=max_kw, energy_kwh=stored_kwh)

    def heat_after(
        self, heat_kwh: float, power_kw: float, demand_kw: float, step_h: float
    ) -> float:
        """Return the heat in the store after a step; a store cannot give what it has not."""
        lost_kwh = heat_kwh * self.loss_frac_per_h * step_h
        gained_kwh = (-power_kw * self.cop - demand_kw) * step_h
        return clip(heat_kwh - lost_kwh + gained_kwh, 0.0, self.store_kwh)

    def _remember(self, state: TwinState, reading: Reading, step_h: float) -> dict[str, float]:
        store_frac = reading.signals.get("store_frac")
        if store_frac is not None:
            return {"heat_kwh": store_frac * self.store_kwh}
        heat_kwh = state.memory.get("heat_kwh")
        if heat_kwh is None:
            return state.memory
        mean_kw = 0.5 * (state.power_kw + reading.power_kw)
        demand_kw = self._demand_kw(reading.signals or state.signals, mean_kw)
        return {"heat_kwh": self.heat_after(heat_kwh, mean_kw, demand_kw, step_h)}

    def _demand_kw(self, signals: Mapping[str, float], power_kw: float) -> float:
        return max(signals.get("heat_demand_kw", -power_kw * self.cop), 0.0)

    def _bounds(self, heat_kwh: float, demand_kw: float, step_h: float) -> tuple[float, float]:
        """Return least and greatest power that keep the store between its limits for a step."""
        drain_kw = demand_kw + heat_kwh * self.loss_frac_per_h
        most_heat_kw = (self.ceiling_kwh - heat_kwh) / step_h + drain_kw
        least_heat_kw = (self.floor_kwh - heat_kwh) / step_h + drain_kw
        min_kw = clip(-most_heat_kw / self.cop, self.low_kw, 0.0)
        return min_kw, clip(-least_heat_kw / self.cop, min_kw, 0.0)

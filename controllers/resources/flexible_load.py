"""The twin of a flexible building or process: a base load, part of which can pause and rebounds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

import numpy as np

from controllers.kernel.errors import Problem
from controllers.kernel.states import Envelope
from controllers.resources.base import HORIZON_H, MeteredTwin, clip, order_problem
from controllers.resources.parameters import Parameter, ParameterValue, number
from controllers.resources.rows import common_rows, kw_row, number_row
from controllers.resources.twin import FloatArray, Projection, Reading, TwinState

_REDUCED_FRAC = 0.1
"""Share of the flexible power from which a lower draw counts as an interruption, not as noise."""

_ROWS: tuple[Parameter, ...] = (
    kw_row("rated_kw", "Greatest power drawn.", "最大用电功率。"),
    number_row(
        "flexible_frac",
        "",
        "Share of the base load that can be switched off.",
        "基础负荷中可中断的比例。",
        default=0.3,
        low=0.0,
        high=1.0,
    ),
    number_row(
        "increase_frac",
        "",
        "Share of the base load that can be drawn on top of it, e.g. by cooling ahead.",
        "可在基础负荷之上增加的比例，例如预冷。",
        default=0.0,
        low=0.0,
        high=1.0,
    ),
    number_row(
        "max_interruption_min",
        "min",
        "Longest reduction; as much time without one must follow before the next.",
        "最长中断时间；之后须等同样长的时间才可再次中断。",
        default=120.0,
        low=1.0,
        high=1440.0,
    ),
    number_row(
        "rebound_frac",
        "",
        "Share of the energy not drawn that is drawn later.",
        "少用电量中事后补回的比例。",
        default=0.6,
        low=0.0,
        high=1.5,
    ),
    number_row(
        "rebound_min",
        "min",
        "Time over which what is owed is drawn again.",
        "补回用电所需的时间。",
        default=60.0,
        low=1.0,
        high=1440.0,
    ),
    number_row(
        "comfort_low_c",
        "°C",
        "Least indoor temperature; outside the comfort limits nothing is switched off.",
        "室内温度下限；超出舒适范围时不中断负荷。",
        default=19.0,
        low=-50.0,
        high=80.0,
    ),
    number_row(
        "comfort_high_c",
        "°C",
        "Greatest indoor temperature.",
        "室内温度上限。",
        default=26.0,
        low=-50.0,
        high=80.0,
    ),
    *common_rows(on_stale="release", ramp_frac_per_min=2.0, response_s=25.0, merit_per_mwh=200.0),
)


@dataclass(frozen=True, slots=True)
class _Flex:
    """What a load owes and how long it has been interrupted."""

    owed_kwh: float = 0.0
    interrupted_h: float = 0.0
    resting: bool = False
    """The longest interruption was used up; the next must wait until as much time has passed."""


class FlexibleLoad(MeteredTwin):
    """A load with a base, a part of which can pause for a while and is partly drawn later.

    The base comes from the device's signal ``baseline_kw`` (negative), else from the power measured
    while the load ran free. ``indoor_temp_c`` outside the comfort limits forbids interruptions.
    """

    KIND: ClassVar[str] = "flexible_load"
    PARAMETERS: ClassVar[tuple[Parameter, ...]] = _ROWS

    def __init__(self, values: Mapping[str, ParameterValue]) -> None:
        super().__init__(values, low_kw=-number(values, "rated_kw"), high_kw=0.0)
        self.flexible_frac = number(values, "flexible_frac")
        self.increase_frac = number(values, "increase_frac")
        self.max_interruption_h = number(values, "max_interruption_min") / 60.0
        self.rebound_frac = number(values, "rebound_frac")
        self.rebound_h = number(values, "rebound_min") / 60.0
        self.comfort_low_c = number(values, "comfort_low_c")
        self.comfort_high_c = number(values, "comfort_high_c")

    @staticmethod
    def check(values: Mapping[str, ParameterValue], *, path: str) -> list[Problem]:
        """Return a problem where the comfort limits are out of order."""
        return order_problem(values, "comfort_low_c", "comfort_high_c", path=path)

    def envelope(self, state: TwinState, now: datetime) -> Envelope:
        """Return what the load can do from ``now`` on."""
        flex = _flex(state)
        min_kw, natural_kw, max_kw = self._bounds(state.memory.get("base_kw", 0.0), flex)
        temp_c = state.signals.get("indoor_temp_c")
        if temp_c is not None and not self.comfort_low_c <= temp_c <= self.comfort_high_c:
            max_kw = natural_kw
        left_h = max(self.max_interruption_h - flex.interrupted_h, 0.0)
        lasts = left_h >= self.reserve_duration_h
        return self._envelope(
            min_kw,
            max_kw,
            natural_kw=natural_kw,
            energy_up_kwh=(max_kw - natural_kw) * left_h,
            energy_down_kwh=(natural_kw - min_kw) * HORIZON_H,
            reserve_up_kw=max_kw - state.power_kw if lasts else 0.0,
            reserve_down_kw=state.power_kw - min_kw,
        )

    def project(
        self, state: TwinState, setpoints_kw: FloatArray, natural_kw: FloatArray, step_s: float
    ) -> Projection:
        """Return the run; ``natural_kw`` is the base load, the energy is what is owed."""
        n_steps = len(setpoints_kw)
        power_kw, min_kw, max_kw = np.zeros(n_steps), np.zeros(n_steps), np.zeros(n_steps)
        owed_kwh = np.zeros(n_steps + 1)
        flex = _flex(state)
        owed_kwh[0] = flex.owed_kwh
        for t, base_kw in enumerate(np.clip(natural_kw, self.low_kw, 0.0).tolist()):
            min_kw[t], released_kw, max_kw[t] = self._bounds(base_kw, flex)
            setpoint_kw = float(setpoints_kw[t])
            wanted_kw = released_kw if math.isnan(setpoint_kw) else setpoint_kw
            power_kw[t] = clip(wanted_kw, min_kw[t], max_kw[t])
            flex = self._after(flex, base_kw, float(power_kw[t]), step_s / 3600.0)
            owed_kwh[t + 1] = flex.owed_kwh
        return Projection(power_kw=power_kw, min_kw=min_kw, max_kw=max_kw, energy_kwh=owed_kwh)

    def _remember(self, state: TwinState, reading: Reading, step_h: float) -> dict[str, float]:
        before_kw = state.memory.get("base_kw", reading.power_kw)
        free_kw = reading.power_kw if reading.setpoint_kw is None else before_kw
        base_kw = clip(reading.signals.get("baseline_kw", free_kw), self.low_kw, 0.0)
        mean_kw = 0.5 * (state.power_kw + reading.power_kw)
        mean_base_kw = 0.5 * (before_kw + base_kw)
        flex = self._after(_flex(state), mean_base_kw, mean_kw, step_h)
        return {
            "base_kw": base_kw,
            "owed_kwh": flex.owed_kwh,
            "interrupted_h": flex.interrupted_h,
            "resting": float(flex.resting),
        }

    def _bounds(self, base_kw: float, flex: _Flex) -> tuple[float, float, float]:
        """Return least, natural and greatest power over a (negative or zero) base."""
        natural_kw = max(base_kw - flex.owed_kwh / self.rebound_h, self.low_kw)
        min_kw = max(natural_kw + base_kw * self.increase_frac, self.low_kw)
        max_kw = natural_kw if flex.resting else base_kw * (1.0 - self.flexible_frac)
        return min_kw, natural_kw, max_kw

    def _after(self, flex: _Flex, base_kw: float, power_kw: float, step_h: float) -> _Flex:
        """Return the debts after running at one power over a base."""
        avoided_kw = power_kw - base_kw
        if avoided_kw > -_REDUCED_FRAC * self.flexible_frac * base_kw:
            interrupted_h = flex.interrupted_h + step_h
            return _Flex(
                flex.owed_kwh + self.rebound_frac * avoided_kw * step_h,
                interrupted_h,
                flex.resting or interrupted_h >= self.max_interruption_h,
            )
        interrupted_h = max(flex.interrupted_h - step_h, 0.0)
        return _Flex(
            max(flex.owed_kwh + min(avoided_kw, 0.0) * step_h, 0.0),
            interrupted_h,
            flex.resting and interrupted_h > 0.0,
        )


def _flex(state: TwinState) -> _Flex:
    memory = state.memory
    return _Flex(
        memory.get("owed_kwh", 0.0),
        memory.get("interrupted_h", 0.0),
        memory.get("resting", 0.0) > 0.0,
    )

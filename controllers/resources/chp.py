"""The twin of a CHP or genset: off, or at least at its minimum, and slow to change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

import numpy as np

from controllers.kernel.errors import Problem
from controllers.kernel.states import Envelope
from controllers.resources.base import (
    HORIZON_H,
    MeteredTwin,
    clip,
    order_problem,
    outside_band,
    wanted,
)
from controllers.resources.parameters import Parameter, ParameterValue, number
from controllers.resources.rows import common_rows, kw_row, number_row
from controllers.resources.twin import FloatArray, Projection, Reading, TwinState

_LONG_AGO_H = 1e6

_ROWS: tuple[Parameter, ...] = (
    kw_row("min_kw", "Least electrical power while running.", "运行时最小电功率。"),
    kw_row("max_kw", "Greatest electrical power.", "最大电功率。"),
    number_row(
        "min_up_min",
        "min",
        "A started unit keeps running at least this long.",
        "启动后的最短运行时间。",
        default=30.0,
        low=0.0,
        high=1440.0,
    ),
    number_row(
        "min_down_min",
        "min",
        "A stopped unit stays off at least this long.",
        "停机后的最短停机时间。",
        default=30.0,
        low=0.0,
        high=1440.0,
    ),
    number_row(
        "start_cost",
        "currency",
        "Cost of one start.",
        "每次启动的成本。",
        default=50.0,
        low=0.0,
        high=1e6,
    ),
    number_row(
        "heat_ratio",
        "kW/kW",
        "Useful heat per unit of electrical power.",
        "热电比：每单位电功率的有用热功率。",
        default=1.2,
        low=0.0,
        high=5.0,
    ),
    *common_rows(on_stale="hold", ramp_frac_per_min=0.2, response_s=30.0, merit_per_mwh=600.0),
)


@dataclass(frozen=True, slots=True)
class _Unit:
    """Whether the unit runs and since how long it has been so."""

    running: bool
    since_h: float


class Chp(MeteredTwin):
    """A combined heat and power unit or genset.

    It runs if its signal ``running`` says so, else if its power is at least half the minimum. A
    unit first seen is taken to have been in its state long enough to change it.
    """

    KIND: ClassVar[str] = "chp"
    PARAMETERS: ClassVar[tuple[Parameter, ...]] = _ROWS

    def __init__(self, values: Mapping[str, ParameterValue]) -> None:
        super().__init__(values, low_kw=0.0, high_kw=number(values, "max_kw"))
        self.min_kw = number(values, "min_kw")
        self.min_up_h = number(values, "min_up_min") / 60.0
        self.min_down_h = number(values, "min_down_min") / 60.0
        self.start_cost = number(values, "start_cost")
        self.heat_ratio = number(values, "heat_ratio")

    @staticmethod
    def check(values: Mapping[str, ParameterValue], *, path: str) -> list[Problem]:
        """Return a problem where the least power is not below the greatest."""
        return order_problem(values, "min_kw", "max_kw", path=path)

    def envelope(self, state: TwinState, now: datetime) -> Envelope:
        """Return what the unit can do from ``now`` on."""
        unit = _unit(state, now)
        min_kw, max_kw = self._bounds(unit)
        natural_kw = clip(state.power_kw, self.min_kw, max_kw) if unit.running else 0.0
        return self._envelope(
            min_kw,
            max_kw,
            natural_kw=natural_kw,
            energy_up_kwh=(max_kw - natural_kw) * HORIZON_H,
            energy_down_kwh=(natural_kw - min_kw) * HORIZON_H,
            # A unit at rest cannot be counted on to start in time, nor one that runs to stop.
            reserve_up_kw=max_kw - state.power_kw if unit.running else 0.0,
            reserve_down_kw=state.power_kw - self.min_kw if unit.running else 0.0,
            exclusion=(0.0, self.min_kw),
        )

    def project(
        self, state: TwinState, setpoints_kw: FloatArray, natural_kw: FloatArray, step_s: float
    ) -> Projection:
        """Return the run; starts and stops wait for the minimum times."""
        n_steps, step_h = len(setpoints_kw), step_s / 3600.0
        power_kw, min_kw, max_kw = np.zeros(n_steps), np.zeros(n_steps), np.zeros(n_steps)
        unit = _Unit(False, _LONG_AGO_H)
        if state.measured_at is not None:
            unit = _unit(state, state.measured_at)
        last_kw = state.power_kw if unit.running else 0.0
        for t, wanted_kw in enumerate(wanted(setpoints_kw, natural_kw).tolist()):
            min_kw[t], max_kw[t] = lowest_kw, highest_kw = self._bounds(unit)
            target_kw = clip(wanted_kw, lowest_kw, highest_kw)
            target_kw = outside_band(target_kw, lowest_kw, highest_kw, (0.0, self.min_kw))
            power_kw[t] = last_kw = self._moved(target_kw, last_kw, step_s)
            runs = last_kw > 0.0
            unit = _Unit(runs, step_h + (unit.since_h if runs == unit.running else 0.0))
        energy_kwh = np.zeros(n_steps + 1)
        return Projection(power_kw=power_kw, min_kw=min_kw, max_kw=max_kw, energy_kwh=energy_kwh)

    def _remember(self, state: TwinState, reading: Reading, step_h: float) -> dict[str, float]:
        said = reading.signals.get("running")
        runs = said >= 0.5 if said is not None else reading.power_kw >= 0.5 * self.min_kw
        running = float(runs)
        if state.memory.get("running") == running:
            return state.memory
        since_s = reading.measured_at.timestamp() if "running" in state.memory else 0.0
        return {"running": running, "since_s": since_s}

    def _moved(self, target_kw: float, last_kw: float, step_s: float) -> float:
        """Return the power after one step; the ramp counts above the minimum only."""
        from_kw = max(last_kw, self.min_kw)
        reached_kw = max(self._within_ramp(target_kw, from_kw, step_s), self.min_kw)
        stops = target_kw <= 0.0 and (last_kw <= 0.0 or reached_kw <= self.min_kw)
        return 0.0 if stops else reached_kw

    def _bounds(self, unit: _Unit) -> tuple[float, float]:
        """Return least and greatest power under the minimum times."""
        must_run = unit.running and unit.since_h < self.min_up_h
        must_rest = not unit.running and unit.since_h < self.min_down_h
        return self.min_kw if must_run else 0.0, 0.0 if must_rest else self.high_kw


def _unit(state: TwinState, now: datetime) -> _Unit:
    memory = state.memory
    since_h = (now.timestamp() - memory.get("since_s", 0.0)) / 3600.0
    return _Unit(memory.get("running", 0.0) > 0.0, since_h)

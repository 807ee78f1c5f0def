"""The twins of PV and wind: they can give what nature offers, or less."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar

import numpy as np

from controllers.kernel.errors import Problem
from controllers.kernel.states import Envelope
from controllers.resources.base import HORIZON_H, MeteredTwin, clip, order_problem, wanted
from controllers.resources.parameters import Parameter, ParameterValue, number
from controllers.resources.rows import common_rows, kw_row, number_row
from controllers.resources.twin import FloatArray, Projection, Reading, TwinState

_SETPOINT_TOLERANCE_FRAC = 0.01

_COMMON: tuple[Parameter, ...] = (
    kw_row("rated_kw", "Name-plate power at the connection point.", "并网点额定功率。"),
    Parameter(
        name="curtailable",
        kind="boolean",
        unit="",
        default=True,
        sentence="The plant obeys set-points below what is available.",
        sentence_zh="电站可按低于可用功率的设定值运行。",
    ),
    *common_rows(on_stale="hold", ramp_frac_per_min=6.0, response_s=5.0, merit_per_mwh=0.0),
)

_PV_ROWS: tuple[Parameter, ...] = (
    *_COMMON,
    number_row(
        "tilt_deg",
        "°",
        "Tilt of the modules from horizontal, for the forecast.",
        "组件与水平面的倾角，用于预测。",
        default=20.0,
        low=0.0,
        high=90.0,
    ),
    number_row(
        "azimuth_deg",
        "°",
        "Direction the modules face, clockwise from north (180 is south), for the forecast.",
        "组件朝向，自正北顺时针（180 为正南），用于预测。",
        default=180.0,
        low=0.0,
        high=360.0,
    ),
)

_WIND_ROWS: tuple[Parameter, ...] = (
    *_COMMON,
    number_row(
        "hub_height_m",
        "m",
        "Height of the hub above ground, for the forecast.",
        "轮毂离地高度，用于预测。",
        default=80.0,
        low=5.0,
        high=300.0,
    ),
    number_row(
        "cut_in_m_s",
        "m/s",
        "Wind speed at which the turbine starts.",
        "切入风速。",
        default=3.0,
        low=0.0,
        high=15.0,
    ),
    number_row(
        "rated_m_s",
        "m/s",
        "Wind speed from which the turbine gives rated power.",
        "额定风速。",
        default=12.0,
        low=1.0,
        high=40.0,
    ),
    number_row(
        "cut_out_m_s",
        "m/s",
        "Wind speed at which the turbine stops for its own safety.",
        "切出风速。",
        default=25.0,
        low=2.0,
        high=60.0,
    ),
)


class _Renewable(MeteredTwin):
    """A plant whose ceiling is the weather's.

    What is available comes from the device's signal ``available_kw`` where it gives one. Otherwise
    it is the measured power while nothing holds the plant back, and the last such value (or the
    measured power, if greater) while a set-point does.
    """

    def __init__(self, values: Mapping[str, ParameterValue]) -> None:
        rated_kw = number(values, "rated_kw")
        super().__init__(values, low_kw=0.0, high_kw=rated_kw)
        self.curtailable = bool(values["curtailable"])

    def envelope(self, state: TwinState, now: datetime) -> Envelope:
        """Return what the plant can do from ``now`` on."""
        available_kw = state.memory.get("available_kw", 0.0)
        min_kw = 0.0 if self.curtailable else available_kw
        return self._envelope(
            min_kw,
            available_kw,
            natural_kw=available_kw,
            energy_up_kwh=0.0,
            energy_down_kwh=(available_kw - min_kw) * HORIZON_H,
            reserve_up_kw=available_kw - state.power_kw,
            reserve_down_kw=state.power_kw - min_kw,
        )

    def project(
        self, state: TwinState, setpoints_kw: FloatArray, natural_kw: FloatArray, step_s: float
    ) -> Projection:
        """Return the run: natural power, or the set-point where that is less."""
        available_kw = np.clip(natural_kw, 0.0, self.rated_kw)
        floor_kw = np.zeros_like(available_kw) if self.curtailable else available_kw
        return Projection(
            power_kw=np.clip(wanted(setpoints_kw, available_kw), floor_kw, available_kw),
            min_kw=floor_kw,
            max_kw=available_kw,
            energy_kwh=np.zeros(len(available_kw) + 1),
        )

    def _remember(self, state: TwinState, reading: Reading, step_h: float) -> dict[str, float]:
        available_kw = reading.signals.get("available_kw")
        if available_kw is None:
            tolerance_kw = _SETPOINT_TOLERANCE_FRAC * self.rated_kw
            held_back = (
                reading.setpoint_kw is not None
                and reading.power_kw >= reading.setpoint_kw - tolerance_kw
            )
            available_kw = reading.power_kw
            if held_back:
                available_kw = max(state.memory.get("available_kw", 0.0), available_kw)
        return {"available_kw": clip(available_kw, 0.0, self.rated_kw)}


class Pv(_Renewable):
    """A photovoltaic plant."""

    KIND: ClassVar[str] = "pv"
    PARAMETERS: ClassVar[tuple[Parameter, ...]] = _PV_ROWS

    def __init__(self, values: Mapping[str, ParameterValue]) -> None:
        super().__init__(values)
        self.tilt_deg = number(values, "tilt_deg")
        self.azimuth_deg = number(values, "azimuth_deg")


class Wind(_Renewable):
    """A wind turbine, or several that share one connection."""

    KIND: ClassVar[str] = "wind"
    PARAMETERS: ClassVar[tuple[Parameter, ...]] = _WIND_ROWS

    def __init__(self, values: Mapping[str, ParameterValue]) -> None:
        super().__init__(values)
        self.hub_height_m = number(values, "hub_height_m")
        self.cut_in_m_s = number(values, "cut_in_m_s")
        self.rated_m_s = number(values, "rated_m_s")
        self.cut_out_m_s = number(values, "cut_out_m_s")

    @staticmethod
    def check(values: Mapping[str, ParameterValue], *, path: str) -> list[Problem]:
        """Return a problem where the wind speeds are out of order."""
        return [
            *order_problem(values, "cut_in_m_s", "rated_m_s", path=path),
            *order_problem(values, "rated_m_s", "cut_out_m_s", path=path),
        ]

"""The twins of PV and wind: they can give what nature offers, or less."""

from __future__ import annotations

from controllers.resources.parameters import Parameter
from controllers.resources.rows import common_rows, kw_row, number_row

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
    *common_rows(on_stale="hold", ramp_frac_per_min=6.0, merit_per_mwh=0.0),
)

PV_PARAMETERS: tuple[Parameter, ...] = (
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

WIND_PARAMETERS: tuple[Parameter, ...] = (
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

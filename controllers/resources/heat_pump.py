"""The twin of a heat pump with a thermal store: electricity can wait while the store lasts."""

from __future__ import annotations

from controllers.resources.parameters import Parameter
from controllers.resources.rows import common_rows, kw_row, number_row

PARAMETERS: tuple[Parameter, ...] = (
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
    *common_rows(on_stale="release", ramp_frac_per_min=2.0, merit_per_mwh=60.0),
)

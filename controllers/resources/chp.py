"""The twin of a CHP or genset: off, or at least at its minimum, and slow to change."""

from __future__ import annotations

from controllers.resources.parameters import Parameter
from controllers.resources.rows import common_rows, kw_row, number_row

PARAMETERS: tuple[Parameter, ...] = (
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
    *common_rows(on_stale="hold", ramp_frac_per_min=0.2, merit_per_mwh=600.0),
)

"""The twin of a flexible building or process: a base load, part of which can pause and rebounds."""

from __future__ import annotations

from controllers.resources.parameters import Parameter
from controllers.resources.rows import common_rows, kw_row, number_row

PARAMETERS: tuple[Parameter, ...] = (
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
    *common_rows(on_stale="release", ramp_frac_per_min=2.0, merit_per_mwh=200.0),
)

"""The twin of a battery: state of charge, efficiencies, and a reserve that is never discharged."""

from __future__ import annotations

from controllers.resources.parameters import Parameter
from controllers.resources.rows import common_rows, kw_row, number_row

PARAMETERS: tuple[Parameter, ...] = (
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
    *common_rows(on_stale="zero", ramp_frac_per_min=60.0, merit_per_mwh=80.0),
)

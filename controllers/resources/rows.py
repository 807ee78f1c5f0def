"""Short forms for parameter rows, and the rows that every kind ends with."""

from __future__ import annotations

from controllers.resources.parameters import Parameter

_MAX_KW = 1e6


def kw_row(
    name: str, sentence: str, sentence_zh: str, *, default: float | None = None
) -> Parameter:
    """Return a row for a power magnitude; mandatory and above zero unless it has a default."""
    return Parameter(
        name=name,
        kind="number",
        unit="kW",
        default=default,
        sentence=sentence,
        sentence_zh=sentence_zh,
        low=0.0,
        low_open=default is None,
        high=_MAX_KW,
    )


def number_row(
    name: str,
    unit: str,
    sentence: str,
    sentence_zh: str,
    *,
    default: float | None,
    low: float,
    high: float,
    low_open: bool = False,
) -> Parameter:
    """Return a row for a bounded number."""
    return Parameter(
        name=name,
        kind="number",
        unit=unit,
        default=default,
        sentence=sentence,
        sentence_zh=sentence_zh,
        low=low,
        low_open=low_open,
        high=high,
    )


def common_rows(
    *, on_stale: str, ramp_frac_per_min: float, response_s: float, merit_per_mwh: float
) -> tuple[Parameter, ...]:
    """Return the rows every kind ends with, under the kind's own defaults."""
    return (
        number_row(
            "ramp_frac_per_min",
            "1/min",
            "Fastest change of power as a share of rated power per minute, both ways.",
            "功率变化的最大速率，以额定功率的比例每分钟计，升降相同。",
            default=ramp_frac_per_min,
            low=0.0,
            high=6000.0,
            low_open=True,
        ),
        number_row(
            "response_s",
            "s",
            "Time, beyond the ramp, in which 95 % of a change of set-point has taken effect.",
            "除爬坡外，设定值变化的 95% 生效所需的时间。",
            default=response_s,
            low=0.0,
            high=600.0,
        ),
        number_row(
            "merit_per_mwh",
            "currency/MWh",
            "Marginal cost of injecting one more MWh (or drawing one less); orders the split.",
            "多注入（或少用）一兆瓦时的边际成本，决定分配次序。",
            default=merit_per_mwh,
            low=-1e5,
            high=1e5,
        ),
        number_row(
            "reserve_duration_h",
            "h",
            "Time for which offered reserve must be sustained.",
            "所提供备用必须持续的时间。",
            default=0.5,
            low=0.0,
            high=24.0,
            low_open=True,
        ),
        kw_row(
            "dead_band_kw",
            "Changes of set-point smaller than this are not sent.",
            "小于此值的设定值变化不下发。",
            default=0.1,
        ),
        number_row(
            "max_age_s",
            "s",
            "Telemetry older than this is stale; energy over longer gaps is not integrated.",
            "遥测超过此时长即为过期；更长的间隔不计入电量积分。",
            default=10.0,
            low=0.0,
            high=3600.0,
            low_open=True,
        ),
        Parameter(
            name="on_stale",
            kind="choice",
            unit="",
            default=on_stale,
            sentence="What stale telemetry does: hold the set-point, limit, zero or release.",
            sentence_zh="遥测过期时的处理：保持、限幅、归零或释放。",
            choices=("hold", "limit", "zero", "release"),
        ),
        kw_row(
            "stale_limit_kw",
            "Bound on absolute power while telemetry is stale, with on_stale: limit.",
            "on_stale 为 limit 时，遥测过期期间的功率绝对值上限。",
            default=0.0,
        ),
        number_row(
            "frozen_after_s",
            "s",
            "Power that reads the same (and not zero) for this long counts as frozen; 0 = never.",
            "功率读数（非零）超过此时长不变视为冻结；0 表示不检查。",
            default=300.0,
            low=0.0,
            high=86_400.0,
        ),
        number_row(
            "meter_class_frac",
            "",
            "Accuracy class of the meter as a share of the reading.",
            "电表准确度等级，以读数的比例计。",
            default=0.005,
            low=0.0,
            high=0.1,
        ),
    )

"""The twin of an EV charging station: charging may wait until the latest start of each vehicle."""

from __future__ import annotations

from controllers.resources.parameters import Parameter
from controllers.resources.rows import common_rows, kw_row

PARAMETERS: tuple[Parameter, ...] = (
    Parameter(
        name="n_plugs",
        kind="integer",
        unit="",
        default=None,
        sentence="Number of charging points.",
        sentence_zh="充电桩数量。",
        low=1,
        high=512,
    ),
    kw_row(
        "max_charge_kw",
        "Greatest charging power of the whole station.",
        "整站最大充电功率。",
    ),
    kw_row(
        "plug_max_charge_kw",
        "Greatest charging power of one point.",
        "单桩最大充电功率。",
        default=22.0,
    ),
    kw_row(
        "plug_min_charge_kw",
        "Least charging power of one point (6 A, three phases); below it the point is off.",
        "单桩最小充电功率（三相 6 A）；低于此值即停充。",
        default=4.14,
    ),
    *common_rows(on_stale="zero", ramp_frac_per_min=6.0, merit_per_mwh=50.0),
)

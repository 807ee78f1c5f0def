"""The twin of a fleet: up to 100,000 small devices of one kind, seen as one resource."""

from __future__ import annotations

from controllers.resources.parameters import Parameter
from controllers.resources.rows import common_rows, kw_row, number_row

PARAMETERS: tuple[Parameter, ...] = (
    Parameter(
        name="device_kind",
        kind="choice",
        unit="",
        default=None,
        sentence="What the devices are; heat pumps and vehicles draw only, batteries do both.",
        sentence_zh="设备种类；热泵和电动车只用电，电池可双向。",
        choices=("heat_pump", "battery", "ev"),
    ),
    Parameter(
        name="n_devices",
        kind="integer",
        unit="",
        default=None,
        sentence="Number of devices.",
        sentence_zh="设备数量。",
        low=1,
        high=100_000,
    ),
    kw_row("device_kw", "Greatest power of one device.", "单台设备最大功率。"),
    number_row(
        "store_kwh",
        "kWh",
        "Energy one device stores: heat for heat pumps, electricity for the others.",
        "单台设备的储能：热泵为热量，其他为电量。",
        default=None,
        low=0.0,
        high=1e5,
        low_open=True,
    ),
    number_row(
        "efficiency",
        "kWh/kWh",
        "Stored energy per drawn energy: the COP of a heat pump, else the charging efficiency.",
        "每单位用电的储能：热泵为能效比，其他为充电效率。",
        default=0.95,
        low=0.1,
        high=10.0,
    ),
    number_row(
        "store_min_frac",
        "",
        "Level at which a device must draw (a battery must not discharge).",
        "达到此水平的设备必须用电（电池不得放电）。",
        default=0.1,
        low=0.0,
        high=1.0,
    ),
    number_row(
        "store_max_frac",
        "",
        "Level at which a device must not draw.",
        "达到此水平的设备不得再用电。",
        default=0.95,
        low=0.0,
        high=1.0,
    ),
    *common_rows(on_stale="release", ramp_frac_per_min=2.0, merit_per_mwh=70.0),
)

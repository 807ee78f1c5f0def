"""The twin of a fleet: up to 100,000 small devices of one kind, seen as one resource."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar

import numpy as np

from controllers.kernel.errors import Problem
from controllers.kernel.states import Envelope
from controllers.resources.base import MeteredTwin, clip, order_problem, wanted
from controllers.resources.parameters import Parameter, ParameterValue, number
from controllers.resources.rows import common_rows, kw_row, number_row
from controllers.resources.twin import FloatArray, Projection, TwinState

TAPER_FRAC = 0.05
"""Share of a store over which a device's limits fade in, so that none flips at a threshold."""

_ROWS: tuple[Parameter, ...] = (
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
    *common_rows(on_stale="release", ramp_frac_per_min=2.0, response_s=20.0, merit_per_mwh=70.0),
)


class Fleet(MeteredTwin):
    """Many small devices of one kind behind the interface of one resource.

    The devices themselves live in ``FleetColumns``, whose ``aggregate`` gives readings with the
    sums in their signals: ``min_kw``, ``max_kw``, ``natural_kw``, ``energy_up_kwh``,
    ``energy_down_kwh``, ``reserve_min_kw``, ``reserve_max_kw`` (what can be sustained for the
    reserve duration), ``store_frac`` and ``coverage_frac``.
    """

    KIND: ClassVar[str] = "fleet"
    PARAMETERS: ClassVar[tuple[Parameter, ...]] = _ROWS

    def __init__(self, values: Mapping[str, ParameterValue]) -> None:
        self.device_kind = str(values["device_kind"])
        self.n_devices = int(values["n_devices"])
        self.device_kw = number(values, "device_kw")
        total_kw = self.n_devices * self.device_kw
        gives = self.device_kind == "battery"
        super().__init__(values, low_kw=-total_kw, high_kw=total_kw if gives else 0.0)
        self.store_kwh = number(values, "store_kwh")
        self.efficiency = number(values, "efficiency")
        self.store_min_frac = number(values, "store_min_frac")
        self.store_max_frac = number(values, "store_max_frac")

    @staticmethod
    def check(values: Mapping[str, ParameterValue], *, path: str) -> list[Problem]:
        """Return problems where levels leave no room, or a battery gives more than it took."""
        problems = order_problem(
            values, "store_min_frac", "store_max_frac", path=path, gap=2.0 * TAPER_FRAC
        )
        if values["device_kind"] != "heat_pump" and number(values, "efficiency") > 1.0:
            rule = "must be at most 1 for batteries and vehicles"
            problems.append(
                Problem(field=f"{path}efficiency", value=values["efficiency"], rule=rule)
            )
        return problems

    def envelope(self, state: TwinState, now: datetime) -> Envelope:
        """Return the sums over the devices as last aggregated."""
        sums = state.signals
        min_kw, max_kw = sums.get("min_kw", 0.0), sums.get("max_kw", 0.0)
        return self._envelope(
            min_kw,
            max_kw,
            natural_kw=clip(sums.get("natural_kw", 0.0), min_kw, max_kw),
            energy_up_kwh=sums.get("energy_up_kwh", 0.0),
            energy_down_kwh=sums.get("energy_down_kwh", 0.0),
            reserve_up_kw=sums.get("reserve_max_kw", 0.0) - state.power_kw,
            reserve_down_kw=state.power_kw - sums.get("reserve_min_kw", 0.0),
        )

    def sigma_kw(self, power_kw: float) -> float:
        """Return one standard deviation of the sum in kW; the devices' meters err independently."""
        return super().sigma_kw(power_kw) / math.sqrt(self.n_devices)

    def project(
        self, state: TwinState, setpoints_kw: FloatArray, natural_kw: FloatArray, step_s: float
    ) -> Projection:
        """Return the run of the fleet as one store.

        ``natural_kw`` is the power that just keeps the stores level (heat pumps) or that is wanted
        when released (the others). The energy is what the stores hold together.
        """
        n_steps, step_h = len(setpoints_kw), step_s / 3600.0
        power_kw, min_kw, max_kw = np.zeros(n_steps), np.zeros(n_steps), np.zeros(n_steps)
        energy_kwh = np.zeros(n_steps + 1)
        capacity_kwh = self.n_devices * self.store_kwh
        floor_kwh, ceiling_kwh = (
            level * capacity_kwh for level in (self.store_min_frac, self.store_max_frac)
        )
        stored_kwh = state.signals.get("store_frac", self.store_min_frac) * capacity_kwh
        energy_kwh[0] = stored_kwh
        for t, wanted_kw in enumerate(wanted(setpoints_kw, natural_kw).tolist()):
            drain_kw = self._drain_kw(float(natural_kw[t]))
            lowest_kw = self._power_for((ceiling_kwh - stored_kwh) / step_h + drain_kw)
            highest_kw = self._power_for((floor_kwh - stored_kwh) / step_h + drain_kw)
            min_kw[t], max_kw[t] = lowest_kw, highest_kw
            power_kw[t] = held_kw = clip(wanted_kw, lowest_kw, highest_kw)
            stored_kwh += (self.stored_per_h(held_kw) - drain_kw) * step_h
            energy_kwh[t + 1] = stored_kwh
        return Projection(power_kw=power_kw, min_kw=min_kw, max_kw=max_kw, energy_kwh=energy_kwh)

    def stored_per_h(self, power_kw: float) -> float:
        """Return the rate in kW at which the stores fill at one power."""
        if power_kw > 0.0:
            return -power_kw / self.efficiency
        return -power_kw * self.efficiency

    def _drain_kw(self, natural_kw: float) -> float:
        """Return what the users take out of the stores."""
        return max(-natural_kw, 0.0) * self.efficiency if self.device_kind == "heat_pump" else 0.0

    def _power_for(self, stored_kw: float) -> float:
        """Return the power within the name-plate that fills the stores at one rate."""
        if stored_kw < 0.0:
            return clip(-stored_kw * self.efficiency, self.low_kw, self.high_kw)
        return clip(-stored_kw / self.efficiency, self.low_kw, self.high_kw)

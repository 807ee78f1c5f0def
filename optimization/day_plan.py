"""A park's day as arrays: the problem that ``optimization.day_solver`` solves, and its result.

A problem is a horizon of T steps, not necessarily of equal length, energy prices at one connection
point, optional limits on groups of assets behind it, and asset groups. Each group holds N assets of
one kind as columns, so that a hundred batteries are assembled by one array operation.

Units are MW, MWh, hours and currency per MWh. Schedules count injection into the grid as positive;
bounds named ``max_charge_mw``, ``max_draw_mw``, ``demand_mw`` or ``max_import_mw`` are magnitudes.
Physics is hard. Preferences (energy for a vehicle, warmth in a store, energy owed by a shifted
load) may be missed at ``breach_price_per_mwh`` and are then reported by name.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from optimization.checks import (
    BoolArray,
    FloatArray,
    IntArray,
    ProblemError,
    require,
    require_shape,
)


def _check_columns(group: object, names: tuple[str, ...], n_steps: int, *free: str) -> None:
    """Check shape and sign of every float array of a group.

    An annotation comment ``[N]`` or ``[N, T]`` is not visible at run time; dimension is. Fields in
    ``free`` may be negative or infinite, e.g. costs and ramps.
    """
    kind = type(group).__name__
    for item in dataclasses.fields(group):  # type: ignore[arg-type]
        values = getattr(group, item.name)
        if not isinstance(values, np.ndarray) or item.name.startswith("session_"):
            continue
        path = f"{kind}.{item.name}"
        shape = (len(names), n_steps) if values.ndim == 2 else (len(names),)
        require_shape(path, values, shape)
        if values.dtype == np.bool_:
            continue
        if item.name in free:
            require(path, values, ~np.isnan(values), "must be a number", names)
        else:
            holds = np.isfinite(values) & (values >= 0)
            require(path, values, holds, "must be finite and not negative", names)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Batteries:
    """N batteries; power at the terminals, energy in the cells."""

    names: tuple[str, ...]
    max_charge_mw: FloatArray  # [N]
    max_discharge_mw: FloatArray  # [N]
    initial_mwh: FloatArray  # [N]
    min_mwh: FloatArray  # [N]
    max_mwh: FloatArray  # [N]
    charge_efficiency: FloatArray  # [N], in (0, 1]
    discharge_efficiency: FloatArray  # [N], in (0, 1]
    standing_loss_frac_per_h: FloatArray  # [N], of the stored energy, in [0, 1)
    max_discharge_mwh: FloatArray  # [N], over the horizon: the cycle budget; inf is none
    wear_per_mwh: FloatArray  # [N], cost of each MWh through the terminals, either way
    terminal_value_per_mwh: FloatArray  # [N], worth of energy left in the cells at the end

    def check(self, n_steps: int) -> None:
        """Raise ProblemError for the first broken rule."""
        _check_columns(self, self.names, n_steps, "max_discharge_mwh", "terminal_value_per_mwh")
        budget = self.max_discharge_mwh
        rule = "must not be negative"
        require("Batteries.max_discharge_mwh", budget, budget >= 0, rule, self.names)
        for name in ("charge_efficiency", "discharge_efficiency"):
            values = getattr(self, name)
            holds = (values > 0) & (values <= 1)
            require(f"Batteries.{name}", values, holds, "must lie in (0, 1]", self.names)
        _check_store(self, "Batteries")
        loss_mw = self.standing_loss_frac_per_h * self.min_mwh
        holds = self.max_charge_mw * self.charge_efficiency * _FULL >= loss_mw
        rule = "must cover the standing loss at min_mwh"
        require("Batteries.max_charge_mw", self.max_charge_mw, holds, rule, self.names)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Renewables:
    """N plants fed by sun or wind."""

    names: tuple[str, ...]
    available_mw: FloatArray  # [N, T]
    curtailable: BoolArray  # [N]; False runs at what is available
    curtailment_cost_per_mwh: FloatArray  # [N]

    def check(self, n_steps: int) -> None:
        """Raise ProblemError for the first broken rule."""
        _check_columns(self, self.names, n_steps)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FlexibleLoads:
    """N loads that may draw less for a while and make up for it within a window.

    With ``rebound_frac`` 0 the load is interruptible: energy not drawn is never drawn later.
    """

    names: tuple[str, ...]
    demand_mw: FloatArray  # [N, T], drawn when left alone
    max_less_mw: FloatArray  # [N, T]
    max_more_mw: FloatArray  # [N, T]
    max_interruption_h: FloatArray  # [N], at full depth; as much time without one follows
    rebound_frac: FloatArray  # [N], energy owed per energy not drawn
    window_h: FloatArray  # [N], energy owed is returned within
    owed_mwh: FloatArray  # [N], owed already
    interruption_cost_per_mwh: FloatArray  # [N], of energy not drawn when wanted

    def check(self, n_steps: int) -> None:
        """Raise ProblemError for the first broken rule."""
        _check_columns(self, self.names, n_steps, "max_interruption_h")
        holds = self.max_interruption_h > 0
        rule = "must be above 0"
        path = "FlexibleLoads.max_interruption_h"
        require(path, self.max_interruption_h, holds, rule, self.names)
        holds = self.max_less_mw <= self.demand_mw + _TINY
        rule = "must not exceed demand_mw"
        require("FlexibleLoads.max_less_mw", self.max_less_mw, holds, rule, self.names)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ChargingStations:
    """N stations with V vehicles plugged in; energy at the plug."""

    names: tuple[str, ...]
    max_charge_mw: FloatArray  # [N]
    session_names: tuple[str, ...]
    session_station: IntArray  # [V], index into names
    session_energy_mwh: FloatArray  # [V], wanted before departure
    session_max_mw: FloatArray  # [V]
    session_departure_h: FloatArray  # [V], after the start of the horizon

    def check(self, n_steps: int) -> None:
        """Raise ProblemError for the first broken rule."""
        _check_columns(self, self.names, n_steps)
        n_sessions = len(self.session_names)
        for name in ("session_energy_mwh", "session_max_mw", "session_departure_h"):
            values = getattr(self, name)
            path = f"ChargingStations.{name}"
            require_shape(path, values, (n_sessions,))
            holds = np.isfinite(values) & (values >= 0)
            require(path, values, holds, "must be finite and not negative", self.session_names)
        station = self.session_station.astype(np.float64)
        require_shape("ChargingStations.session_station", station, (n_sessions,))
        holds = (station >= 0) & (station < len(self.names))
        rule = "must be the index of a station"
        require("ChargingStations.session_station", station, holds, rule, self.session_names)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Gensets:
    """N engines that run between a minimum and a maximum or stand still."""

    names: tuple[str, ...]
    min_mw: FloatArray  # [N]
    max_mw: FloatArray  # [N]
    cost_per_mwh: FloatArray  # [N]
    start_cost: FloatArray  # [N]
    min_up_h: FloatArray  # [N]
    min_down_h: FloatArray  # [N]
    initial_h: FloatArray  # [N], hours running so far, or negative: hours standing still
    initial_mw: FloatArray  # [N]
    ramp_mw_per_h: FloatArray  # [N], up and down while running; inf is none

    def check(self, n_steps: int) -> None:
        """Raise ProblemError for the first broken rule."""
        _check_columns(self, self.names, n_steps, "cost_per_mwh", "initial_h", "ramp_mw_per_h")
        holds = np.isfinite(self.cost_per_mwh)
        require("Gensets.cost_per_mwh", self.cost_per_mwh, holds, "must be finite", self.names)
        rule = "must not exceed max_mw"
        require("Gensets.min_mw", self.min_mw, self.min_mw <= self.max_mw, rule, self.names)
        holds = self.ramp_mw_per_h > 0
        require("Gensets.ramp_mw_per_h", self.ramp_mw_per_h, holds, "must be above 0", self.names)
        rule = "must not be 0: positive is hours running, negative hours standing still"
        require("Gensets.initial_h", self.initial_h, self.initial_h != 0, rule, self.names)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HeatStores:
    """N electric heaters or heat pumps, each with a heat store and a heat demand."""

    names: tuple[str, ...]
    min_draw_mw: FloatArray  # [N, T]
    max_draw_mw: FloatArray  # [N, T]
    cop: FloatArray  # [N, T], heat per electricity
    heat_demand_mw: FloatArray  # [N, T]
    initial_mwh: FloatArray  # [N], heat in store
    min_mwh: FloatArray  # [N]
    max_mwh: FloatArray  # [N]
    standing_loss_frac_per_h: FloatArray  # [N], in [0, 1)
    terminal_value_per_mwh: FloatArray  # [N], worth of heat left at the end

    def check(self, n_steps: int) -> None:
        """Raise ProblemError for the first broken rule."""
        _check_columns(self, self.names, n_steps, "terminal_value_per_mwh")
        holds = self.min_draw_mw <= self.max_draw_mw
        rule = "must not exceed max_draw_mw"
        require("HeatStores.min_draw_mw", self.min_draw_mw, holds, rule, self.names)
        require("HeatStores.cop", self.cop, self.cop > 0, "must be above 0", self.names)
        _check_store(self, "HeatStores")


def _check_store(group: Batteries | HeatStores, kind: str) -> None:
    rule = "must not exceed max_mwh"
    require(f"{kind}.min_mwh", group.min_mwh, group.min_mwh <= group.max_mwh, rule, group.names)
    loss = group.standing_loss_frac_per_h
    require(f"{kind}.standing_loss_frac_per_h", loss, loss < 1, "must be below 1", group.names)
    value = group.terminal_value_per_mwh
    require(
        f"{kind}.terminal_value_per_mwh", value, np.isfinite(value), "must be finite", group.names
    )


_TINY = 1e-9
_FULL = 1 + 1e-9

AssetGroup = Batteries | Renewables | FlexibleLoads | ChargingStations | Gensets | HeatStores


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupLimit:
    """A connection point inside the park: limits on the net power of some assets, as magnitudes."""

    name: str
    members: tuple[str, ...]
    max_import_mw: float = np.inf
    max_export_mw: float = np.inf


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DayPlanProblem:
    """What is to be planned."""

    step_h: FloatArray  # [T]
    import_price_per_mwh: FloatArray  # [T]
    export_price_per_mwh: FloatArray  # [T]
    carbon_kg_co2_per_mwh: FloatArray | None = None  # [T], of imported energy
    carbon_price_per_kg_co2: float = 0.0
    max_import_mw: float = np.inf
    max_export_mw: float = np.inf
    fixed_mw: FloatArray | None = None  # [T], net injection of all that cannot be planned
    limits: tuple[GroupLimit, ...] = ()
    groups: tuple[AssetGroup, ...] = ()
    """At most one group of each kind is usual, any number is allowed."""
    breach_price_per_mwh: float = 1e4
    """What a missed preference costs; to be well above every energy price."""

    @property
    def n_steps(self) -> int:
        """Number of steps, T."""
        return len(self.step_h)

    @property
    def asset_names(self) -> tuple[str, ...]:
        """Names of all assets in order of their groups."""
        return tuple(name for group in self.groups for name in group.names)

    def check(self) -> None:
        """Check the whole problem.

        Raises:
            ProblemError: the first broken rule, with field and value.
        """
        if self.n_steps == 0:
            raise ProblemError("step_h", [], "must hold at least one step")
        holds = np.isfinite(self.step_h) & (self.step_h > 0)
        require("step_h", self.step_h, holds, "must be finite and above 0")
        self._check_series()
        self._check_scalars()
        for group in self.groups:
            group.check(self.n_steps)
        self._check_names()

    def _check_series(self) -> None:
        for name in (
            "import_price_per_mwh",
            "export_price_per_mwh",
            "carbon_kg_co2_per_mwh",
            "fixed_mw",
        ):
            values = getattr(self, name)
            if values is not None:
                require_shape(name, values, (self.n_steps,))
                require(name, values, np.isfinite(values), "must be finite")

    def _check_scalars(self) -> None:
        limits = [("max_import_mw", self.max_import_mw), ("max_export_mw", self.max_export_mw)]
        for limit in self.limits:
            limits.append((f"limits.{limit.name}.max_import_mw", limit.max_import_mw))
            limits.append((f"limits.{limit.name}.max_export_mw", limit.max_export_mw))
        for path, value in limits:
            if not value >= 0:
                raise ProblemError(path, value, "must not be negative")
        for path in ("carbon_price_per_kg_co2", "breach_price_per_mwh"):
            value = getattr(self, path)
            if not 0 <= value < np.inf:
                raise ProblemError(path, value, "must be finite and not negative")

    def _check_names(self) -> None:
        names: set[str] = set()
        for name in self.asset_names:
            if name in names:
                raise ProblemError("names", name, "is used twice; names are unique")
            names.add(name)
        for limit in self.limits:
            for member in limit.members:
                if member not in names:
                    path = f"limits.{limit.name}.members"
                    raise ProblemError(path, member, "must be the name of an asset")


class PlanStatus(StrEnum):
    """How an attempt ended."""

    OPTIMAL = "optimal"
    """Proven to be within the demanded gap."""
    INCUMBENT = "incumbent"
    """Feasible; the proof did not finish by the deadline."""
    INFEASIBLE = "infeasible"
    """Physics and limits contradict one another; ``reason`` says where."""
    LATE = "late"
    """Nothing feasible was found by the deadline."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    """A preference that could not be met."""

    name: str
    """The vehicle, load or store."""
    what: str
    """What is missed, as words."""
    amount_mwh: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DayPlanResult:
    """What came of it; schedules are empty unless the status is optimal or incumbent."""

    status: PlanStatus
    solve_s: float
    reason: str = ""
    power_mw: Mapping[str, FloatArray] = field(default_factory=dict)  # [T] by asset
    stored_mwh: Mapping[str, FloatArray] = field(default_factory=dict)  # [T+1] by store
    running: Mapping[str, BoolArray] = field(default_factory=dict)  # [T] by genset
    grid_mw: FloatArray = field(default_factory=lambda: np.zeros(0))  # [T]
    cost: float = np.nan
    cost_terms: Mapping[str, float] = field(default_factory=dict)
    """Sums to ``cost``; a cost is positive, an income negative."""
    bound: float = -np.inf
    """No plan can cost less."""
    gap_frac: float = np.inf
    """Distance of cost from bound, relative to cost."""
    breaches: tuple[Breach, ...] = ()

    @property
    def feasible(self) -> bool:
        """Whether there is a schedule."""
        return self.status in (PlanStatus.OPTIMAL, PlanStatus.INCUMBENT)

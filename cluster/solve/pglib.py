"""Unit-commitment instances in PGLib-UC's format as dispatch problems.

The format counts hours in whole steps, prices a start by the hours since the stop and demands a
spinning reserve from units that run; nothing is exchanged with a grid.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from cluster.solve.problem_json import faults_of
from optimization.dispatch.plant import CostPoint, Generator, Renewable, StartCost
from optimization.dispatch.problem import ConnectionPoint, DispatchProblem, ReserveProduct
from optimization.dispatch.rules import ProblemRefusedError

POINT = "system"
RESERVE = "spinning reserve"
_NAME = 200
_Flag = Annotated[int, Field(ge=0, le=1)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _Point(_Part):
    mw: float
    cost: float


class _Start(_Part):
    lag: int
    cost: float


class _Thermal(_Part):
    name: str | None = Field(default=None, max_length=_NAME)
    must_run: _Flag
    power_output_minimum: float
    power_output_maximum: float
    ramp_up_limit: float
    ramp_down_limit: float
    ramp_startup_limit: float
    ramp_shutdown_limit: float
    time_up_minimum: int
    time_down_minimum: int
    power_output_t0: float
    unit_on_t0: _Flag
    time_up_t0: int
    time_down_t0: int
    startup: tuple[_Start, ...]
    piecewise_production: tuple[_Point, ...]


class _Renewable(_Part):
    name: str | None = Field(default=None, max_length=_NAME)
    power_output_minimum: tuple[float, ...]
    power_output_maximum: tuple[float, ...]


class _Instance(_Part):
    time_periods: int
    demand: tuple[float, ...]
    reserves: tuple[float, ...]
    thermal_generators: dict[str, _Thermal]
    renewable_generators: dict[str, _Renewable]


_INSTANCE = TypeAdapter(_Instance)
Format = Literal["problem", "pglib"]


def decode_pglib(data: bytes) -> DispatchProblem:
    """Return the problem in a PGLib-UC document.

    Raises:
        ProblemRefusedError: fields are missing, unknown or of another type.
    """
    try:
        instance = _INSTANCE.validate_json(data)
    except ValidationError as error:
        raise ProblemRefusedError(faults_of(error)) from None
    return DispatchProblem(
        step_h=(1.0,) * instance.time_periods,
        points=(
            ConnectionPoint(
                name=POINT,
                max_import_mw=0.0,
                max_export_mw=0.0,
                fixed_mw=tuple(-demand for demand in instance.demand),
            ),
        ),
        reserves=(ReserveProduct(name=RESERVE, direction="up", required_mw=instance.reserves),),
        generators=tuple(
            _generator(name, unit) for name, unit in instance.thermal_generators.items()
        ),
        renewables=tuple(
            Renewable(
                name=name,
                point=POINT,
                available_mw=plant.power_output_maximum,
                must_take_mw=plant.power_output_minimum,
            )
            for name, plant in instance.renewable_generators.items()
        ),
    )


def _generator(name: str, unit: _Thermal) -> Generator:
    points = [
        CostPoint(power_mw=point.mw, cost_per_h=point.cost) for point in unit.piecewise_production
    ]
    return Generator(
        name=name,
        point=POINT,
        min_mw=unit.power_output_minimum,
        max_mw=unit.power_output_maximum,
        curve=tuple(points),
        starts=tuple(StartCost(off_h=float(s.lag), cost=s.cost) for s in unit.startup),
        min_up_h=float(unit.time_up_minimum),
        min_down_h=float(unit.time_down_minimum),
        ramp_up_mw_per_h=unit.ramp_up_limit,
        ramp_down_mw_per_h=unit.ramp_down_limit,
        start_mw=max(unit.ramp_startup_limit, unit.power_output_minimum),
        stop_mw=max(unit.ramp_shutdown_limit, unit.power_output_minimum),
        initial_h=float(unit.time_up_t0 if unit.unit_on_t0 else -unit.time_down_t0),
        initial_mw=unit.power_output_t0,
        must_run=bool(unit.must_run),
    )

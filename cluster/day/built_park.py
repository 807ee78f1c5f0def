"""A park from the data alone: a load per column, a PV plant per yield, the schema's batteries.

Such loads are fixed: the data says nothing of what could be moved.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from datetime import date

from cluster.day import citylearn
from cluster.day.formats import InputFile, PowerColumn
from cluster.day.series import DayFrame, Series, Source
from controllers.kernel.errors import ConfigError
from controllers.kernel.money import Currency
from controllers.park import (
    AggregateDefinition,
    ParkDefinition,
    ResourceDefinition,
    TariffDefinition,
)
from controllers.resources.parameters import ParameterValue

LOAD, PV = "flexible_load", "pv"
"""The kinds that can follow a file."""
_FINE_KW = 0.01
_BATTERY_WEAR_PER_MWH = 0.0


@dataclass(slots=True)
class Gathered:
    """Files and columns on the way to a scenario."""

    inputs: list[InputFile] = field(default_factory=list)
    loads: list[tuple[str | None, PowerColumn]] = field(default_factory=list)
    """With the resource it is for, where the user said."""
    yields: list[tuple[str | None, PowerColumn]] = field(default_factory=list)
    ratings: dict[str, citylearn.Ratings] = field(default_factory=dict)
    """By the stem of a CityLearn building."""
    rows: citylearn.Rows | None = None
    notes: list[str] = field(default_factory=list)


def built_park(
    files: Gathered, zone: str, currency: Currency
) -> tuple[ParkDefinition, dict[str, PowerColumn], dict[str, float]]:
    """Return a park of what the files hold, its columns by resource, and its batteries' charge.

    Raises:
        ConfigError: there is nothing to build from, or two columns have one name.
    """
    resources: list[ResourceDefinition] = []
    columns: dict[str, PowerColumn] = {}
    for kind, found in ((LOAD, files.loads), (PV, files.yields)):
        for wanted, column in found:
            id_ = wanted or _identifier(column.name)
            if id_ in columns:
                rule = "two columns of this name; write RESOURCE=FILE or rename one"
                raise ConfigError("load", [f"{id_}: {rule}"])
            scaled = _scaled(column, files)
            columns[id_] = scaled
            parameters: dict[str, ParameterValue] = dict(_FIXED) if kind == LOAD else {}
            parameters["rated_kw"] = max(scaled.most_kw, _pv_kw(column, files), _FINE_KW)
            resources.append(_resource(id_, kind, parameters))
    soc: dict[str, float] = {}
    for stem, ratings in files.ratings.items():
        if ratings.battery_kwh and ratings.battery_kw:
            id_ = _identifier(f"{stem}_battery")
            resources.append(_resource(id_, "battery", _battery(ratings)))
            soc[id_] = 0.0
    if not resources:
        raise ConfigError("load", ["--load: no column to build a park from"])
    files.notes += _built_notes(files, soc)
    park = ParkDefinition(
        id="built",
        name="Park built from the data",
        timezone=zone,
        currency=currency,
        resources=resources,
        aggregates=[AggregateDefinition(id="site", name="Site", members=[r.id for r in resources])],
        # Never looked at: a park without a file has its prices from one.
        tariff=[TariffDefinition(from_time="00:00", import_per_mwh=0.0, export_per_mwh=0.0)],
    )
    return park, columns, soc


_FIXED: dict[str, ParameterValue] = {
    "flexible_frac": 0.0,
    "increase_frac": 0.0,
    "rebound_frac": 0.0,
}


def _resource(id_: str, kind: str, parameters: dict[str, ParameterValue]) -> ResourceDefinition:
    name = id_.replace("_", " ")
    fine: dict[str, ParameterValue] = {"dead_band_kw": _FINE_KW}
    fallback = "zero" if kind == "battery" else "release"
    return ResourceDefinition(
        id=id_, name=name, kind=kind, parameters=fine | parameters, fallback=fallback
    )


def _battery(ratings: citylearn.Ratings) -> dict[str, ParameterValue]:
    one_way = math.sqrt(ratings.battery_efficiency_frac or 1.0)
    return {
        "capacity_kwh": ratings.battery_kwh or 0.0,
        "max_charge_kw": ratings.battery_kw or 0.0,
        "max_discharge_kw": ratings.battery_kw or 0.0,
        "charge_efficiency_frac": one_way,
        "discharge_efficiency_frac": one_way,
        "soc_min_frac": 0.0,
        "soc_max_frac": 1.0,
        "merit_per_mwh": _BATTERY_WEAR_PER_MWH,
    }


def _built_notes(files: Gathered, soc: dict[str, float]) -> list[str]:
    notes = ["Loads are fixed: the data says nothing of what could be moved or left out."]
    if soc:
        notes.append(
            "Batteries are as in the schema, begin the day empty, lose the square root of its "
            "efficiency each way, and their wear costs nothing, since the schema states no price."
        )
    else:
        notes.append("Nothing can store; control can only curtail. Give --park for more.")
    return notes


def _pv_kw(column: PowerColumn, files: Gathered) -> float:
    ratings = files.ratings.get(column.name.removesuffix("_pv")) if column.per_kw else None
    return 0.0 if ratings is None or ratings.pv_kw is None else ratings.pv_kw


def _scaled(column: PowerColumn, files: Gathered) -> PowerColumn:
    if not column.per_kw:
        return column
    rated_kw = _pv_kw(column, files)
    if not rated_kw:
        rule = "its PV rating is unknown; put schema.json beside it or give --park"
        raise ConfigError("pv", [f"--pv: {column.name}: {rule}"])
    return times(column, rated_kw)


def times(column: PowerColumn, rated_kw: float) -> PowerColumn:
    """Return a column per kW as that of a plant of a rating."""
    return PowerColumn(
        name=column.name,
        source=_Scaled(column.source, rated_kw),
        most_kw=column.most_kw * rated_kw,
    )


@dataclass(frozen=True, slots=True)
class _Scaled:
    """A source times a rating."""

    source: Source[float]
    factor: float

    @property
    def days(self) -> tuple[date, date] | None:
        return self.source.days

    def on(self, frame: DayFrame) -> Series[float]:
        series = self.source.on(frame)
        values = [None if value is None else value * self.factor for value in series.values]
        return Series(start_at=series.start_at, period=series.period, values=values)


def _identifier(name: str) -> str:
    id_ = re.sub(r"[^a-z0-9_-]+", "_", name.lower()).strip("_-")[:64]
    return id_ or "column"

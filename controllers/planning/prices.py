"""Energy prices on a plan's steps, from the park's tariff or from a market."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np

from controllers.park import ParkDefinition, TariffDefinition
from controllers.planning.horizon import PlanHorizon
from controllers.resources.twin import FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prices:
    """Prices in the park's currency on the steps of a horizon."""

    import_per_mwh: FloatArray  # [T]
    export_per_mwh: FloatArray  # [T]
    carbon_kg_co2_per_mwh: FloatArray | None = None  # [T], of imported energy
    carbon_price_per_kg_co2: float = 0.0


def tariff_prices(park: ParkDefinition, horizon: PlanHorizon) -> Prices:
    """Return the park's tariff at the local time at which each period begins."""
    zone = ZoneInfo(park.timezone)
    rows = [tariff_row(park.tariff, begin.astimezone(zone)) for begin in horizon.begins_at]
    return Prices(
        import_per_mwh=np.array([row.import_per_mwh for row in rows]),
        export_per_mwh=np.array([row.export_per_mwh for row in rows]),
    )


def tariff_row(tariff: list[TariffDefinition], local: datetime) -> TariffDefinition:
    """Return the row of a tariff that holds at a local time."""
    time_of_day = local.strftime("%H:%M")
    begun = [row for row in tariff if row.from_time <= time_of_day]
    # Before the first row of the day the last row of the day before still holds.
    return begun[-1] if begun else tariff[-1]

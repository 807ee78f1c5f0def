"""Answers about the past, as columns: one value per interval, null where nothing was measured."""

from __future__ import annotations

from datetime import datetime

from controllers.history.carbon import GridFactor
from controllers.kernel.wire import Wire

Values = list[float | None]


class HistoryView(Wire):
    """History of one resource or aggregation."""

    id: str
    resolution_s: int
    """Nominal length of an interval; local days with a change of clock differ."""
    n: int
    """Number of intervals."""
    start_s: list[int]
    """Where each begins, in seconds since 1970 (UTC)."""
    columns: dict[str, Values]
    """By name; ``coverage_frac`` is always among them."""


class EnergyTotals(Wire):
    """The energy of the whole span; null where it cannot be told."""

    coverage_frac: float | None
    """Share of the time in which the aggregation and all its resources were measured."""
    imported_kwh: float | None
    exported_kwh: float | None
    generated_kwh: float | None
    consumed_kwh: float | None
    stored_kwh: float | None
    unstored_kwh: float | None
    unaccounted_kwh: float | None
    self_consumption_frac: float | None
    self_sufficiency_frac: float | None
    peak_import_kw: float | None
    """Greatest mean of a quarter hour."""
    peak_export_kw: float | None
    load_factor_frac: float | None
    carbon_kg_co2: float | None
    """Of imported energy."""


class EnergyView(Wire):
    """Where energy came from and went, of one aggregation."""

    id: str
    resolution_s: int
    n: int
    start_s: list[int]
    columns: dict[str, Values]
    by_kind: dict[str, dict[str, Values]]
    """Kind of resource to ``injected_kwh`` and ``drawn_kwh``."""
    totals: EnergyTotals
    peak_import_at: datetime | None
    """Beginning of the quarter hour."""
    peak_export_at: datetime | None
    factors: list[GridFactor]
    """Emission factors that were used, with their sources."""

"""The figures of an aggregate that are kept beside its live path, one row each."""

from __future__ import annotations

from datetime import datetime

from controllers.kernel.states import AggregateState
from controllers.kernel.wire import Wire


class RealtimeFigures(Wire):
    """An aggregate's sums at one instant. Power in kW, injection positive; energy in kWh."""

    aggregation_id: str
    published_at: datetime
    power_kw: float
    sigma_kw: float
    coverage_frac: float
    rated_kw: float
    min_kw: float
    max_kw: float
    energy_up_kwh: float
    energy_down_kwh: float
    reserve_up_kw: float
    reserve_down_kw: float
    target_kw: float | None
    shortfall_kw: float
    instruction_id: str | None
    quality: str
    health: str
    n_members: int
    n_fresh: int


def figures_of(state: AggregateState) -> RealtimeFigures:
    """Return the figures in a live state."""
    envelope = state.envelope
    return RealtimeFigures(
        aggregation_id=state.id,
        published_at=state.published_at,
        power_kw=state.power_kw,
        sigma_kw=state.sigma_kw,
        coverage_frac=state.coverage_frac,
        rated_kw=state.rated_kw,
        min_kw=envelope.min_kw,
        max_kw=envelope.max_kw,
        energy_up_kwh=envelope.energy_up_kwh,
        energy_down_kwh=envelope.energy_down_kwh,
        reserve_up_kw=envelope.reserve_up_kw,
        reserve_down_kw=envelope.reserve_down_kw,
        target_kw=state.target_kw,
        shortfall_kw=state.shortfall_kw,
        instruction_id=state.instruction_id,
        quality=str(state.quality),
        health=str(state.health),
        n_members=state.n_members,
        n_fresh=state.n_fresh,
    )

"""What an aggregation can do together, now and over a horizon, from its members' envelopes.

Every resource below it is counted once, however many ways lead to it. One without trusted
telemetry adds to the rated power and to nothing else: what is not measured is not offered. No
forecast enters: sun, wind and load are taken to stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from controllers.kernel.states import Quality, ResourceState
from controllers.kernel.wire import Wire
from controllers.park import ResourceDefinition
from controllers.resources.kinds import build_twin

MAX_HORIZON_S = 86_400.0
_DURATIONS_S = (60.0, 300.0, 900.0, 1800.0, 3600.0, 7200.0, 14_400.0, 28_800.0)
# Kinds without a store to fill or empty; their energies stand for one hour, whatever is asked.
_ENDLESS_UP = frozenset({"pv", "wind", "chp"})
_ENDLESS_DOWN = frozenset({"pv", "wind", "chp", "flexible_load"})
_TRUSTED = frozenset({Quality.GOOD, Quality.UNCERTAIN})


class SustainedPower(Wire):
    """Change of power that can be held for a duration from now on; magnitudes."""

    duration_s: float
    up_kw: float
    """More injection, or less drawn."""
    down_kw: float


class Capacity(Wire):
    """Capacity of an aggregation. Power in kW, injection positive; energy in kWh."""

    as_of: datetime
    rated_kw: float
    """Sum of the members' largest absolute power by name-plate."""
    rated_export_kw: float
    """Sum of the greatest injection by name-plate."""
    rated_import_kw: float
    """Sum of the greatest draw by name-plate, as a magnitude."""
    power_kw: float
    min_kw: float
    max_kw: float
    energy_up_kwh: float
    energy_down_kwh: float
    reserve_up_kw: float
    reserve_down_kw: float
    coverage_frac: float
    """Rated power with trusted telemetry over all rated power."""
    n_resources: int
    unmeasured: list[str]
    """Resources that offer nothing for lack of trusted telemetry."""
    sustained: list[SustainedPower]
    """By rising duration, the last being the horizon."""


def capacity_of(
    resources: Sequence[ResourceDefinition],
    states: Mapping[str, ResourceState],
    *,
    now: datetime,
    horizon_s: float,
) -> Capacity:
    """Return the capacity of some resources together.

    Args:
        resources: each once.
        states: live states by resource id.
        now: as of when.
        horizon_s: longest duration asked for, in seconds.
    """
    twins = {r.id: build_twin(r.kind, r.parameters) for r in resources}
    measured = [
        state
        for r in resources
        if (state := states.get(r.id)) is not None
        and state.quality in _TRUSTED
        and not state.killed
    ]
    rated_kw = sum(twin.rated_kw for twin in twins.values())
    known = {state.id for state in measured}
    covered_kw = sum(twin.rated_kw for id_, twin in twins.items() if id_ in known)
    envelopes = [state.envelope for state in measured]
    durations = [d for d in _DURATIONS_S if d < horizon_s] + [horizon_s]
    return Capacity(
        as_of=now,
        rated_kw=rated_kw,
        rated_export_kw=sum(max(twin.high_kw, 0.0) for twin in twins.values()),
        rated_import_kw=sum(max(-twin.low_kw, 0.0) for twin in twins.values()),
        power_kw=sum(state.power_kw for state in measured),
        min_kw=sum(e.min_kw for e in envelopes),
        max_kw=sum(e.max_kw for e in envelopes),
        energy_up_kwh=sum(e.energy_up_kwh for e in envelopes),
        energy_down_kwh=sum(e.energy_down_kwh for e in envelopes),
        reserve_up_kw=sum(e.reserve_up_kw for e in envelopes),
        reserve_down_kw=sum(e.reserve_down_kw for e in envelopes),
        coverage_frac=covered_kw / rated_kw if rated_kw > 0.0 else 0.0,
        n_resources=len(resources),
        unmeasured=[r.id for r in resources if r.id not in known],
        sustained=[_sustained(measured, duration_s) for duration_s in durations],
    )


def _sustained(states: Sequence[ResourceState], duration_s: float) -> SustainedPower:
    hours = duration_s / 3600.0
    up_kw = down_kw = 0.0
    for state in states:
        envelope = state.envelope
        # Energy counts from where the resource would run if released.
        highest_kw, lowest_kw = envelope.max_kw, envelope.min_kw
        if state.kind not in _ENDLESS_UP:
            highest_kw = min(highest_kw, envelope.natural_kw + envelope.energy_up_kwh / hours)
        if state.kind not in _ENDLESS_DOWN:
            lowest_kw = max(lowest_kw, envelope.natural_kw - envelope.energy_down_kwh / hours)
        up_kw += max(highest_kw - state.power_kw, 0.0)
        down_kw += max(state.power_kw - lowest_kw, 0.0)
    return SustainedPower(duration_s=duration_s, up_kw=up_kw, down_kw=down_kw)

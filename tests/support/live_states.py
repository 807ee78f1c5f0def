"""Builders of live states and a small park: valid by default, keyword overrides."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from controllers.kernel.money import Currency
from controllers.kernel.states import (
    AggregateState,
    Contender,
    Envelope,
    Health,
    Priority,
    Quality,
    ResourceState,
    Rung,
)
from controllers.park import (
    AggregateDefinition,
    ParkDefinition,
    ResourceDefinition,
    TariffDefinition,
)

NOW = datetime(2026, 6, 1, 10, 0, tzinfo=UTC)


def make_envelope(min_kw: float = -100.0, max_kw: float = 100.0) -> Envelope:
    """Return an envelope with generous ramps."""
    return Envelope(
        min_kw=min_kw,
        max_kw=max_kw,
        ramp_up_kw_per_min=600.0,
        ramp_down_kw_per_min=600.0,
        energy_up_kwh=200.0,
        energy_down_kwh=200.0,
    )


def make_resource_state(id_: str = "bess1", **changes: Any) -> ResourceState:
    """Return a healthy battery that follows a dispatch."""
    state = ResourceState(
        id=id_,
        kind="battery",
        epoch=1,
        seq=1,
        published_at=NOW,
        measured_at=NOW,
        power_kw=40.0,
        sigma_kw=0.5,
        quality=Quality.GOOD,
        rung=Rung.ACTIVE,
        health=Health.OK,
        envelope=make_envelope(),
        rated_kw=100.0,
        setpoint_kw=40.0,
        contenders=[
            Contender(
                source_id="site",
                priority=Priority.MARKET,
                outcome="won",
                target_kw=40.0,
                granted_kw=40.0,
                until=NOW,
                reason="dispatch site.d-1",
            ),
            Contender(
                source_id="plan",
                priority=Priority.ECONOMICS,
                outcome="lost",
                target_kw=-10.0,
                granted_kw=None,
                until=NOW,
                reason="outranked",
            ),
        ],
        signals={"soc_frac": 0.6},
    )
    return msgspec.structs.replace(state, **changes)


def make_aggregate_state(id_: str = "site", **changes: Any) -> AggregateState:
    """Return a healthy aggregate without a target."""
    state = AggregateState(
        id=id_,
        epoch=1,
        seq=1,
        published_at=NOW,
        power_kw=40.0,
        sigma_kw=1.0,
        coverage_frac=1.0,
        rated_kw=200.0,
        quality=Quality.GOOD,
        health=Health.OK,
        envelope=make_envelope(-200.0, 200.0),
        target_kw=None,
        instruction_id=None,
        n_members=2,
        n_fresh=2,
    )
    return msgspec.structs.replace(state, **changes)


def make_park() -> ParkDefinition:
    """Return a park of three resources in two nested aggregates."""
    return ParkDefinition(
        id="park1",
        name="Test park",
        timezone="Asia/Shanghai",
        currency=Currency.CNY,
        resources=[
            ResourceDefinition(
                id="bess1",
                name="Battery 1",
                kind="battery",
                parameters={
                    "capacity_kwh": 200.0,
                    "max_charge_kw": 100.0,
                    "max_discharge_kw": 100.0,
                },
            ),
            ResourceDefinition(id="pv1", name="Roof 1", kind="pv", parameters={"rated_kw": 300.0}),
            ResourceDefinition(
                id="ev1",
                name="Garage",
                kind="ev_station",
                parameters={"n_plugs": 10, "max_charge_kw": 110.0},
            ),
        ],
        aggregates=[
            AggregateDefinition(
                id="site", name="Site", members=["stores", "pv1", "ev1"], max_export_kw=2000.0
            ),
            AggregateDefinition(id="stores", name="Stores", members=["bess1"]),
        ],
        tariff=[TariffDefinition(from_time="00:00", import_per_mwh=600.0, export_per_mwh=300.0)],
    )

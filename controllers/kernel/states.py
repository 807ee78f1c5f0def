"""Live state as it travels inside Parkgrid: envelopes, resource and aggregate states, proposals.

Topics are ``parkgrid/int/v1/state/{resource|aggregate}/{id}`` (retained) and
``parkgrid/int/v1/proposal/{id}`` (never retained). A reader keeps the greatest ``(epoch, seq)`` it
saw of a publisher and drops anything older. Power in kW, injection positive.
"""

from __future__ import annotations

from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Literal

from controllers.kernel.wire import Wire

INNER_ROOT = "parkgrid/int/v1"


def resource_state_topic(resource_id: str) -> str:
    """Return the retained topic of a resource's state; ``+`` subscribes to all."""
    return f"{INNER_ROOT}/state/resource/{resource_id}"


def aggregate_state_topic(aggregate_id: str) -> str:
    """Return the retained topic of an aggregate's state; ``+`` subscribes to all."""
    return f"{INNER_ROOT}/state/aggregate/{aggregate_id}"


def proposal_topic(member_id: str) -> str:
    """Return the topic on which a resource or nested aggregate takes proposals."""
    return f"{INNER_ROOT}/proposal/{member_id}"


class Priority(IntEnum):
    """Who outranks whom when bounds nest; lower number wins."""

    SAFETY = 0
    GRID_LIMIT = 1
    ISLANDING = 2
    OPERATOR = 3
    """A person's manual override: above contracts and markets, below everything protective."""
    RESERVE = 4
    MARKET = 5
    ECONOMICS = 6
    COMFORT = 7


class Quality(StrEnum):
    """How much a measurement may be trusted."""

    GOOD = "good"
    UNCERTAIN = "uncertain"
    STALE = "stale"
    FROZEN = "frozen"
    MISSING = "missing"


class Rung(StrEnum):
    """Where a resource stands on the failsafe ladder."""

    ACTIVE = "active"
    """Under live proposals."""
    DEFAULT = "default"
    """No live proposal; declared default behaviour."""
    FAILSAFE = "failsafe"
    """Link or decisive telemetry lost; stricter behaviour until heartbeat and a fresh command."""


class Health(StrEnum):
    """One word for a console light."""

    OK = "ok"
    DEGRADED = "degraded"
    FAILED = "failed"


class CommandState(StrEnum):
    """Life-cycle of a command; ``verified`` is the only word for delivered."""

    PROPOSED = "proposed"
    ACCEPTED = "accepted"
    SENT = "sent"
    ACKNOWLEDGED = "acknowledged"
    APPLIED = "applied"
    VERIFIED = "verified"
    REJECTED = "rejected"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"
    FAILED = "failed"


class Envelope(Wire):
    """What a resource or aggregate can do from now on."""

    min_kw: float
    """Least (most negative) power reachable now."""
    max_kw: float
    """Greatest power reachable now."""
    ramp_up_kw_per_min: float
    ramp_down_kw_per_min: float
    """Both as magnitudes."""
    energy_up_kwh: float
    """Energy that can still be injected (or drawn less) before a limit is met."""
    energy_down_kwh: float
    """Energy that can still be drawn (or injected less) before a limit is met."""
    reserve_up_kw: float = 0.0
    """Upward power sustainable for the reserve product's duration."""
    reserve_down_kw: float = 0.0
    dead_band_kw: float = 0.0
    """Smaller changes of set-point are not worth sending."""
    exclusion_low_kw: float = 0.0
    exclusion_high_kw: float = 0.0
    """Open interval in which no set-point may lie; equal ends mean none."""
    merit_per_mwh: float = 0.0
    """Marginal cost of injecting one more MWh, in the park's currency; orders the split."""
    natural_kw: float = 0.0
    """Where the resource would run if released."""
    response_s: float = 0.0
    """Time, beyond the ramp, in which 95 % of a change of set-point has taken effect."""


class CommandView(Wire):
    """The command a resource is executing, as others may see it."""

    command_id: str
    state: CommandState
    setpoint_kw: float | None
    seq: int
    sent_at: datetime | None = None
    expires_at: datetime | None = None
    reason: str | None = None


class Contender(Wire):
    """One proposal's fate in the last arbitration."""

    source_id: str
    priority: Priority
    outcome: Literal["won", "narrowed", "clipped", "lost", "refused"]
    target_kw: float | None
    granted_kw: float | None
    until: datetime | None
    reason: str
    instruction_id: str | None = None


class ResourceState(Wire):
    """Everything the rest of Parkgrid knows of a resource, live."""

    schema: Literal[1] = 1
    id: str
    kind: str
    epoch: int
    seq: int
    published_at: datetime
    measured_at: datetime | None
    power_kw: float
    sigma_kw: float
    """One standard deviation of the power estimate."""
    quality: Quality
    rung: Rung
    health: Health
    envelope: Envelope
    rated_kw: float
    """Largest absolute power by name-plate; the weight in coverage."""
    setpoint_kw: float | None
    command: CommandView | None = None
    holder: str | None = None
    """Aggregate whose proposals this resource follows now."""
    holder_until: datetime | None = None
    contenders: list[Contender] = []
    signals: dict[str, float] = {}
    exported_kwh: float = 0.0
    """Metered since commissioning."""
    imported_kwh: float = 0.0
    killed: bool = False
    counters: dict[str, int] = {}
    """Samples refused, duplicated, late, quarantined; commands expired, failed."""
    detail: str = ""


class MemberShare(Wire):
    """A member's contribution as its aggregate counts it."""

    id: str
    power_kw: float
    target_kw: float | None
    counted: bool
    """False while another aggregate holds the member."""
    quality: Quality
    set_aside_until: datetime | None = None
    reason: str = ""


class AggregateState(Wire):
    """Live sums and the instruction in force of one aggregate."""

    schema: Literal[1] = 1
    id: str
    epoch: int
    seq: int
    published_at: datetime
    power_kw: float
    sigma_kw: float
    coverage_frac: float
    """Rated power with good or uncertain telemetry over all rated power."""
    rated_kw: float
    quality: Quality
    health: Health
    envelope: Envelope
    target_kw: float | None
    """Target in force after ramping; None while released."""
    instruction_id: str | None
    shortfall_kw: float = 0.0
    """Target minus measured power, when it cannot be delivered."""
    holder: str | None = None
    """Parent whose proposals this aggregate follows."""
    holder_until: datetime | None = None
    rung: Rung = Rung.DEFAULT
    n_members: int = 0
    n_fresh: int = 0
    members: list[MemberShare] = []
    exported_kwh: float = 0.0
    imported_kwh: float = 0.0
    killed: bool = False
    oldest_measured_at: datetime | None = None
    newest_measured_at: datetime | None = None
    detail: str = ""


class Proposal(Wire):
    """A wish of one source for one member, with a lifetime."""

    schema: Literal[1] = 1
    member_id: str
    source_id: str
    """Aggregate, person or guard that proposes; one live proposal per source and member."""
    epoch: int
    seq: int
    priority: Priority
    target_kw: float | None = None
    """Preferred power; None states bounds only."""
    min_kw: float | None = None
    max_kw: float | None = None
    release: bool = False
    """Nobody of lower rank may set a target: the member runs free."""
    ramp_kw_per_min: float | None = None
    valid_from: datetime
    expires_at: datetime
    instruction_id: str | None = None
    reason: str = ""

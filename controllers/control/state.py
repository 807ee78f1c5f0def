"""What control of one resource is told, remembers and answers with.

ControlState is the whole memory: JSON in, JSON out, nothing beside it. A decision in the making is
a Turn: it holds the state as it changes and collects the effects.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec

from controllers.control.commands import ActiveCommand
from controllers.control.contract import DeviceMode
from controllers.control.events import Effect, Record
from controllers.control.failsafe import Ladder
from controllers.control.freshness import Intake, IntakeLimits
from controllers.control.holding import HeldProposal
from controllers.kernel.errors import DomainError
from controllers.kernel.states import Contender, Envelope
from controllers.kernel.wire import Wire
from controllers.park import ResourceDefinition
from controllers.resources.twin import SignalRule, Twin, TwinState

CHECKPOINT_MAX_BYTES = 4_194_304
"""Bound for decoding a ControlState; a full EV station needs about 100 kB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlSettings:
    """Times, tolerances and bounds of control; all durations in seconds."""

    command_lifetime_s: float = 30.0
    """After this a device that hears nothing falls back by itself."""
    keep_alive_frac: float = 0.5
    """Share of the lifetime after which a wanted set-point is sent again; at most one half."""
    ack_timeout_s: float = 3.0
    """Without an answer for this long a command is sent once more, then it has failed."""
    apply_timeout_s: float = 5.0
    """Without read-back for this long after the answer a command has failed."""
    verify_margin_s: float = 10.0
    """Time beyond the ramp for the meter to agree before health is degraded."""
    deviation_s: float = 5.0
    """A delivered set-point counts as lost when the meter deviates for this long."""
    tolerance_frac: float = 0.02
    tolerance_kw: float = 1.0
    """The meter agrees within the larger of both; the share is of rated power."""
    read_back_frac: float = 0.005
    """Read-back agrees within this share of rated power, or one set-point step if larger."""
    setpoint_step_kw: float = 0.1
    """Set-points are multiples of this where their bounds allow."""
    min_command_interval_s: float = 0.05
    """No two different set-points within this time, protective ones excepted."""
    backoff_first_s: float = 1.0
    backoff_most_s: float = 30.0
    """Pause after a failed or refused command; doubles from the first to the most."""
    heartbeat_timeout_s: float = 30.0
    """Without a fresh sample for this long the resource is in failsafe."""
    failsafe_recovery_s: float = 120.0
    """A steady heartbeat of this length leads from failsafe to default without a command."""
    default_max_age_s: float = 10.0
    """Age limit of power where the kind declares none."""
    max_proposal_lifetime_s: float = 900.0
    """Proposals that want to live longer are refused."""
    max_proposal_sources: int = 64
    """Sources remembered at a time; further ones are refused."""
    resume_hold_s: float = 10.0
    """After a restart the running set-point is kept this long for its source to renew it."""
    resume_quiet_s: float = 2.0
    """After a restart nothing is published before the first sample, at most for this long."""
    publish_every_s: float = 1.0
    """State is published at least this often, also when nothing happens."""
    checkpoint_every_s: float = 10.0
    """A checkpoint is asked for at least this often: timers and energy survive a restart."""
    refusal_summary_s: float = 60.0
    """Refused input is recorded as one summary per this time."""
    intake: IntakeLimits = field(default_factory=IntakeLimits)

    def __post_init__(self) -> None:
        for row in fields(self):
            value = getattr(self, row.name)
            if isinstance(value, int | float) and not value > 0:
                raise DomainError(row.name, value, "must be above 0")
        if self.keep_alive_frac > 0.5:
            raise DomainError("keep_alive_frac", self.keep_alive_frac, "must be at most 0.5")


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceSpec:
    """What stays the same while a resource is controlled. Picklable."""

    definition: ResourceDefinition
    twin: Twin
    settings: ControlSettings = field(default_factory=ControlSettings)
    home: str | None = None
    """The first aggregate in the park file that lists the resource."""
    rules: tuple[SignalRule, ...] = field(init=False)
    """The twin's signal rules, with one for power where it declares none."""

    def __post_init__(self) -> None:
        rules = tuple(self.twin.signal_rules)
        if all(rule.signal != "power_kw" for rule in rules):
            age_s = self.settings.default_max_age_s
            rules = (SignalRule(signal="power_kw", max_age_s=age_s, on_stale="hold"), *rules)
        object.__setattr__(self, "rules", rules)

    @property
    def id(self) -> str:
        """The resource's id."""
        return self.definition.id


class Override(Wire):
    """A person's hand on the resource."""

    target_kw: float
    set_at: datetime
    until: datetime
    operator: str
    reason: str


class Maintenance(Wire):
    """Somebody works at the device."""

    window_id: str
    set_at: datetime
    until: datetime
    operator: str
    reason: str


class Kill(Wire):
    """The emergency stop is on."""

    set_at: datetime
    operator: str
    reason: str


class PastCommand(Wire):
    """What is remembered of an earlier command, to tell a late answer from an unknown one."""

    command_id: str
    seq: int
    """Last sent."""


class ControlState(Wire):
    """Everything control remembers of one resource; the checkpoint."""

    version: Literal[1] = 1
    epoch: int
    resumed_at: datetime
    link_up: bool | None = None
    """Our connection to the broker; None until the actor has said for the first time."""
    listening_since: datetime
    """Since when the device could be heard: link up, or resumed."""
    refresh_after: datetime
    """A command sent before this instant may not have survived at the device."""
    device_mode: DeviceMode | None = None
    device_detail: str = ""
    intake: Intake
    twin: TwinState
    exported_kwh: float | None = None
    imported_kwh: float | None = None
    """Meter registers as the device reports them, if it does."""
    ladder: Ladder
    proposals: dict[str, HeldProposal] = {}
    """By source."""
    fresh_after: datetime | None = None
    """Targets received up to here do not count: failsafe or the emergency stop came between."""
    holder: str | None = None
    holder_until: datetime | None = None
    override: Override | None = None
    kill: Kill | None = None
    maintenance: Maintenance | None = None
    resume_until: datetime | None = None
    """Until then the set-point running at the restart is kept."""
    setpoint_kw: float | None = None
    """Last sent; None after a release."""
    released: bool = True
    """The device is known or presumed to run free."""
    command: ActiveCommand | None = None
    past: list[PastCommand] = []
    n_commands: int = 0
    """Issued in this epoch."""
    command_seq: int = 0
    n_failures: int = 0
    """Commands failed or refused in a row."""
    retry_at: datetime | None = None
    contenders: list[Contender] = []
    """Of the last arbitration."""
    detail: str = ""
    """Why the resource does not do as it was told, if so."""
    headline: str = ""
    """What was last published, in short: a change is published at once."""
    publish_seq: int = 0
    published_at: datetime | None = None
    counters: dict[str, int] = {}
    summarised: dict[str, int] = {}
    """Counters at the last summary of refusals."""
    summarised_at: datetime | None = None
    checkpointed_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The next state and what is to be done, in order.

    ``durable``: the state must be committed before any effect is performed. Records of a decision
    that is not durable may be committed later, with the next that is.
    """

    state: ControlState
    effects: list[Effect]
    durable: bool


class Turn:
    """One decision in the making: the state as it changes, the effects so far."""

    __slots__ = ("_envelope", "durable", "effects", "now", "spec", "state")

    def __init__(self, spec: ResourceSpec, state: ControlState, now: datetime) -> None:
        self.spec = spec
        self.state = state
        self.now = now
        self.effects: list[Effect] = []
        self.durable = False
        self._envelope: Envelope | None = None

    def set(self, **changes: Any) -> None:
        """Change fields of the state."""
        self.state = msgspec.structs.replace(self.state, **changes)

    def count(self, name: str, by: int = 1) -> None:
        """Add to a counter."""
        counters = self.state.counters
        self.set(counters={**counters, name: counters.get(name, 0) + by})

    def record(self, kind: str, **data: str | float | int | bool | None) -> None:
        """Note a fact for the outbox."""
        self.effects.append(Record(kind=kind, at=self.now, data=data))

    def observe(self, twin: TwinState) -> None:
        """Take over a new estimate; the envelope follows from it."""
        self._envelope = None
        self.set(twin=twin)

    @property
    def envelope(self) -> Envelope:
        """What the resource can do from now on."""
        if self._envelope is None:
            self._envelope = self.spec.twin.envelope(self.state.twin, self.now)
        return self._envelope

    @property
    def reachable(self) -> bool:
        """Whether a command could arrive: our link is up, the device has not signed off."""
        return self.state.link_up is True and self.state.device_mode is not DeviceMode.OFFLINE

    @property
    def cut_off(self) -> bool:
        """Whether the device is known to be out of reach; a restart alone cuts nothing off."""
        return self.state.link_up is False or self.state.device_mode is DeviceMode.OFFLINE

    def since(self, instant: datetime) -> float:
        """Return the seconds passed since an instant."""
        return (self.now - instant).total_seconds()

    def in_s(self, seconds: float) -> datetime:
        """Return the instant ``seconds`` from now."""
        return self.now + timedelta(seconds=seconds)

    def decision(self) -> Decision:
        """Return the finished decision."""
        return Decision(state=self.state, effects=self.effects, durable=self.durable)

"""A tiny plant on a manual clock: lagging devices with their own arbitration, and aggregates.

Everything an aggregate's control says travels as it would over the broker, one turn later.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from controllers.aggregation.checkpoint import AggregateCheckpoint
from controllers.aggregation.instruction import DeliveryReport, Instruction
from controllers.aggregation.loop import AggregateControl, StepResult
from controllers.aggregation.portfolio import MemberSpec
from controllers.aggregation.settings import AggregateSettings
from controllers.kernel.states import (
    AggregateState,
    Contender,
    Envelope,
    Health,
    Priority,
    Proposal,
    Quality,
    ResourceState,
    Rung,
)
from controllers.kernel.timebase import ManualClock
from controllers.kernel.wire import decode, encode
from controllers.park import AggregateDefinition

START = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
TURN = timedelta(seconds=1)


def make_envelope(low_kw: float = -100.0, high_kw: float = 100.0, **changes: float) -> Envelope:
    """Return an envelope with ample ramp and energy."""
    values: dict[str, float] = {
        "min_kw": low_kw,
        "max_kw": high_kw,
        "ramp_up_kw_per_min": 1e6,
        "ramp_down_kw_per_min": 1e6,
        "energy_up_kwh": 100.0,
        "energy_down_kwh": 100.0,
    }
    return Envelope(**(values | changes))


def make_resource_state(id_: str = "r1", **changes: object) -> ResourceState:
    """Return a good, fresh state of a resource at rest."""
    values: dict[str, object] = {
        "id": id_,
        "kind": "battery",
        "epoch": 1,
        "seq": 1,
        "published_at": START,
        "measured_at": START,
        "power_kw": 0.0,
        "sigma_kw": 1.0,
        "quality": Quality.GOOD,
        "rung": Rung.DEFAULT,
        "health": Health.OK,
        "envelope": make_envelope(),
        "rated_kw": 100.0,
        "setpoint_kw": None,
    }
    return ResourceState(**(values | changes))  # type: ignore[arg-type]


def make_instruction(target_kw: float = 500.0, **changes: object) -> Instruction:
    """Return an instruction for ten minutes from the plant's start."""
    values: dict[str, object] = {
        "id": "dispatch-1",
        "aggregate_id": "vpp",
        "target_kw": target_kw,
        "start_at": START,
        "end_at": START + timedelta(minutes=10),
        "ramp_kw_per_min": None,
        "reason": "test",
        "issued_by": "operator",
        "issued_at": START,
        "tolerance_kw": 10.0,
    }
    return Instruction(**(values | changes))  # type: ignore[arg-type]


def make_proposal(member_id: str = "vpp", **changes: object) -> Proposal:
    """Return a market proposal of a parent, good for ten seconds."""
    values: dict[str, object] = {
        "member_id": member_id,
        "source_id": "top",
        "epoch": 1,
        "seq": 1,
        "priority": Priority.MARKET,
        "target_kw": 50.0,
        "valid_from": START,
        "expires_at": START + timedelta(seconds=10),
    }
    return Proposal(**(values | changes))  # type: ignore[arg-type]


@dataclass
class Device:
    """A resource that follows with a first-order lag."""

    id: str
    low_kw: float = -200.0
    high_kw: float = 200.0
    natural_kw: float = 0.0
    merit_per_mwh: float = 50.0
    ramp_kw_per_min: float = 60_000.0
    dead_band_kw: float = 0.0
    band_kw: tuple[float, float] = (0.0, 0.0)
    lag_s: float = 0.5
    response_s: float = 0.0
    """What it says of its lag."""
    gain: float = 1.0
    """What it delivers per kW asked, away from its natural power."""
    power_kw: float = math.nan
    tripped: bool = False
    """Gives nothing, and its meter says so."""
    silent: bool = False
    refuses: bool = False
    overridden_kw: float | None = None
    seq: int = 0
    held: dict[str, tuple[Proposal, datetime]] = field(default_factory=dict)
    heard: list[Proposal] = field(default_factory=list)

    def __post_init__(self) -> None:
        if math.isnan(self.power_kw):
            self.power_kw = self.natural_kw

    def hear(self, proposal: Proposal, now: datetime) -> None:
        """Take a proposal; a source's later one replaces its earlier one."""
        self.heard.append(proposal)
        before = self.held.get(proposal.source_id)
        unbroken = before is not None and before[0].target_kw is not None
        since = before[1] if before is not None and unbroken else now
        self.held[proposal.source_id] = (proposal, since)

    def live(self, now: datetime) -> list[tuple[Proposal, datetime]]:
        """Return live proposals, the strongest first."""
        live = [one for one in self.held.values() if one[0].expires_at > now]
        return sorted(live, key=lambda one: (one[0].priority, one[1], one[0].source_id))

    def winner(self, now: datetime) -> Proposal | None:
        """Return the proposal that is followed."""
        targets = [p for p, _ in self.live(now) if p.target_kw is not None]
        return targets[0] if targets and not self.refuses else None

    def granted_kw(self, now: datetime) -> float | None:
        """Return the set-point in force."""
        won = self.winner(now)
        wish = None if won is None else won.target_kw
        if self.overridden_kw is not None:
            wish = self.overridden_kw
        power = self.natural_kw if wish is None else wish
        bounded = power
        for proposal, _ in self.live(now):
            low = self.low_kw if proposal.min_kw is None else proposal.min_kw
            high = self.high_kw if proposal.max_kw is None else proposal.max_kw
            bounded = max(low, min(bounded, high))
        return wish if bounded == power else bounded

    def move(self, now: datetime, step_s: float) -> None:
        """Run for a while."""
        granted = self.granted_kw(now)
        goal = self.natural_kw if granted is None else granted
        goal = self.natural_kw + self.gain * (goal - self.natural_kw)
        goal = 0.0 if self.tripped else max(self.low_kw, min(goal, self.high_kw))
        wanted = (goal - self.power_kw) * (1.0 - math.exp(-step_s / self.lag_s))
        reach = self.ramp_kw_per_min * step_s / 60.0
        self.power_kw += max(-reach, min(wanted, reach))

    def state(self, now: datetime) -> ResourceState:
        """Return what its actor would publish."""
        self.seq += 1
        won = self.winner(now)
        holder = None if won is None else won.source_id
        return make_resource_state(
            self.id,
            seq=self.seq,
            published_at=now,
            measured_at=now,
            power_kw=self.power_kw,
            envelope=make_envelope(
                self.low_kw,
                self.high_kw,
                ramp_up_kw_per_min=self.ramp_kw_per_min,
                ramp_down_kw_per_min=self.ramp_kw_per_min,
                natural_kw=self.natural_kw,
                response_s=self.response_s,
                merit_per_mwh=self.merit_per_mwh,
                dead_band_kw=self.dead_band_kw,
                exclusion_low_kw=self.band_kw[0],
                exclusion_high_kw=self.band_kw[1],
            ),
            rated_kw=max(abs(self.low_kw), abs(self.high_kw)),
            setpoint_kw=self.granted_kw(now),
            holder=holder,
            holder_until=None if won is None else won.expires_at,
            contenders=[self._fate(p, won, now) for p, _ in self.live(now)],
        )

    def _fate(self, proposal: Proposal, won: Proposal | None, now: datetime) -> Contender:
        outcome, reason = "won", "first among equals"
        granted = self.granted_kw(now)
        if self.refuses:
            outcome, reason, granted = "refused", "local mode", None
        elif self.overridden_kw is not None:
            outcome, reason = "lost", "the operator has it in hand"
        elif proposal.target_kw is not None and won is not proposal:
            holder = "" if won is None else won.source_id
            outcome, reason, granted = "refused", f"held by {holder}", None
        elif proposal.target_kw is not None and granted != proposal.target_kw:
            outcome, reason = "clipped", "bounds of higher rank"
        return Contender(
            source_id=proposal.source_id,
            priority=proposal.priority,
            outcome=outcome,  # type: ignore[arg-type]
            target_kw=proposal.target_kw,
            granted_kw=granted,
            until=proposal.expires_at,
            reason=reason,
        )


class SmallPlant:
    """Devices and aggregates wired together.

    Args:
        devices: the resources.
        aggregates: member ids by aggregate id, children before parents.
        limits: more fields of an aggregate's definition, by aggregate id.
        settings: of all aggregates.
    """

    def __init__(
        self,
        devices: Sequence[Device],
        aggregates: dict[str, list[str]],
        *,
        limits: dict[str, dict[str, float]] | None = None,
        settings: AggregateSettings | None = None,
    ) -> None:
        self.clock = ManualClock(START)
        self.devices = {device.id: device for device in devices}
        self._members = aggregates
        self._limits = limits or {}
        self._settings = settings
        self.controls: dict[str, AggregateControl] = {}
        self.results: dict[str, StepResult] = {}
        self.finished: list[DeliveryReport] = []
        self._epoch = 0
        for id_ in aggregates:
            self.start(id_)
        self._deliver_states()

    @property
    def now(self) -> datetime:
        """The plant's time."""
        return self.clock.now()

    @property
    def vpp(self) -> AggregateControl:
        """The aggregate called ``vpp``."""
        return self.controls["vpp"]

    def start(self, id_: str, restored: AggregateCheckpoint | None = None) -> None:
        """Begin a life of an aggregate's control."""
        self._epoch += 1
        if restored is not None:
            restored = decode(encode(restored), AggregateCheckpoint)
        self.controls[id_] = AggregateControl(
            AggregateDefinition(
                id=id_,
                name=id_,
                members=self._members[id_],
                **self._limits.get(id_, {}),
            ),
            [self._spec(member) for member in self._members[id_]],
            epoch=self._epoch,
            now=self.now,
            restored=restored,
            settings=self._settings,
        )

    def run(self, seconds: int, *, without: str | None = None) -> None:
        """Turn everything once per second; an aggregate named ``without`` is down."""
        for _ in range(seconds):
            self.turn(without=without)

    def turn(self, *, without: str | None = None) -> None:
        """Turn everything once."""
        for device in self.devices.values():
            device.move(self.now, TURN.total_seconds())
        self.clock.advance(TURN)
        self._deliver_states(without=without)
        for id_, control in self.controls.items():
            if id_ != without:
                self._take(id_, control.step(self.now))

    def power_kw(self, id_: str = "vpp") -> float:
        """Return the real power of an aggregate's own devices."""
        return sum(
            self.devices[m].power_kw if m in self.devices else self.power_kw(m)
            for m in self._members[id_]
        )

    def state(self, id_: str = "vpp") -> AggregateState:
        """Return what an aggregate published last."""
        return self.results[id_].state

    def setpoints_kw(self, id_: str = "vpp") -> dict[str, float]:
        """Return the set-points an aggregate has out."""
        return {m.id: m.target_kw for m in self.state(id_).members if m.target_kw is not None}

    def _take(self, id_: str, result: StepResult) -> None:
        self.results[id_] = result
        self.finished += result.finished
        for proposal in result.proposals:
            if proposal.member_id in self.devices:
                self.devices[proposal.member_id].hear(proposal, self.now)
            elif proposal.member_id in self.controls:
                self.controls[proposal.member_id].on_proposal(proposal, self.now)
        for parent in self.controls.values():
            parent.on_member_state(result.state, self.now)

    def _deliver_states(self, *, without: str | None = None) -> None:
        for device in self.devices.values():
            if device.silent:
                continue
            state = device.state(self.now)
            for id_, control in self.controls.items():
                if id_ != without:
                    control.on_member_state(state, self.now)

    def _spec(self, member: str) -> MemberSpec:
        device = self.devices.get(member)
        parents = [id_ for id_, members in self._members.items() if member in members]
        return MemberSpec(
            id=member,
            kind="aggregate" if device is None else "resource",
            home=parents[0],
            rated_kw=1000.0 if device is None else max(abs(device.low_kw), abs(device.high_kw)),
        )

"""Control of one resource as a script of cycles: what happens, what is sent, what is believed.

A step lets time pass, applies one event and gives back what came of it; ``device`` answers as a
well-behaved device would.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from controllers.control.contract import (
    Ack,
    AckResult,
    Command,
    DeviceMode,
    Status,
    Telemetry,
)
from controllers.control.events import (
    AckReceived,
    AnyEffect,
    AnyEvent,
    Effect,
    KillReleased,
    KillSet,
    LinkChanged,
    OverrideCleared,
    OverrideSet,
    ProposalReceived,
    PublishState,
    Record,
    SendCommand,
    StatusReceived,
    TelemetryReceived,
    Tick,
)
from controllers.control.resource import decide, resume
from controllers.control.state import ControlSettings, ControlState, Decision, ResourceSpec
from controllers.kernel.states import Priority, Proposal, ResourceState
from controllers.kernel.wire import decode, encode
from controllers.park import ResourceDefinition
from controllers.resources.twin import Twin
from tests.support.plain_twin import PlainTwin

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def make_spec(
    twin: Twin | None = None,
    *,
    fallback: str = "release",
    fallback_limit_kw: float | None = None,
    home: str | None = "vpp1",
    **settings: Any,
) -> ResourceSpec:
    """Return the resource ``res1``, a plain one by default."""
    definition = ResourceDefinition(
        id="res1",
        name="Resource 1",
        kind="plain",
        fallback=fallback,
        fallback_limit_kw=fallback_limit_kw,
    )
    return ResourceSpec(
        definition=definition,
        twin=twin or PlainTwin(),
        settings=ControlSettings(**settings),
        home=home,
    )


@dataclass
class Cycles:
    """One resource under control, on a clock that moves only from step to step."""

    spec: ResourceSpec
    state: ControlState
    now: datetime
    decision: Decision
    epoch: int = 1
    seq: int = 0

    @classmethod
    def cold(cls, spec: ResourceSpec | None = None) -> Cycles:
        """Start without a checkpoint; the link is down."""
        spec = spec or make_spec()
        first = resume(spec, 1, None, START)
        return cls(spec=spec, state=first.state, now=START, decision=first)

    @classmethod
    def warm(cls, spec: ResourceSpec | None = None) -> Cycles:
        """Start, with the link up and a first sample of 0 kW in."""
        run = cls.cold(spec)
        run.link(up=True)
        run.sample(0.0)
        return run

    def apply(self, event: AnyEvent, *, after_s: float = 0.0) -> Decision:
        """Let time pass, then let the event happen."""
        self.now += timedelta(seconds=after_s)
        self.decision = decide(self.spec, self.state, event, self.now)
        self.state = self.decision.state
        return self.decision

    def tick(self, *, after_s: float) -> Decision:
        """Let time pass and judge it."""
        return self.apply(Tick(), after_s=after_s)

    def wait(self, seconds: float, *, every_s: float = 0.5) -> list[Effect]:
        """Let time pass in ticks; returns all that came of it."""
        effects: list[Effect] = []
        for _ in range(round(seconds / every_s)):
            effects += self.tick(after_s=every_s).effects
        return effects

    def link(self, *, up: bool, after_s: float = 0.0) -> Decision:
        """Bring the broker connection up or down."""
        return self.apply(LinkChanged(up=up), after_s=after_s)

    def sample(
        self,
        power_kw: float,
        *,
        after_s: float = 1.0,
        setpoint_kw: float | None = None,
        command_id: str | None = None,
        seq: int | None = None,
        age_s: float = 0.0,
        **signals: float,
    ) -> Decision:
        """Receive a sample measured ``age_s`` before its receipt."""
        self.seq = self.seq + 1 if seq is None else seq
        telemetry = Telemetry(
            seq=self.seq,
            measured_at=self.now + timedelta(seconds=after_s - age_s),
            power_kw=power_kw,
            setpoint_kw=setpoint_kw,
            command_id=command_id,
            signals=signals,
        )
        return self.apply(TelemetryReceived(sample=telemetry), after_s=after_s)

    def obey(self, power_kw: float | None = None, *, after_s: float = 1.0) -> Decision:
        """Receive a sample that reads back the command, metered at it unless power is given."""
        command = self.state.command
        setpoint = None if command is None else command.setpoint_kw
        return self.sample(
            (setpoint or 0.0) if power_kw is None else power_kw,
            after_s=after_s,
            setpoint_kw=setpoint,
            command_id=None if command is None or setpoint is None else command.command_id,
        )

    def ack(
        self,
        result: AckResult = AckResult.ACCEPTED,
        *,
        after_s: float = 0.1,
        **changes: Any,
    ) -> Decision:
        """Receive the answer to the command last sent; any field may be given instead."""
        command = self.state.command
        given = {
            "command_id": "none" if command is None else command.command_id,
            "epoch": self.epoch,
            "seq": self.state.command_seq,
            "acked_at": self.now,
        }
        return self.apply(AckReceived(ack=Ack(result=result, **(given | changes))), after_s=after_s)

    def status(self, mode: DeviceMode, *, boot_id: str = "b1", after_s: float = 0.0) -> Decision:
        """Receive the device's status."""
        return self.apply(
            StatusReceived(status=Status(mode=mode, boot_id=boot_id)), after_s=after_s
        )

    def propose(
        self,
        target_kw: float | None,
        *,
        after_s: float = 0.0,
        source: str = "vpp1",
        priority: Priority = Priority.MARKET,
        lifetime_s: float = 10.0,
        **changes: Any,
    ) -> Decision:
        """Receive a proposal."""
        self.seq += 1
        at = self.now + timedelta(seconds=after_s)
        given: dict[str, Any] = {
            "member_id": "res1",
            "source_id": source,
            "epoch": 1,
            "seq": self.seq,
            "priority": priority,
            "target_kw": target_kw,
            "valid_from": at,
            "expires_at": at + timedelta(seconds=lifetime_s),
        }
        return self.apply(ProposalReceived(proposal=Proposal(**(given | changes))), after_s=after_s)

    def override(self, target_kw: float, *, for_s: float, after_s: float = 0.0) -> Decision:
        """Let a person take the resource in hand."""
        until = self.now + timedelta(seconds=after_s + for_s)
        event = OverrideSet(target_kw=target_kw, until=until, operator="ann", reason="test")
        return self.apply(event, after_s=after_s)

    def let_go(self, *, after_s: float = 0.0) -> Decision:
        """Let the person let go."""
        return self.apply(OverrideCleared(operator="ann"), after_s=after_s)

    def kill(self, *, after_s: float = 0.0) -> Decision:
        """Switch the emergency stop on."""
        return self.apply(KillSet(operator="ann", reason="smoke"), after_s=after_s)

    def release_kill(self, *, after_s: float = 0.0) -> Decision:
        """Switch the emergency stop off."""
        return self.apply(KillReleased(operator="ann", reason="clear"), after_s=after_s)

    def restart(self, *, after_s: float = 0.0) -> Decision:
        """Lose the process and resume from the checkpoint, as JSON, under the next epoch."""
        self.now += timedelta(seconds=after_s)
        self.epoch += 1
        restored = decode(encode(self.state), ControlState)
        self.decision = resume(self.spec, self.epoch, restored, self.now)
        self.state = self.decision.state
        return self.decision

    def deliver(self, target_kw: float, **proposal: Any) -> None:
        """Propose, acknowledge, read back and meter: the command is verified."""
        self.propose(target_kw, **proposal)
        self.ack()
        self.obey()


def sent(effects: Decision | list[Effect] | list[AnyEffect]) -> list[Command]:
    """Return the commands sent."""
    found = effects.effects if isinstance(effects, Decision) else effects
    return [effect.command for effect in found if isinstance(effect, SendCommand)]


def published(effects: Decision | list[Effect]) -> list[ResourceState]:
    """Return the states published."""
    found = effects.effects if isinstance(effects, Decision) else effects
    return [effect.state for effect in found if isinstance(effect, PublishState)]


def records(effects: Decision | list[Effect], kind: str) -> list[dict[str, Any]]:
    """Return the data of the records of one kind."""
    found = effects.effects if isinstance(effects, Decision) else effects
    return [effect.data for effect in found if isinstance(effect, Record) and effect.kind == kind]

"""Control of one resource: every event in, the next state and the effects out.

``resume`` begins or continues a life; ``decide`` folds one event. After each event the same steps
follow in the same order: what has run out ends, the ladder moves, arbitration says who decides, the
command is judged and pursued, the state is published. So time alone (a Tick, at least every half
second) does all that missing data must do.
"""

from __future__ import annotations

from datetime import datetime
from typing import assert_never

import msgspec

from controllers.control import requests
from controllers.control.arbitration import Arbitration, arbitrate
from controllers.control.delivery import judge_time, pursue, take_ack
from controllers.control.events import (
    AckReceived,
    AnyEvent,
    Event,
    InputRefused,
    KillReleased,
    KillSet,
    LinkChanged,
    MaintenanceCleared,
    MaintenanceSet,
    OverrideCleared,
    OverrideSet,
    ProposalReceived,
    StatusReceived,
    TelemetryReceived,
    Tick,
)
from controllers.control.failsafe import Ladder, LadderTrigger, next_trigger, stepped
from controllers.control.freshness import Intake
from controllers.control.guards import guards
from controllers.control.holding import Holding, settle
from controllers.control.publishing import publish
from controllers.control.sensing import take_sample, take_status
from controllers.control.shaping import shape
from controllers.control.state import ControlState, Decision, ResourceSpec, Turn
from controllers.kernel.errors import FencedError
from controllers.kernel.states import Contender, Priority, Rung
from controllers.resources.twin import TwinState


def resume(
    spec: ResourceSpec, epoch: int, restored: ControlState | None, now: datetime
) -> Decision:
    """Begin a life of the resource's control under a new epoch.

    A restored resource keeps its rung, its timers, its proposals and its command; the command is
    sent again, under the same id, when the link comes up. The set-point that ran at the restart is
    kept for a while even if its proposal has expired meanwhile.

    Args:
        spec: the resource.
        epoch: fencing epoch, greater than any before.
        restored: the last checkpoint; None on a cold start.
        now: the present instant.

    Raises:
        FencedError: the checkpoint was written under this epoch or a later one.
    """
    if restored is None:
        state = ControlState(
            epoch=epoch,
            resumed_at=now,
            listening_since=now,
            refresh_after=now,
            intake=Intake(tokens=spec.settings.intake.sample_burst, tokens_at=now),
            twin=TwinState(),
            ladder=Ladder(since=now),
        )
    elif restored.epoch >= epoch:
        raise FencedError(spec.id, epoch, restored.epoch)
    else:
        command = restored.command
        was_running = command is not None and not command.ended and command.expires_at > now
        state = msgspec.structs.replace(
            restored,
            epoch=epoch,
            resumed_at=now,
            listening_since=now,
            refresh_after=now,
            link_up=None,
            n_commands=0,
            publish_seq=0,
            published_at=None,
        )
    turn = Turn(spec, state, now)
    if restored is not None and was_running:
        turn.set(resume_until=turn.in_s(spec.settings.resume_hold_s))
    turn.durable = True
    _settle(turn, sampled=False)
    return turn.decision()


def decide(spec: ResourceSpec, state: ControlState, event: Event, now: datetime) -> Decision:
    """Return what follows from one event.

    Args:
        spec: the resource.
        state: as the last decision left it.
        event: what happened.
        now: the present instant.

    Raises:
        TypeError: the event is none of a resource's.
    """
    if not isinstance(event, AnyEvent):
        raise TypeError(f"{type(event).__name__} is no event of a resource")
    turn = Turn(spec, state, now)
    sampled = _fold(turn, event)
    _settle(turn, sampled=sampled)
    return turn.decision()


def _fold(turn: Turn, event: AnyEvent) -> bool:
    """Take the event into the state; returns whether it was an accepted sample."""
    match event:
        case TelemetryReceived():
            return take_sample(turn, event.sample)
        case Tick():
            pass
        case AckReceived():
            take_ack(turn, event.ack)
        case StatusReceived():
            take_status(turn, event.status)
        case InputRefused():
            turn.count(f"input_{event.kind}")
        case LinkChanged():
            _change_link(turn, up=event.up)
        case (
            ProposalReceived()
            | OverrideSet()
            | OverrideCleared()
            | KillSet()
            | KillReleased()
            | MaintenanceSet()
            | MaintenanceCleared() as request
        ):
            _fold_request(turn, request)
        case _:
            assert_never(event)
    return False


def _fold_request(
    turn: Turn,
    event: ProposalReceived
    | OverrideSet
    | OverrideCleared
    | KillSet
    | KillReleased
    | MaintenanceSet
    | MaintenanceCleared,
) -> None:
    match event:
        case ProposalReceived():
            requests.take_proposal(turn, event.proposal)
        case OverrideSet():
            requests.set_override(turn, event)
        case OverrideCleared():
            requests.clear_override(turn, event)
        case KillSet():
            requests.set_kill(turn, event)
        case KillReleased():
            requests.release_kill(turn, event)
        case MaintenanceSet():
            requests.set_maintenance(turn, event)
        case MaintenanceCleared():
            requests.clear_maintenance(turn, event)
        case _:
            assert_never(event)


def _change_link(turn: Turn, *, up: bool) -> None:
    if up and not turn.state.link_up:
        turn.set(link_up=True, listening_since=turn.now, refresh_after=turn.now)
    elif not up:
        turn.set(link_up=False)


def _settle(turn: Turn, *, sampled: bool) -> None:
    requests.expire_override(turn)
    requests.expire_maintenance(turn)
    requests.forget_old_proposals(turn)
    holding = _hold(turn)
    if _step_ladder(turn, holding):
        holding = _hold(turn)
    turn.set(holder=holding.holder, holder_until=holding.until)
    arbitration = _arbitrate(turn, holding)
    judge_time(turn)
    pursue(turn, _wanted_kw(turn, arbitration), arbitration)
    publish(turn, sampled=sampled)


def _hold(turn: Turn) -> Holding:
    state = turn.state
    if state.resume_until is not None and turn.now >= state.resume_until:
        turn.set(resume_until=None)
    return settle(
        state.proposals.values(),
        holder=state.holder,
        home=turn.spec.home,
        fresh_after=state.fresh_after,
        now=turn.now,
    )


def _step_ladder(turn: Turn, holding: Holding) -> bool:
    """Move the ladder; returns whether targets given before have ceased to count."""
    state, settings = turn.state, turn.spec.settings
    ladder = state.ladder
    trigger = next_trigger(
        ladder,
        turn.now,
        cut_off=turn.cut_off,
        commanded=holding.holder is not None or _is_overridden(turn),
        # A restart is not a lost heartbeat: the checkpoint need not hold the last one.
        listening_since=state.resumed_at,
        timeout_s=settings.heartbeat_timeout_s,
        recovery_s=settings.failsafe_recovery_s,
    )
    if trigger is None:
        return False
    after = stepped(ladder, trigger, turn.now)
    turn.set(ladder=after)
    turn.durable = True
    turn.record("ladder", before=ladder.rung.value, rung=after.rung.value, trigger=trigger.value)
    if trigger is not LadderTrigger.HEARTBEAT_LOST:
        return False
    turn.set(fresh_after=turn.now, resume_until=None)
    return True


def _is_overridden(turn: Turn) -> bool:
    # In failsafe only an override set since the fall is a fresh command.
    if turn.state.ladder.rung is Rung.FAILSAFE:
        return requests.has_live_override(turn.state)
    return turn.state.override is not None


def _arbitrate(turn: Turn, holding: Holding) -> Arbitration:
    state = turn.state
    proposals = guards(turn)
    # Bounds of its own rank must not turn the release of an emergency stop into a set-point.
    least = Priority.SAFETY if state.kill is None else Priority.GRID_LIMIT
    wishes = (held.proposal for held in state.proposals.values())
    proposals += [wish for wish in wishes if wish.priority >= least]
    return arbitrate(
        turn.envelope,
        proposals,
        turn.now,
        refused=holding.refused,
        previous_kw=_in_force_kw(turn),
    )


def _in_force_kw(turn: Turn) -> float | None:
    command = turn.state.command
    return None if command is None or command.ended else command.setpoint_kw


def _wanted_kw(turn: Turn, arbitration: Arbitration) -> float | None:
    """Return the set-point to pursue; the trail tells what shaping made of the granted power."""
    granted_kw, authority = arbitration.setpoint_kw, arbitration.authority
    contenders, detail = arbitration.contenders, ""
    wanted_kw = None
    if granted_kw is not None:
        # What protects the grid or a person has set is worth sending however small the change.
        is_exact = authority is not None and authority <= Priority.OPERATOR
        wanted_kw = shape(
            granted_kw,
            low_kw=arbitration.low_kw,
            high_kw=arbitration.high_kw,
            envelope=turn.envelope,
            dead_band_kw=0.0 if is_exact else turn.envelope.dead_band_kw,
            step_kw=turn.spec.settings.setpoint_step_kw,
            previous_kw=_in_force_kw(turn),
        )
        if wanted_kw is None:
            detail = (
                f"no admissible power in {arbitration.low_kw:g}..{arbitration.high_kw:g} kW "
                "outside the exclusion band; the resource is released"
            )
        if wanted_kw != granted_kw:
            contenders = [_shaped(turn, c, granted_kw, wanted_kw) for c in contenders]
    if contenders != turn.state.contenders:
        turn.set(contenders=contenders)
    if detail != turn.state.detail:
        turn.set(detail=detail)
    return wanted_kw


def _shaped(
    turn: Turn, contender: Contender, granted_kw: float, wanted_kw: float | None
) -> Contender:
    if contender.granted_kw != granted_kw:
        return contender
    envelope = turn.envelope
    low, high = envelope.exclusion_low_kw, envelope.exclusion_high_kw
    if contender.outcome != "won" or not low < granted_kw < high:
        return msgspec.structs.replace(contender, granted_kw=wanted_kw)
    reason = f"cannot run between {low:g} and {high:g} kW"
    return msgspec.structs.replace(
        contender, outcome="clipped", granted_kw=wanted_kw, reason=reason
    )

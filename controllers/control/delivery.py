"""From a wanted set-point to a delivered one: sending, evidence, time-outs and retries.

One command at a time. It is sent with a lifetime, kept alive while it is wanted, sent once more
when no answer comes, and has failed when the next evidence is missing for too long; after a failure
the next attempt waits, longer each time. Nothing is sent to a device that cannot be reached: its
lifetime decides there.
"""

from __future__ import annotations

import msgspec

from controllers.control.arbitration import Arbitration
from controllers.control.commands import TAKEN, ActiveCommand, CommandTrigger
from controllers.control.contract import (
    Ack,
    AckResult,
    Command,
    Fallback,
    FallbackKind,
    Telemetry,
)
from controllers.control.events import SendCommand
from controllers.control.freshness import POWER, signal_quality
from controllers.control.shaping import ramp_time_s, ramp_to_send
from controllers.control.state import PastCommand, Turn
from controllers.kernel.states import CommandState, Priority, Quality

_PAST_COMMANDS = 8
_SENDINGS = 2
_replace = msgspec.structs.replace


def take_ack(turn: Turn, ack: Ack) -> None:
    """Fold a device's answer; what does not belong to a sent command is counted and ignored."""
    command = turn.state.command
    if ack.epoch != turn.state.epoch:
        turn.count("acks_wrong_epoch")
        return
    if command is None or ack.command_id != command.command_id:
        turn.count("acks_late" if _was_sent(turn, ack) else "acks_unknown")
        return
    if not command.first_seq <= ack.seq <= command.seq:
        turn.count("acks_unknown")
        return
    if command.ended:
        turn.count("acks_late")
        return
    match ack.result:
        case AckResult.ACCEPTED:
            heard = _replace(command, acked_at=command.acked_at or turn.now, n_sends=0)
            _move(turn, heard, CommandTrigger.ACKNOWLEDGE)
        case AckResult.REJECTED | AckResult.EXPIRED if ack.seq < command.seq:
            # Two sendings overtook each other: the later one was taken, the earlier refused.
            turn.count("acks_outdated")
        case AckResult.REJECTED:
            _fail(turn, command, CommandTrigger.REFUSE, ack.reason or "refused by the device")
        case AckResult.EXPIRED:
            reason = ack.reason or "expired before it reached the device: compare the clocks"
            _fail(turn, command, CommandTrigger.EXPIRE, reason)


def _was_sent(turn: Turn, ack: Ack) -> bool:
    return any(
        past.command_id == ack.command_id and ack.seq <= past.seq for past in turn.state.past
    )


def take_evidence(turn: Turn, sample: Telemetry) -> None:
    """Fold what an accepted sample says about the command: its read-back, then its meter."""
    command = turn.state.command
    if command is None or command.ended:
        return
    agrees = _reads_back(turn, command, sample)
    if command.state not in TAKEN:
        if not agrees:
            return
        command = _replace(command, applied_at=turn.now, n_sends=0)
        command = _move(turn, command, CommandTrigger.READ_BACK)
        turn.set(n_failures=0, retry_at=None)
        if command.setpoint_kw is None:
            turn.set(released=True)
    missing_since = None if agrees else command.missing_since or turn.now
    if missing_since != command.missing_since:
        command = _replace(command, missing_since=missing_since)
        turn.set(command=command)
    if agrees:
        _take_meter(turn, command, sample.power_kw)


def _reads_back(turn: Turn, command: ActiveCommand, sample: Telemetry) -> bool:
    target, read = command.setpoint_kw, sample.setpoint_kw
    if target is None or read is None:
        return target is None and read is None
    if sample.command_id is None:
        # Without an id an older sample could pass for this command's.
        known = sample.measured_at >= command.issued_at
    else:
        known = sample.command_id == command.command_id
    if not known:
        return False
    settings = turn.spec.settings
    slack = max(settings.read_back_frac * turn.spec.twin.rated_kw, settings.setpoint_step_kw)
    if abs(read - target) <= slack:
        return True
    # The device may report a set-point that is still on its ramp; without an id only one that has
    # left the start is told from the one before.
    low, high = sorted((command.start_kw, target))
    told = sample.command_id is not None or abs(read - command.start_kw) > slack
    return told and low - slack <= read <= high + slack


def _take_meter(turn: Turn, command: ActiveCommand, power_kw: float) -> None:
    if _meter_agrees(turn, command, power_kw):
        if command.deviating_since is not None:
            command = _replace(command, deviating_since=None)
            turn.set(command=command)
        if command.state is CommandState.APPLIED:
            _move(turn, command, CommandTrigger.METER_AGREES)
    elif command.state is CommandState.VERIFIED:
        since = command.deviating_since or turn.now
        command = _replace(command, deviating_since=since)
        turn.set(command=command)
        if turn.since(since) >= turn.spec.settings.deviation_s:
            _move(turn, command, CommandTrigger.METER_DEVIATES)


def _meter_agrees(turn: Turn, command: ActiveCommand, power_kw: float) -> bool:
    if command.setpoint_kw is None:
        return True  # a released resource is where it wants to be
    settings, envelope = turn.spec.settings, turn.envelope
    # Weather or store may give less by now than when the set-point was sent.
    goal = max(envelope.min_kw, min(command.setpoint_kw, envelope.max_kw))
    tolerance = max(settings.tolerance_frac * turn.spec.twin.rated_kw, settings.tolerance_kw)
    return abs(power_kw - goal) <= tolerance


def judge_time(turn: Turn) -> None:
    """Let lifetimes and time-outs act on the command."""
    command = turn.state.command
    if command is None or command.ended:
        return
    if turn.now >= command.expires_at:
        if command.setpoint_kw is None and command.state in TAKEN:
            turn.set(command=None, past=_with_past(turn, command))  # it has done its work
        else:
            turn.count("commands_expired")
            _move(turn, command, CommandTrigger.EXPIRE)
        return
    reason = _overdue(turn, command)
    if reason is not None:
        _fail(turn, command, CommandTrigger.TIME_OUT, reason)


def _overdue(turn: Turn, command: ActiveCommand) -> str | None:
    if not turn.reachable:
        return None  # no evidence can come; the lifetime decides
    settings = turn.spec.settings
    listening_s = turn.since(turn.state.listening_since)
    if command.state is CommandState.SENT:
        waited_s = min(turn.since(command.sent_at), listening_s)
        unheard = command.n_sends >= _SENDINGS and waited_s >= settings.ack_timeout_s
        return "no answer from the device" if unheard else None
    waiting_since = command.missing_since if command.state in TAKEN else command.acked_at
    if waiting_since is None:
        return None
    if min(turn.since(waiting_since), listening_s) < settings.apply_timeout_s:
        return None
    if command.state in TAKEN:
        return "the device let go of the set-point"
    return "acknowledged, but the device does not report the set-point"


def pursue(turn: Turn, wanted_kw: float | None, arbitration: Arbitration) -> None:
    """Send what is needed for the device to run at ``wanted_kw``; None releases it."""
    if not turn.reachable:
        return
    state, command = turn.state, turn.state.command
    running = command is not None and not command.ended
    if command is not None and running and command.setpoint_kw == wanted_kw:
        if _due(turn, command):
            _send(turn, command)
        return
    if wanted_kw is None and state.released:
        if state.n_failures and not running:
            turn.set(n_failures=0, retry_at=None)  # nobody wants anything any more
        return
    if not _must_wait(turn, wanted_kw, arbitration):
        _issue(turn, wanted_kw, arbitration)


def _due(turn: Turn, command: ActiveCommand) -> bool:
    settings = turn.spec.settings
    finished = command.setpoint_kw is None and command.state in TAKEN
    if finished:
        return False
    if command.sent_at < turn.state.refresh_after or command.epoch != turn.state.epoch:
        return True
    waited_s = turn.since(command.sent_at)
    if command.state is CommandState.SENT:
        return command.n_sends < _SENDINGS and waited_s >= settings.ack_timeout_s
    return waited_s >= settings.keep_alive_frac * settings.command_lifetime_s


def _must_wait(turn: Turn, wanted_kw: float | None, arbitration: Arbitration) -> bool:
    state, command = turn.state, turn.state.command
    if command is None:
        return False
    urgent = arbitration.authority in (Priority.SAFETY, Priority.OPERATOR)
    if urgent and command.setpoint_kw != wanted_kw:
        return False
    if state.retry_at is not None and turn.now < state.retry_at:
        return True
    return turn.since(command.issued_at) < turn.spec.settings.min_command_interval_s


def _issue(turn: Turn, wanted_kw: float | None, arbitration: Arbitration) -> None:
    state, before = turn.state, turn.state.command
    if before is not None:
        if not before.ended:
            before = _move(turn, before, CommandTrigger.SUPERSEDE)
        turn.set(past=_with_past(turn, before))
    n = state.n_commands + 1
    winner = arbitration.winner
    start_kw = _start_kw(turn)
    ramp = _ramp(turn, wanted_kw, start_kw, arbitration)
    own_ramp = None if wanted_kw is None else ramp_to_send(wanted_kw, start_kw, turn.envelope, ramp)
    command = ActiveCommand(
        command_id=f"{turn.spec.id}-{state.epoch}-{n}",
        setpoint_kw=wanted_kw,
        ramp_kw_per_min=ramp,
        source_id="" if winner is None else winner.source_id,
        instruction_id=None if winner is None else winner.instruction_id,
        reason="nobody proposes anything any more" if winner is None else winner.reason,
        start_kw=start_kw,
        ramp_time_s=0.0 if wanted_kw is None else ramp_time_s(wanted_kw, start_kw, own_ramp),
        epoch=state.epoch,
        first_seq=state.command_seq + 1,
        seq=state.command_seq,
        issued_at=turn.now,
        sent_at=turn.now,
        expires_at=turn.now,
    )
    turn.set(n_commands=n, setpoint_kw=wanted_kw)
    if wanted_kw is not None:
        turn.set(released=False)
    _send(turn, command.after(CommandTrigger.ACCEPT))


def _start_kw(turn: Turn) -> float:
    # Bumpless: from where the resource is, else from where it was last told to be.
    state = turn.state
    rule = next(rule for rule in turn.spec.rules if rule.signal == POWER)
    if signal_quality(state.intake, rule, turn.now) in (Quality.GOOD, Quality.FROZEN):
        return state.twin.power_kw
    return turn.envelope.natural_kw if state.setpoint_kw is None else state.setpoint_kw


def _ramp(
    turn: Turn, wanted_kw: float | None, start_kw: float, arbitration: Arbitration
) -> float | None:
    winner = arbitration.winner
    if wanted_kw is None or winner is None or arbitration.authority is Priority.SAFETY:
        return None  # as fast as the device can
    return ramp_to_send(wanted_kw, start_kw, turn.envelope, winner.ramp_kw_per_min)


def _send(turn: Turn, command: ActiveCommand) -> None:
    """Publish the command, for the first time or again, with the next sequence number."""
    state, spec = turn.state, turn.spec
    lifetime_s = spec.settings.command_lifetime_s
    seq = state.command_seq + 1
    renewed = command.epoch != state.epoch or command.sent_at < state.refresh_after
    first_seq = seq if command.epoch != state.epoch else command.first_seq
    sent = _replace(
        command,
        epoch=state.epoch,
        first_seq=first_seq,
        seq=seq,
        sent_at=turn.now,
        expires_at=turn.in_s(lifetime_s),
        n_sends=1 if renewed else command.n_sends + 1,
    )
    turn.set(command_seq=seq)
    _move(turn, sent, CommandTrigger.SEND)
    turn.durable = True
    definition = spec.definition
    fallback = Fallback(
        kind=FallbackKind(definition.fallback), limit_kw=definition.fallback_limit_kw
    )
    message = Command(
        command_id=sent.command_id,
        epoch=sent.epoch,
        seq=seq,
        issued_at=turn.now,
        valid_from=turn.now,
        expires_at=sent.expires_at,
        lifetime_s=lifetime_s,
        setpoint_kw=sent.setpoint_kw,
        ramp_kw_per_min=sent.ramp_kw_per_min,
        fallback=fallback,
    )
    turn.effects.append(SendCommand(command=message))


def _fail(turn: Turn, command: ActiveCommand, trigger: CommandTrigger, reason: str) -> None:
    settings = turn.spec.settings
    n_failures = turn.state.n_failures + 1
    # The exponent is capped so that a device refusing for years does not overflow.
    pause_s = min(
        settings.backoff_first_s * 2.0 ** min(n_failures - 1, 30), settings.backoff_most_s
    )
    ended = _move(turn, _replace(command, reason=reason), trigger)
    turn.count(f"commands_{ended.state.value}")
    turn.set(n_failures=n_failures, retry_at=turn.in_s(pause_s))


def _move(turn: Turn, command: ActiveCommand, trigger: CommandTrigger) -> ActiveCommand:
    """Step the command and record the transition, if it is one."""
    after = command.after(trigger)
    turn.set(command=after)
    if after.state is not command.state:
        turn.record(
            "command",
            command_id=after.command_id,
            state=after.state.value,
            before=command.state.value,
            trigger=trigger.value,
            setpoint_kw=after.setpoint_kw,
            power_kw=turn.state.twin.power_kw,
            epoch=after.epoch,
            seq=after.seq,
            source_id=after.source_id,
            instruction_id=after.instruction_id,
            reason=after.reason,
        )
    return after


def _with_past(turn: Turn, command: ActiveCommand) -> list[PastCommand]:
    entry = PastCommand(command_id=command.command_id, seq=command.seq)
    return [*turn.state.past, entry][-_PAST_COMMANDS:]

"""How a device obeys: order, lifetime, expiry and fallback of commands, as a pure state machine.

This is the device's half of ``docs/mqtt.md`` and serves single devices and fleet gateways alike.
Times are the device's own; nobody else's clock decides when a command ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from controllers.control.contract import (
    Ack,
    AckResult,
    Command,
    Fallback,
    FallbackKind,
    FleetCommand,
)

CommandT = TypeVar("CommandT", Command, FleetCommand)

_RANGE_SLACK_KW = 1e-3
"""Rounding on the way is no reason to refuse."""


@dataclass(frozen=True, slots=True)
class Held(Generic[CommandT]):
    """A command in force or waiting for its instant."""

    command: CommandT
    ends_at: datetime


@dataclass(slots=True)
class Fence:
    """The order of commands, kept for ever; the runs of one fleet share one."""

    last: tuple[int, int] = (-1, -1)
    """Greatest ``(epoch, seq)`` accepted; survives restarts."""
    last_ack: Ack | None = None


@dataclass(slots=True)
class Obedience(Generic[CommandT]):
    """One device's memory of what it was told; at most one command in force and one waiting."""

    fence: Fence = field(default_factory=Fence)
    current: Held[CommandT] | None = None
    waiting: Held[CommandT] | None = None
    expired: CommandT | None = None
    """The command that ended without a successor; its fallback is in force."""

    def offer(self, command: CommandT, now: datetime, range_kw: tuple[float, float]) -> Ack:
        """Accept or refuse a command.

        Args:
            command: as received, in the device's own sign.
            now: instant of receipt on the device's clock.
            range_kw: least and greatest set-point the device takes.

        Returns:
            The answer. A repeat of the last accepted pair gets the same answer again and changes
            nothing, because QoS 1 may deliver twice.
        """
        pair = (command.epoch, command.seq)
        last = self.fence.last
        if pair == last and self.fence.last_ack is not None:
            return self.fence.last_ack
        ends_at = min(command.expires_at, now + timedelta(seconds=command.lifetime_s))
        if pair <= last:
            reason = f"({pair[0]}, {pair[1]}) is not after ({last[0]}, {last[1]})"
            return _ack(command, AckResult.REJECTED, now, reason)
        if ends_at <= max(now, command.valid_from):
            reason = f"ends at {ends_at.isoformat()}, before it could begin"
            return _ack(command, AckResult.EXPIRED, now, reason)
        if not _within(command, range_kw):
            reason = f"set-point outside {range_kw[0]:g} to {range_kw[1]:g} kW"
            return _ack(command, AckResult.REJECTED, now, reason)
        ack = _ack(command, AckResult.ACCEPTED, now, None)
        self.fence.last, self.fence.last_ack = pair, ack
        self.waiting = Held(command, ends_at)
        self.tick(now)
        return ack

    def refuse(self, command: CommandT, now: datetime, reason: str) -> Ack:
        """Refuse a command for a reason of the device's own; nothing is remembered of it."""
        return _ack(command, AckResult.REJECTED, now, reason)

    def tick(self, now: datetime) -> None:
        """Let a waiting command begin and a current one end, where it is time."""
        if self.waiting is not None and self.waiting.command.valid_from <= now:
            self.current, self.waiting, self.expired = self.waiting, None, None
        if self.current is not None and self.current.ends_at <= now:
            self.expired, self.current = self.current.command, None

    @property
    def governing(self) -> CommandT | None:
        """The command in force, or the ended one whose fallback is."""
        return self.current.command if self.current is not None else self.expired

    @property
    def fallback(self) -> Fallback | None:
        """What is in force since the last command ended; None while one is in force or none was."""
        return self.expired.fallback if self.expired is not None else None


def _ack(
    command: Command | FleetCommand, result: AckResult, now: datetime, reason: str | None
) -> Ack:
    return Ack(
        command_id=command.command_id,
        epoch=command.epoch,
        seq=command.seq,
        result=result,
        reason=reason,
        acked_at=now,
    )


def _within(command: Command | FleetCommand, range_kw: tuple[float, float]) -> bool:
    low_kw, high_kw = range_kw
    setpoints_kw: Sequence[float | None]
    if isinstance(command, Command):
        setpoints_kw = [command.setpoint_kw]
    else:
        setpoints_kw = command.setpoints_kw or []
    return all(
        x is None or low_kw - _RANGE_SLACK_KW <= x <= high_kw + _RANGE_SLACK_KW
        for x in setpoints_kw
    )


def fallback_setpoint_kw(fallback: Fallback, held_kw: float | None) -> float | None:
    """Return the set-point a fallback means; None where the device runs free (within a limit).

    Args:
        fallback: declared by the command that ended.
        held_kw: that command's set-point.
    """
    if fallback.kind is FallbackKind.HOLD:
        return held_kw
    return 0.0 if fallback.kind is FallbackKind.ZERO else None

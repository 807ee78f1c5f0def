"""The proposals that control makes to itself: stop, failsafe, lost signals, override, maintenance.

Every restriction enters arbitration as a proposal and shows in its trail; none is an exception in
the code that sends. Restrictions that stand until their cause is gone carry ``UNTIL_LIFTED``.
"""

from __future__ import annotations

from datetime import datetime

from controllers.control.arbitration import UNTIL_LIFTED
from controllers.control.contract import FallbackKind
from controllers.control.freshness import troubles
from controllers.control.state import Maintenance, Override, Turn
from controllers.kernel.states import Priority, Proposal, Rung

KILL = "guard:kill"
MAINTENANCE = "guard:maintenance"
FAILSAFE = "guard:failsafe"
RESUME = "guard:resume"


def is_reserved(source_id: str) -> bool:
    """Tell whether only control itself may propose under this name."""
    return ":" in source_id


def guards(turn: Turn) -> list[Proposal]:
    """Return the proposals of our own that stand now; under an emergency stop it stands alone."""
    state, spec = turn.state, turn.spec
    if state.kill is not None:
        reason = f"emergency stop by {state.kill.operator}: {state.kill.reason}"
        since = state.kill.set_at
        return [_restriction(turn, KILL, FallbackKind.ZERO, None, since=since, reason=reason)]
    found: list[Proposal] = []
    if state.ladder.rung is Rung.FAILSAFE:
        found.append(_failsafe(turn))
    for trouble in troubles(state.intake, spec.rules, state.listening_since, turn.now):
        rule = trouble.rule
        kind = FallbackKind(rule.on_stale)
        source = f"guard:stale:{rule.signal}"
        found.append(
            _restriction(turn, source, kind, rule.limit_kw, since=turn.now, reason=trouble.reason)
        )
    if state.override is not None:
        found.append(_override(turn, state.override))
    if state.maintenance is not None:
        found.append(_maintenance(turn, state.maintenance))
    if state.resume_until is not None and state.setpoint_kw is not None:
        found.append(_resumed(turn, state.setpoint_kw, state.resume_until))
    return found


def _failsafe(turn: Turn) -> Proposal:
    ladder, definition = turn.state.ladder, turn.spec.definition
    if ladder.cold:
        # Nothing was ever commanded: keep hands off until the device is heard.
        reason = "waiting for the first heartbeat"
        return _restriction(
            turn, FAILSAFE, FallbackKind.RELEASE, None, since=ladder.since, reason=reason
        )
    kind = FallbackKind(definition.fallback)
    reason = "waiting for heartbeat and a fresh command"
    limit_kw = definition.fallback_limit_kw
    return _restriction(turn, FAILSAFE, kind, limit_kw, since=ladder.since, reason=reason)


def _restriction(
    turn: Turn,
    source_id: str,
    kind: FallbackKind,
    limit_kw: float | None,
    *,
    since: datetime,
    reason: str,
) -> Proposal:
    """Return what one of the four declared behaviours asks for."""
    low: float | None = None
    high: float | None = None
    target: float | None = None
    release = kind is FallbackKind.RELEASE
    if kind is FallbackKind.LIMIT:
        high = limit_kw or 0.0
        low = -high
    elif kind is FallbackKind.ZERO:
        # Where zero is out of reach the resource is better off under its own control.
        release = not turn.envelope.min_kw <= 0.0 <= turn.envelope.max_kw
        low, high, target = (None, None, None) if release else (0.0, 0.0, 0.0)
    elif kind is FallbackKind.HOLD:
        target = turn.state.setpoint_kw
        release = target is None
    return Proposal(
        member_id=turn.spec.id,
        source_id=source_id,
        epoch=turn.state.epoch,
        seq=0,
        priority=Priority.SAFETY,
        target_kw=target,
        min_kw=low,
        max_kw=high,
        release=release,
        valid_from=min(since, turn.now),  # a clock that steps back must not lift it
        expires_at=UNTIL_LIFTED,
        reason=f"{kind.value}: {reason}",
    )


def _override(turn: Turn, override: Override) -> Proposal:
    return Proposal(
        member_id=turn.spec.id,
        source_id=f"operator:{override.operator}",
        epoch=turn.state.epoch,
        seq=0,
        priority=Priority.OPERATOR,
        target_kw=override.target_kw,
        valid_from=min(override.set_at, turn.now),
        expires_at=override.until,
        reason=f"override by {override.operator}: {override.reason}",
    )


def _maintenance(turn: Turn, maintenance: Maintenance) -> Proposal:
    # A release ranks behind a target of its own rank: who works at the device may still try it.
    return Proposal(
        member_id=turn.spec.id,
        source_id=MAINTENANCE,
        epoch=turn.state.epoch,
        seq=0,
        priority=Priority.OPERATOR,
        release=True,
        valid_from=min(maintenance.set_at, turn.now),
        expires_at=maintenance.until,
        reason=f"maintenance planned by {maintenance.operator}: {maintenance.reason}",
    )


def _resumed(turn: Turn, setpoint_kw: float, until: datetime) -> Proposal:
    return Proposal(
        member_id=turn.spec.id,
        source_id=RESUME,
        epoch=turn.state.epoch,
        seq=0,
        priority=Priority.COMFORT,
        target_kw=setpoint_kw,
        valid_from=min(turn.state.resumed_at, turn.now),
        expires_at=until,
        reason="set-point running at the restart, until its source renews it",
    )

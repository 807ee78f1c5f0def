"""Who decides the set-point: proposals nest their bounds by priority, and a target pins.

Proposals are taken in order of priority. Within one priority all bounds act first, each clipped
into what the higher ones left; then the first target (earliest valid_from, then source) is clipped
into the remaining bounds and pins the set-point, and everything lower finds it decided. A release
decides too, after the targets of its own priority: that there is no set-point. What is not yet
valid or has expired does not take part.

Bounds without any target move a resource only where it would leave them by itself; bounds of
SAFETY do so already where it *could* leave them, since then its own reading may be what is missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from typing import Literal

from controllers.kernel.states import Contender, Envelope, Priority, Proposal

UNTIL_LIFTED = datetime(9999, 12, 31, tzinfo=UTC)
"""Expiry of proposals of our own guards, which stand until their cause is gone."""

_EPSILON_KW = 1e-9
_STAY_FRAC = 0.02

Outcome = Literal["won", "narrowed", "clipped", "lost", "refused"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Arbitration:
    """The set-point and how it came about."""

    setpoint_kw: float | None
    """None: the resource runs free."""
    low_kw: float
    high_kw: float
    """Bounds that no set-point may leave, before a target pinned it."""
    winner: Proposal | None
    """Whose target it is, clipped or not; else whose bounds act."""
    authority: Priority | None
    """Rank of whoever fixed the value: of the winner, or of the bounds that clipped it."""
    contenders: list[Contender]
    """Every live proposal's fate, by rank."""


@dataclass(slots=True)
class _Round:
    """What is left of the bounds, who took which end, and who decided."""

    low_kw: float
    high_kw: float
    low_by: Proposal | None = None
    high_by: Proposal | None = None
    """None: the envelope."""
    decided_by: Proposal | None = None
    authority: Priority | None = None
    setpoint_kw: float | None = None
    binding: Proposal | None = None
    """The last that narrowed the bounds."""
    protective: Proposal | None = None
    """The last of SAFETY that stated bounds."""
    fates: list[Contender] = field(default_factory=list)

    def clip(self, kw: float) -> float:
        return max(self.low_kw, min(kw, self.high_kw))

    def limiter(self, kw: float) -> Proposal | None:
        return self.low_by if kw < self.low_kw else self.high_by


def arbitrate(
    envelope: Envelope,
    proposals: Iterable[Proposal],
    now: datetime,
    *,
    refused: Mapping[str, str] | None = None,
    previous_kw: float | None = None,
) -> Arbitration:
    """Return the set-point that the live proposals lead to.

    Args:
        envelope: what the resource can do; the outermost bounds.
        proposals: at most one per source.
        now: the present instant.
        refused: by source, why its target does not count; its bounds do.
        previous_kw: set-point in force, so that a limit does not come and go with noise.
    """
    live = [p for p in proposals if p.valid_from <= now < p.expires_at]
    live.sort(key=_rank)
    barred = refused or {}
    turn = _Round(low_kw=envelope.min_kw, high_kw=max(envelope.min_kw, envelope.max_kw))
    for _, group in groupby(live, key=_priority):
        peers = list(group)
        narrowed = [_narrow(turn, p) for p in peers]
        for proposal, was_clipped in zip(peers, narrowed, strict=True):
            turn.fates.append(_fate(turn, proposal, was_clipped, barred.get(proposal.source_id)))
    winner = turn.decided_by
    if turn.setpoint_kw is None and (bound := _acting_bound(turn, envelope, previous_kw)):
        turn.setpoint_kw = turn.clip(envelope.natural_kw)
        winner, turn.authority = bound, bound.priority
    return Arbitration(
        setpoint_kw=turn.setpoint_kw,
        low_kw=turn.low_kw,
        high_kw=turn.high_kw,
        winner=winner,
        authority=turn.authority,
        contenders=turn.fates,
    )


def _rank(proposal: Proposal) -> tuple[int, bool, datetime, str]:
    return (proposal.priority, proposal.release, proposal.valid_from, proposal.source_id)


def _priority(proposal: Proposal) -> Priority:
    return proposal.priority


def _narrow(turn: _Round, proposal: Proposal) -> bool:
    # Returns whether higher bounds or a decision kept the proposal's own from acting in full.
    if proposal.min_kw is None and proposal.max_kw is None:
        return False
    if turn.decided_by is not None:
        return _outside(turn.setpoint_kw, proposal)
    was_clipped = False
    if proposal.min_kw is not None:
        low = turn.clip(proposal.min_kw)
        was_clipped = low < proposal.min_kw - _EPSILON_KW
        if low > turn.low_kw:
            turn.low_kw, turn.low_by, turn.binding = low, proposal, proposal
    if proposal.max_kw is not None:
        high = turn.clip(proposal.max_kw)
        was_clipped = was_clipped or high > proposal.max_kw + _EPSILON_KW
        if high < turn.high_kw:
            turn.high_kw, turn.high_by, turn.binding = high, proposal, proposal
    if proposal.priority is Priority.SAFETY:
        turn.protective = proposal
    return was_clipped


def _outside(setpoint_kw: float | None, proposal: Proposal) -> bool:
    if setpoint_kw is None:
        return True
    below = proposal.min_kw is not None and setpoint_kw < proposal.min_kw - _EPSILON_KW
    above = proposal.max_kw is not None and setpoint_kw > proposal.max_kw + _EPSILON_KW
    return below or above


def _fate(turn: _Round, proposal: Proposal, was_clipped: bool, barred: str | None) -> Contender:
    if barred is not None and (proposal.target_kw is not None or proposal.release):
        return _contender(proposal, "refused", None, barred)
    if proposal.target_kw is None and not proposal.release:
        return _fate_of_bounds(turn, proposal, was_clipped)
    if turn.decided_by is not None:
        return _fate_of_loser(turn, proposal, turn.decided_by)
    turn.decided_by, turn.authority = proposal, proposal.priority
    if proposal.target_kw is None:
        return _contender(proposal, "won", None, proposal.reason or "releases the resource")
    granted = turn.setpoint_kw = turn.clip(proposal.target_kw)
    if abs(granted - proposal.target_kw) <= _EPSILON_KW:
        return _contender(proposal, "won", granted, proposal.reason or "ranks highest")
    limiter = turn.limiter(proposal.target_kw)
    by = "its own envelope"
    if limiter is not None:
        by, turn.authority = limiter.source_id, limiter.priority
    reason = f"limited by {by} to {turn.low_kw:g}..{turn.high_kw:g} kW"
    return _contender(proposal, "clipped", granted, reason)


def _fate_of_bounds(turn: _Round, proposal: Proposal, was_clipped: bool) -> Contender:
    if turn.decided_by is not None and was_clipped:
        return _fate_of_loser(turn, proposal, turn.decided_by)
    outcome: Outcome = "clipped" if was_clipped else "narrowed"
    low = "" if proposal.min_kw is None else f"{proposal.min_kw:g}"
    high = "" if proposal.max_kw is None else f"{proposal.max_kw:g}"
    reason = proposal.reason or "bounds"
    return _contender(proposal, outcome, None, f"{reason}: {low}..{high} kW")


def _fate_of_loser(turn: _Round, proposal: Proposal, decided_by: Proposal) -> Contender:
    rank = decided_by.priority.name.lower().replace("_", " ")
    reason = f"{decided_by.source_id} ({rank}) decides: {decided_by.reason or 'ranks higher'}"
    return _contender(proposal, "lost", turn.setpoint_kw, reason)


def _acting_bound(turn: _Round, envelope: Envelope, previous_kw: float | None) -> Proposal | None:
    # Returns the bound that must be enforced by a set-point although nobody states a target. Once
    # limited, stay so until the resource would keep clear of the bound by itself.
    low, high = turn.low_kw, turn.high_kw
    span_kw = max(abs(low), abs(high)) * _STAY_FRAC
    stay_kw = 0.0 if previous_kw is None else max(envelope.dead_band_kw, span_kw)
    if turn.protective is not None:
        could_leave = envelope.min_kw < low or envelope.max_kw > high - stay_kw
        return turn.protective if could_leave else None
    natural = envelope.natural_kw
    low_acts = turn.low_by is not None and natural < low + stay_kw
    high_acts = turn.high_by is not None and natural > high - stay_kw
    return turn.binding if low_acts or high_acts else None


def _contender(
    proposal: Proposal, outcome: Outcome, granted_kw: float | None, reason: str
) -> Contender:
    return Contender(
        source_id=proposal.source_id,
        priority=proposal.priority,
        outcome=outcome,
        target_kw=proposal.target_kw,
        granted_kw=granted_kw,
        until=None if proposal.expires_at >= UNTIL_LIFTED else proposal.expires_at,
        reason=reason,
        instruction_id=proposal.instruction_id,
    )

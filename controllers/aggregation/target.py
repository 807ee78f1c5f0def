"""Which target is in force, and how the reference moves to it.

The parents' live proposals and the own active instruction compete by priority, then first come.
The winner's target is kept inside the connection's limits, and the reference moves to it from the
measured power at the winner's ramp: a change of owner never makes a step of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import msgspec

from controllers.aggregation.checkpoint import ReferenceState
from controllers.kernel.states import Priority, Proposal

MAX_PARENTS = 64
"""Sources remembered at a time; further ones are refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Want:
    """Somebody's claim on the aggregate's power."""

    owner: str
    """Instruction id or parent."""
    priority: Priority
    since: datetime
    """First come, first served among equals."""
    target_kw: float | None
    """None claims that the aggregate runs released."""
    ramp_kw_per_min: float | None
    instruction_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the net power must stay within."""

    low_kw: float
    high_kw: float

    def clip(self, power_kw: float) -> float:
        """Return the nearest power within; the lower limit wins where they cross."""
        return max(self.low_kw, min(power_kw, self.high_kw))

    def within(self, other: Limits) -> Limits:
        """Return these limits, narrowed to ``other`` where that leaves anything."""
        return Limits(low_kw=other.clip(self.low_kw), high_kw=other.clip(self.high_kw))


def choose(wants: Iterable[Want]) -> Want | None:
    """Return who prevails: the higher rank, then who came first."""
    return min(wants, key=lambda want: (want.priority, want.since, want.owner), default=None)


@dataclass(slots=True)
class _Held:
    proposal: Proposal
    since: datetime


class Parents:
    """Proposals from above, at most one per source."""

    def __init__(self, aggregate_id: str) -> None:
        self._id = aggregate_id
        self._held: dict[str, _Held] = {}

    def take(self, proposal: Proposal, now: datetime) -> bool:
        """Remember a proposal; False if it is not for us, late, repeated or one too many."""
        held = self._held.get(proposal.source_id)
        if proposal.member_id != self._id or proposal.expires_at <= now:
            return False
        if held is None and len(self._held) >= MAX_PARENTS:
            return False
        last = (-1, -1) if held is None else (held.proposal.epoch, held.proposal.seq)
        if (proposal.epoch, proposal.seq) <= last:
            return False
        unbroken = held is not None and _claims(held.proposal) and held.proposal.expires_at > now
        since = held.since if held is not None and unbroken else now
        self._held[proposal.source_id] = _Held(proposal, since)
        return True

    def wants(self, now: datetime) -> list[Want]:
        """Return the claims of live proposals; forget the expired ones."""
        self._held = {s: h for s, h in self._held.items() if h.proposal.expires_at > now}
        return [
            Want(
                owner=held.proposal.source_id,
                priority=held.proposal.priority,
                since=held.since,
                target_kw=None if held.proposal.release else held.proposal.target_kw,
                ramp_kw_per_min=held.proposal.ramp_kw_per_min,
                instruction_id=held.proposal.instruction_id,
            )
            for held in self._held.values()
            if _claims(held.proposal) and held.proposal.valid_from <= now
        ]

    def holder(self, now: datetime) -> tuple[str | None, datetime | None]:
        """Return which parent may count this aggregate, and until when."""
        first = choose(want for want in self.wants(now) if want.target_kw is not None)
        if first is None:
            return None, None
        return first.owner, self._held[first.owner].proposal.expires_at

    def limits(self, outer: Limits, now: datetime) -> Limits:
        """Return ``outer`` narrowed by the live bounds, the highest rank first."""
        live = (h.proposal for h in self._held.values() if h.proposal.expires_at > now)
        for bound in sorted(live, key=lambda p: (p.priority, p.source_id)):
            if bound.valid_from <= now and (bound.min_kw is not None or bound.max_kw is not None):
                low_kw = outer.low_kw if bound.min_kw is None else bound.min_kw
                high_kw = outer.high_kw if bound.max_kw is None else bound.max_kw
                outer = Limits(low_kw=low_kw, high_kw=high_kw).within(outer)
        return outer

    def live(self, now: datetime) -> list[Proposal]:
        """Return the live proposals, for the checkpoint."""
        return [h.proposal for h in self._held.values() if h.proposal.expires_at > now]


def _claims(proposal: Proposal) -> bool:
    return proposal.release or proposal.target_kw is not None


def advance(
    reference: ReferenceState | None,
    want: Want | None,
    *,
    limits: Limits,
    measured_kw: float,
    tolerance_kw: float,
    now: datetime,
) -> ReferenceState | None:
    """Return the reference as of ``now``; None while nobody wants a target.

    Args:
        reference: as of the last turn.
        want: who prevails now.
        limits: what the result stays within, at once and without ramp.
        measured_kw: where a new owner starts from.
        tolerance_kw: smaller changes do not count as a move.
        now: the present instant.
    """
    if want is None or want.target_kw is None:
        return None
    target_kw = limits.clip(want.target_kw)
    if reference is None or reference.owner != want.owner:
        reference = ReferenceState(
            owner=want.owner,
            priority=want.priority,
            value_kw=limits.clip(measured_kw),
            at=now,
            moved_at=now,
        )
    value_kw = target_kw
    if want.ramp_kw_per_min is not None:
        elapsed_s = max((now - reference.at).total_seconds(), 0.0)
        reach_kw = want.ramp_kw_per_min * elapsed_s / 60.0
        from_kw = limits.clip(reference.value_kw)
        value_kw = from_kw + max(-reach_kw, min(target_kw - from_kw, reach_kw))
    arrived = value_kw == target_kw
    moved = abs(value_kw - reference.value_kw) > tolerance_kw or not arrived
    return msgspec.structs.replace(
        reference,
        priority=want.priority,
        value_kw=value_kw,
        at=now,
        moved_at=now if moved or not reference.arrived else reference.moved_at,
        arrived=arrived,
    )


def settled(reference: ReferenceState | None, now: datetime, settle_s: float) -> bool:
    """Tell whether the target was reached long enough ago for members to have arrived."""
    if reference is None or not reference.arrived:
        return False
    return (now - reference.moved_at).total_seconds() >= settle_s


def trimmed(
    reference: ReferenceState, *, error_kw: float, elapsed_s: float, per_s: float, most_kw: float
) -> ReferenceState:
    """Return the reference with its integral trim moved towards the remaining error."""
    trim_kw = reference.trim_kw + error_kw * min(per_s * elapsed_s, 1.0)
    return msgspec.structs.replace(reference, trim_kw=max(-most_kw, min(trim_kw, most_kw)))

"""The state an aggregate publishes: live sums, the target in force, and each member's share."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import msgspec

from controllers.aggregation.delivery import seen_quality
from controllers.aggregation.following import Following
from controllers.aggregation.portfolio import FloatArray, Portfolio, Sums
from controllers.kernel.states import AggregateState, Envelope, MemberShare, Rung


@dataclass(frozen=True, slots=True, kw_only=True)
class Stand:
    """What the last turn of the loop decided, as the state shows it."""

    target_kw: float | None = None
    released_kw: float | None = None
    """Net power if nobody above or beside the plan commanded; None before the first turn."""
    instruction_id: str | None = None
    tolerance_kw: float = 0.0
    settled: bool = False
    unserved_kw: float = 0.0
    """What the split could not place."""
    commanded: bool = False
    detail: str = ""

    def shortfall_kw(self, power_kw: float) -> float:
        """Return what is missing at a measured power; zero while members are on their way."""
        if self.target_kw is None:
            return 0.0
        gap_kw = self.target_kw - power_kw
        short = self.settled or abs(self.unserved_kw) > self.tolerance_kw
        return gap_kw if short and abs(gap_kw) > self.tolerance_kw else 0.0

    def words(self, shortfall_kw: float) -> str:
        """Return the detail for people."""
        if not shortfall_kw:
            return self.detail
        return (
            f"{shortfall_kw:+.1f} kW missing: {self.detail or 'members are off their set-points'}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Imprint:
    """Who publishes, and the running numbers of the publication."""

    id: str
    epoch: int
    seq: int
    published_at: datetime
    holder: str | None
    holder_until: datetime | None
    exported_kwh: float
    imported_kwh: float


def aggregate_state(
    imprint: Imprint,
    stand: Stand,
    *,
    sums: Sums,
    portfolio: Portfolio,
    following: Following,
    sent_kw: FloatArray,
    cause: Callable[[int], str],
) -> AggregateState:
    """Return the state to publish.

    Args:
        imprint: publisher and running numbers.
        stand: what the last turn decided.
        sums: the members now.
        portfolio: the members.
        following: who is set aside until when.
        sent_kw: [n] last proposed set-points; NaN where none.
        cause: why a member takes no part, by index; empty where it does.
    """
    shortfall_kw = stand.shortfall_kw(sums.believed_kw)
    return AggregateState(
        id=imprint.id,
        epoch=imprint.epoch,
        seq=imprint.seq,
        published_at=imprint.published_at,
        power_kw=sums.power_kw,
        sigma_kw=sums.sigma_kw,
        coverage_frac=sums.coverage_frac,
        rated_kw=sums.rated_kw,
        quality=sums.quality,
        health=sums.health,
        envelope=_envelope(sums.envelope, stand.released_kw),
        target_kw=stand.target_kw,
        instruction_id=stand.instruction_id,
        shortfall_kw=shortfall_kw,
        holder=imprint.holder,
        holder_until=imprint.holder_until,
        rung=Rung.ACTIVE if stand.commanded else Rung.DEFAULT,
        n_members=len(portfolio),
        n_fresh=sums.n_fresh,
        members=_shares(portfolio, sums, following, sent_kw, cause),
        exported_kwh=imprint.exported_kwh,
        imported_kwh=imprint.imported_kwh,
        killed=sums.killed,
        oldest_measured_at=sums.oldest_measured_at,
        newest_measured_at=sums.newest_measured_at,
        detail=stand.words(shortfall_kw),
    )


def _envelope(envelope: Envelope, released_kw: float | None) -> Envelope:
    """Return the envelope with the plan in it: a released aggregate goes to its plan.

    A parent splits from there; from the members' own natural power it would take the plan's share
    for granted and have others pay for it.
    """
    if released_kw is None:
        return envelope
    natural_kw = min(max(released_kw, envelope.min_kw), envelope.max_kw)
    return msgspec.structs.replace(envelope, natural_kw=natural_kw)


def _shares(
    portfolio: Portfolio,
    sums: Sums,
    following: Following,
    sent_kw: FloatArray,
    cause: Callable[[int], str],
) -> list[MemberShare]:
    power, counted, fresh = portfolio.power_kw.tolist(), sums.counted.tolist(), sums.fresh.tolist()
    return [
        MemberShare(
            id=member.id,
            power_kw=power[i],
            target_kw=None if math.isnan(sent) else sent,
            counted=counted[i],
            quality=seen_quality(portfolio.states[i], fresh=fresh[i]),
            set_aside_until=following.until(i),
            reason=cause(i),
        )
        for i, (member, sent) in enumerate(zip(portfolio.members, sent_kw.tolist(), strict=True))
    ]

"""Which aggregate holds a resource that several list, so that its headroom is sold once.

The holder is the aggregate whose target is live. A target of higher priority pre-empts it; among
equals the first to come stays until its targets end. While none is live nobody holds the resource
and its home may count it. Targets of the others are refused; their bounds still apply.

A target is live when it is valid, not expired, and was received after the last fall to failsafe or
the last lifting of the emergency stop: a fresh command is one that was given since.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from controllers.kernel.states import Proposal
from controllers.kernel.wire import Wire

_MEMORY = timedelta(seconds=60.0)


class HeldProposal(Wire):
    """The last proposal of one source."""

    proposal: Proposal
    received_at: datetime
    since: datetime
    """When its unbroken run of targets began: first come, first served."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """Who holds the resource, and why the targets of others do not count."""

    holder: str | None
    until: datetime | None
    refused: dict[str, str]
    """By source."""


def receive(
    held: Mapping[str, HeldProposal], proposal: Proposal, now: datetime
) -> dict[str, HeldProposal]:
    """Return the proposals with this one in place of its source's last."""
    before = held.get(proposal.source_id)
    since = now
    if before is not None and _has_target(before.proposal) and before.proposal.expires_at > now:
        since = before.since
    entry = HeldProposal(proposal=proposal, received_at=now, since=since)
    return {**held, proposal.source_id: entry}


def is_outdated(held: Mapping[str, HeldProposal], proposal: Proposal) -> bool:
    """Tell whether the source has already said something later."""
    before = held.get(proposal.source_id)
    return before is not None and (proposal.epoch, proposal.seq) <= (
        before.proposal.epoch,
        before.proposal.seq,
    )


def without_forgotten(held: Mapping[str, HeldProposal], now: datetime) -> dict[str, HeldProposal]:
    """Return the proposals but those expired so long that no older one can still arrive."""
    return {s: entry for s, entry in held.items() if now - entry.proposal.expires_at < _MEMORY}


def settle(
    held: Iterable[HeldProposal],
    *,
    holder: str | None,
    home: str | None,
    fresh_after: datetime | None,
    now: datetime,
) -> Holding:
    """Return who holds the resource from ``now`` on.

    Args:
        held: the last proposal of every source.
        holder: who held it so far.
        home: first in the park file; breaks a tie of equals that were waiting.
        fresh_after: targets received up to here do not count.
        now: the present instant.
    """
    refused: dict[str, str] = {}
    candidates: list[HeldProposal] = []
    for entry in held:
        proposal = entry.proposal
        if not _has_target(proposal) or not proposal.valid_from <= now < proposal.expires_at:
            continue
        if fresh_after is not None and entry.received_at <= fresh_after:
            refused[proposal.source_id] = "received before control was suspended; send it anew"
            continue
        candidates.append(entry)
    if not candidates:
        return Holding(holder=None, until=None, refused=refused)
    first = min(candidates, key=lambda entry: _rank(entry, holder, home)).proposal
    for entry in candidates:
        source = entry.proposal.source_id
        if source != first.source_id:
            rank = first.priority.name.lower().replace("_", " ")
            until = f"{first.expires_at:%H:%M:%S} UTC"
            refused[source] = f"held by {first.source_id} ({rank}) until {until} or later"
    return Holding(holder=first.source_id, until=first.expires_at, refused=refused)


def _rank(
    entry: HeldProposal, holder: str | None, home: str | None
) -> tuple[int, bool, datetime, bool, str]:
    source = entry.proposal.source_id
    return (entry.proposal.priority, source != holder, entry.since, source != home, source)


def _has_target(proposal: Proposal) -> bool:
    return proposal.target_kw is not None

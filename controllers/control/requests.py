"""What others ask of the resource: proposals, an override, maintenance, the emergency stop."""

from __future__ import annotations

import math

from controllers.control.events import (
    KillReleased,
    KillSet,
    MaintenanceCleared,
    MaintenanceSet,
    OverrideCleared,
    OverrideSet,
)
from controllers.control.guards import is_reserved
from controllers.control.holding import is_outdated, receive, without_forgotten
from controllers.control.state import ControlState, Kill, Maintenance, Override, Turn
from controllers.kernel.states import Proposal


def take_proposal(turn: Turn, proposal: Proposal) -> None:
    """Keep a proposal as its source's last, or count why not."""
    refusal = _refusal(turn, proposal)
    if refusal is not None:
        turn.count(f"proposals_{refusal}")
        return
    turn.set(proposals=receive(turn.state.proposals, proposal, turn.now))


def _refusal(turn: Turn, proposal: Proposal) -> str | None:
    # Returns the counter, after ``proposals_``.
    if proposal.member_id != turn.spec.id:
        return "misdirected"
    if is_reserved(proposal.source_id) or not _is_sound(proposal):
        return "malformed"
    if is_outdated(turn.state.proposals, proposal):
        return "outdated"
    lifetime_s = (proposal.expires_at - turn.now).total_seconds()
    if lifetime_s > turn.spec.settings.max_proposal_lifetime_s:
        return "too_long"
    if proposal.source_id not in turn.state.proposals:
        if lifetime_s <= 0.0:
            return "expired"
        if len(turn.state.proposals) >= turn.spec.settings.max_proposal_sources:
            return "too_many"
    # One that has expired on arrival still replaces what its source said before.
    return None


def _is_sound(proposal: Proposal) -> bool:
    if proposal.valid_from.tzinfo is None or proposal.expires_at.tzinfo is None:
        return False
    numbers = (proposal.target_kw, proposal.min_kw, proposal.max_kw, proposal.ramp_kw_per_min)
    if not all(number is None or math.isfinite(number) for number in numbers):
        return False
    low, high = proposal.min_kw, proposal.max_kw
    return low is None or high is None or low <= high


def forget_old_proposals(turn: Turn) -> None:
    """Drop proposals that expired long ago."""
    held = turn.state.proposals
    kept = without_forgotten(held, turn.now)
    if len(kept) != len(held):
        turn.set(proposals=kept)


def set_override(turn: Turn, event: OverrideSet) -> None:
    """Take the resource in hand; without effect when it would already be over."""
    is_sound = event.until.tzinfo is not None and math.isfinite(event.target_kw)
    if not is_sound or event.until <= turn.now:
        turn.count("overrides_refused")
        return
    override = Override(
        target_kw=event.target_kw,
        set_at=turn.now,
        until=event.until,
        operator=event.operator,
        reason=event.reason,
    )
    turn.set(override=override)
    turn.durable = True
    turn.record(
        "override",
        action="set",
        target_kw=event.target_kw,
        until=event.until.isoformat(),
        operator=event.operator,
        reason=event.reason,
    )


def clear_override(turn: Turn, event: OverrideCleared) -> None:
    """Let go of the resource; without effect when nobody holds it in hand."""
    if turn.state.override is not None:
        _end_override(turn, "cleared", event.operator)


def expire_override(turn: Turn) -> None:
    """End an override whose time has passed."""
    override = turn.state.override
    if override is not None and turn.now >= override.until:
        _end_override(turn, "expired", override.operator)


def _end_override(turn: Turn, action: str, operator: str) -> None:
    turn.set(override=None)
    turn.durable = True
    turn.record("override", action=action, operator=operator)


def set_kill(turn: Turn, event: KillSet) -> None:
    """Switch the emergency stop on; an override ends with it. Repeating it changes nothing."""
    turn.durable = True
    if turn.state.kill is not None:
        return
    if turn.state.override is not None:
        _end_override(turn, "ended by emergency stop", event.operator)
    turn.set(kill=Kill(set_at=turn.now, operator=event.operator, reason=event.reason))
    turn.record("kill", action="set", operator=event.operator, reason=event.reason)


def release_kill(turn: Turn, event: KillReleased) -> None:
    """Switch the emergency stop off; what was asked before does not count any more."""
    turn.durable = True
    if turn.state.kill is None:
        return
    turn.set(kill=None, fresh_after=turn.now, override=None, resume_until=None)
    turn.record("kill", action="released", operator=event.operator, reason=event.reason)


def set_maintenance(turn: Turn, event: MaintenanceSet) -> None:
    """Keep everybody but a person's hand off; the last window counts.

    Without effect when it would already be over. Repeating it changes nothing.
    """
    turn.durable = True
    if event.until.tzinfo is None or event.until <= turn.now:
        turn.count("maintenance_refused")
        return
    before = turn.state.maintenance
    is_same = before is not None and before.window_id == event.window_id
    maintenance = Maintenance(
        window_id=event.window_id,
        set_at=before.set_at if before is not None and is_same else turn.now,
        until=event.until,
        operator=event.operator,
        reason=event.reason,
    )
    if maintenance == before:
        return
    turn.set(maintenance=maintenance)
    turn.record(
        "maintenance",
        action="set",
        window_id=event.window_id,
        until=event.until.isoformat(),
        operator=event.operator,
        reason=event.reason,
    )


def clear_maintenance(turn: Turn, event: MaintenanceCleared) -> None:
    """Give the resource back; without effect when another window is open, or none."""
    turn.durable = True
    maintenance = turn.state.maintenance
    if maintenance is not None and maintenance.window_id == event.window_id:
        _end_maintenance(turn, "cleared", maintenance)


def expire_maintenance(turn: Turn) -> None:
    """End maintenance whose time has passed."""
    maintenance = turn.state.maintenance
    if maintenance is not None and turn.now >= maintenance.until:
        _end_maintenance(turn, "expired", maintenance)


def _end_maintenance(turn: Turn, action: str, maintenance: Maintenance) -> None:
    turn.set(maintenance=None)
    turn.durable = True
    turn.record("maintenance", action=action, window_id=maintenance.window_id)


def has_live_override(state: ControlState) -> bool:
    """Tell whether a person holds the resource, by a word given since the last fall."""
    override = state.override
    return override is not None and (
        state.fresh_after is None or override.set_at > state.fresh_after
    )

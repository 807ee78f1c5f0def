"""Times and tolerances of one aggregate's control."""

from __future__ import annotations

from dataclasses import dataclass, fields

from controllers.kernel.errors import DomainError


@dataclass(frozen=True, slots=True, kw_only=True)
class AggregateSettings:
    """Durations in seconds, tolerances in kW or as a share; defaults suit members at 1 Hz."""

    max_silence_s: float = 3.5
    """A member that published nothing for this long is stale; members publish every second."""
    proposal_lifetime_s: float = 10.0
    """Least lifetime of a proposal; three turns of the loop if that is longer."""
    response_s: float = 3.0
    """Time beyond a member's ramp and response for its meter to show it; twice that if nested."""
    confirm_s: float = 1.0
    """A member is off for this long before it is set aside; one bad sample proves nothing."""
    member_tolerance_frac: float = 0.05
    """A member follows within this share of its rated power ..."""
    member_tolerance_kw: float = 1.0
    """... or this, whichever is larger."""
    backoff_first_s: float = 1.0
    backoff_max_s: float = 30.0
    """A member that does not follow is set aside for 1, 2, 4 ... up to 30 s at a time."""
    forgive_s: float = 60.0
    """Following for this long wipes out earlier failures."""
    settle_s: float = 5.0
    """After a change of target, time for members to arrive before a deviation counts."""
    trim_per_s: float = 0.1
    """Share of the remaining deviation that the integral trim takes up per second."""
    trim_max_frac: float = 0.1
    """Greatest trim, as a share of rated power."""
    plan_entry_s: float = 30.0
    """A plan moves a member by at most its rated power in this time."""
    resume_wait_s: float = 2.0
    """After a restart, time for the members' states to arrive before set-points are changed."""
    checkpoint_every_s: float = 5.0
    """Running set-points and energies are made durable at least this often."""
    max_gap_s: float = 10.0
    """Energy is not counted over longer gaps between turns."""
    guard_release_s: float = 10.0
    """The connection limit must be safe for this long before its bounds are lifted."""
    start_grace_s: float = 60.0
    """A window may have begun at most this long ago when its instruction arrives."""
    n_ended_kept: int = 50
    """Ended instructions that are still listed."""

    def __post_init__(self) -> None:
        for row in fields(self):
            value = getattr(self, row.name)
            if not value > 0:
                raise DomainError(row.name, value, "must be above 0")

"""Live sums over an aggregate's members."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberSpec:
    """What is known of a member before its first state."""

    id: str
    kind: Literal["resource", "aggregate"]
    home: str
    """Id of the first aggregate in the park file that lists it."""
    rated_kw: float
    max_age_s: float = 4.0
    """A measurement older than this is stale."""

"""Control of one resource: every event in, the next state and the effects out.

``resume`` begins or continues a life; ``decide`` folds one event.
"""

from __future__ import annotations

from datetime import datetime

from controllers.control.events import Event
from controllers.control.failsafe import Ladder
from controllers.control.freshness import Intake
from controllers.control.state import ControlState, Decision, ResourceSpec, Turn
from controllers.resources.twin import TwinState


def resume(
    spec: ResourceSpec, epoch: int, restored: ControlState | None, now: datetime
) -> Decision:
    """Begin a life of the resource's control under a new epoch.

    Args:
        spec: the resource.
        epoch: fencing epoch, greater than any before.
        restored: the last checkpoint; None on a cold start.
        now: the present instant.
    """
    state = restored or ControlState(
        epoch=epoch,
        resumed_at=now,
        listening_since=now,
        refresh_after=now,
        intake=Intake(tokens=spec.settings.intake.sample_burst, tokens_at=now),
        twin=TwinState(),
        ladder=Ladder(since=now),
    )
    return Turn(spec, state, now).decision()


def decide(spec: ResourceSpec, state: ControlState, event: Event, now: datetime) -> Decision:
    """Return what follows from one event."""
    return Turn(spec, state, now).decision()

"""The life of one alarm as a table, in the sense of ISA-18.2 (IEC 62682).

``returned`` is active no more but not yet acknowledged; ``shelved`` is silenced by a person until
an instant, ``suppressed`` by a maintenance window; in both the condition goes on being judged, and
what is let go of becomes what the condition says then. ``normal`` and ``out_of_service`` end it.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from controllers.alarms.rules import Severity
from controllers.alarms.signals import SubjectKind
from controllers.kernel.fsm import Machine
from controllers.kernel.wire import Wire


class AlarmState(StrEnum):
    """Where an alarm stands."""

    UNACKNOWLEDGED = "unacknowledged"
    ACKNOWLEDGED = "acknowledged"
    RETURNED = "returned"
    SHELVED = "shelved"
    SUPPRESSED = "suppressed"
    NORMAL = "normal"
    OUT_OF_SERVICE = "out_of_service"


class AlarmTrigger(StrEnum):
    """What moves an alarm."""

    RAISE = "raise"
    RETURN = "return"
    ACKNOWLEDGE = "acknowledge"
    SHELVE = "shelve"
    SUPPRESS = "suppress"
    RELEASE_ACTIVE = "release_active"
    RELEASE_NORMAL = "release_normal"
    CLEAR = "clear"
    RETIRE = "retire"


_S, _T = AlarmState, AlarmTrigger

ALARM_MACHINE = Machine(
    name="alarm",
    table={
        (_S.NORMAL, _T.RAISE): _S.UNACKNOWLEDGED,
        (_S.UNACKNOWLEDGED, _T.ACKNOWLEDGE): _S.ACKNOWLEDGED,
        (_S.UNACKNOWLEDGED, _T.RETURN): _S.RETURNED,
        (_S.UNACKNOWLEDGED, _T.SHELVE): _S.SHELVED,
        (_S.UNACKNOWLEDGED, _T.SUPPRESS): _S.SUPPRESSED,
        (_S.UNACKNOWLEDGED, _T.RETIRE): _S.OUT_OF_SERVICE,
        (_S.ACKNOWLEDGED, _T.ACKNOWLEDGE): _S.ACKNOWLEDGED,
        # A group that has been acknowledged and gets a new member speaks up again.
        (_S.ACKNOWLEDGED, _T.RAISE): _S.UNACKNOWLEDGED,
        (_S.ACKNOWLEDGED, _T.RETURN): _S.NORMAL,
        (_S.ACKNOWLEDGED, _T.SHELVE): _S.SHELVED,
        (_S.ACKNOWLEDGED, _T.SUPPRESS): _S.SUPPRESSED,
        (_S.ACKNOWLEDGED, _T.RETIRE): _S.OUT_OF_SERVICE,
        (_S.RETURNED, _T.RAISE): _S.UNACKNOWLEDGED,
        (_S.RETURNED, _T.ACKNOWLEDGE): _S.NORMAL,
        (_S.RETURNED, _T.CLEAR): _S.NORMAL,
        (_S.RETURNED, _T.SHELVE): _S.SHELVED,
        (_S.RETURNED, _T.SUPPRESS): _S.SUPPRESSED,
        (_S.RETURNED, _T.RETIRE): _S.OUT_OF_SERVICE,
        (_S.SHELVED, _T.RAISE): _S.SHELVED,
        (_S.SHELVED, _T.RETURN): _S.SHELVED,
        (_S.SHELVED, _T.SHELVE): _S.SHELVED,
        (_S.SHELVED, _T.RELEASE_ACTIVE): _S.UNACKNOWLEDGED,
        (_S.SHELVED, _T.RELEASE_NORMAL): _S.NORMAL,
        (_S.SHELVED, _T.RETIRE): _S.OUT_OF_SERVICE,
        (_S.SUPPRESSED, _T.RAISE): _S.SUPPRESSED,
        (_S.SUPPRESSED, _T.RETURN): _S.SUPPRESSED,
        (_S.SUPPRESSED, _T.RELEASE_ACTIVE): _S.UNACKNOWLEDGED,
        (_S.SUPPRESSED, _T.RELEASE_NORMAL): _S.NORMAL,
        (_S.SUPPRESSED, _T.RETIRE): _S.OUT_OF_SERVICE,
    },
)

ENDED = frozenset({AlarmState.NORMAL, AlarmState.OUT_OF_SERVICE})


class Alarm(Wire):
    """One alarm, from the first time it was raised until it is normal again."""

    id: str
    rule_id: str
    rule_name: str
    subject_kind: SubjectKind
    subject_id: str
    severity: Severity
    priority: int
    """1 comes first, 5 last."""
    state: AlarmState
    active: bool
    """Whether the condition holds now."""
    message: str
    advice: str = ""
    figure: float | None = None
    """What was compared with the limit when it was last raised, in the signal's unit."""
    raised_at: datetime
    last_raised_at: datetime
    changed_at: datetime
    returned_at: datetime | None = None
    acknowledged_at: datetime | None = None
    acknowledged_by: str | None = None
    shelved_until: datetime | None = None
    shelved_by: str | None = None
    note: str = ""
    """What the last person to touch it said."""
    n_raised: int = 1
    """More than once: it came and went while it stood."""
    chattering: bool = False
    """Raised three times within a minute (EEMUA 191)."""
    recent_raises: list[datetime] = []
    group_id: str | None = None
    """The group alarm that speaks for it."""
    n_members: int = 0
    """Of a group: how many alarms it speaks for."""
    escalations: int = 0
    """Steps of its rule taken."""
    notified_at: datetime | None = None
    """When a notice last went out."""
    version: int = 1
    """Rises with every change."""

    @property
    def key(self) -> tuple[str, str]:
        """Rule and subject; one alarm at most stands per key."""
        return self.rule_id, self.subject_id

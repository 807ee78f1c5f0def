"""Request bodies of alarm rules, channels and acts on alarms; limits as in ``controllers.alarms``.

Signals in their own unit (kW, 0 to 1, seconds); durations in seconds.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Literal, Self

import msgspec
from pydantic import ConfigDict, Field, SecretStr, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from controllers.alarms.channels import Channel, MailSecurity
from controllers.alarms.rules import Rule, Severity
from controllers.kernel.errors import DomainError
from serve_apps.web.bodies import Body, Instant, Reason
from serve_apps.web.paths import BodyId

MAX_BULK = 200
MAX_SHELF_S = 604_800.0

_LINE = r"^[^\x00-\x1f\x7f]*$"
# The engine of these patterns knows no look-ahead, and its ``$`` is the very end.
_SIGNAL = r"^(signals\.)?[a-z][a-z0-9_]{0,47}$"
_HOST = r"^[A-Za-z0-9.:_-]{1,253}$"
_MAIL = r"^[^\s\x00-\x1f\x7f@<>,;\"]{1,64}@[^\s\x00-\x1f\x7f@<>,;\"]{1,190}$"

Name = Annotated[
    str,
    StringConstraints(
        strict=True, strip_whitespace=True, min_length=1, max_length=120, pattern=_LINE
    ),
]
Note = Annotated[
    str, StringConstraints(strict=True, strip_whitespace=True, max_length=500, pattern=_LINE)
]
SignalText = Annotated[str, StringConstraints(strict=True, max_length=56, pattern=_SIGNAL)]
HostText = Annotated[str, StringConstraints(strict=True, pattern=_HOST)]
MailText = Annotated[str, StringConstraints(strict=True, max_length=255, pattern=_MAIL)]
Value = Annotated[float, Field(strict=True, ge=-1e9, le=1e9, allow_inf_nan=False)]
Size = Annotated[float, Field(strict=True, ge=0.0, le=1e9, allow_inf_nan=False)]
Above0 = Annotated[float, Field(strict=True, gt=0.0, le=1e9, allow_inf_nan=False)]
Wait = Annotated[float, Field(strict=True, ge=0.0, le=86_400.0, allow_inf_nan=False)]
Whole = Annotated[int, Field(strict=True)]
ChannelIds = Annotated[list[BodyId], Field(max_length=10)]


class ThresholdBody(Body):
    """Beyond a limit; normal again only when back by the hysteresis."""

    kind: Literal["threshold"]
    above: Value | None = None
    below: Value | None = None
    hysteresis: Size = 0.0


class RateBody(Body):
    """Changes faster than so much per minute, over a window."""

    kind: Literal["rate_of_change"]
    rise_per_min: Above0 | None = None
    fall_per_min: Above0 | None = None
    window_s: Annotated[float, Field(strict=True, ge=2.0, le=3600.0)] = 60.0


class MissingBody(Body):
    """Nothing new for so long; goes with the signal ``age_s``."""

    kind: Literal["missing_data"]
    max_age_s: Annotated[float, Field(strict=True, ge=1.0, le=86_400.0)]


class DeviationBody(Body):
    """Away from set-point or target; goes with the signal ``power_kw``."""

    kind: Literal["deviation"]
    tolerance_kw: Size
    tolerance_frac: Annotated[float, Field(strict=True, ge=0.0, le=1.0)] = 0.0
    hysteresis_kw: Size = 0.0


class NotAppliedBody(Body):
    """A command refused or not applied in time; goes with the signal ``command_wait_s``."""

    kind: Literal["not_applied"]
    within_s: Annotated[float, Field(strict=True, ge=1.0, le=3600.0)]


class AnomalyBody(Body):
    """Unlike its own recent past."""

    kind: Literal["anomaly"]
    z: Annotated[float, Field(strict=True, ge=3.0, le=100.0)] = 6.0
    half_life_s: Annotated[float, Field(strict=True, ge=10.0, le=86_400.0)] = 1800.0
    warm_up: Annotated[Whole, Field(ge=10, le=600)] = 120
    min_scale: Above0


ConditionBody = Annotated[
    ThresholdBody | RateBody | MissingBody | DeviationBody | NotAppliedBody | AnomalyBody,
    Field(discriminator="kind"),
]


class TargetBody(Body):
    """Which subjects: one by id, those of a kind of plant, or all of the subject kind."""

    subject_kind: Literal["resource", "aggregate", "feed"]
    id: BodyId | None = None
    resource_kind: BodyId | None = None


class EscalationBody(Body):
    """What happens when an alarm stays unacknowledged for so long."""

    after_s: Annotated[float, Field(strict=True, ge=10.0, le=604_800.0)]
    channels: ChannelIds = []
    severity: Severity | None = None


class RuleBody(Body):
    """An alarm rule."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "Battery nearly full",
                    "target": {"subject_kind": "resource", "resource_kind": "battery"},
                    "signal": "signals.soc_frac",
                    "condition": {"kind": "threshold", "above": 0.97, "hysteresis": 0.02},
                    "severity": "low",
                    "delay_on_s": 60.0,
                    "channels": ["control-room"],
                }
            ]
        }
    )

    name: Name
    enabled: Annotated[bool, Field(strict=True)] = True
    target: TargetBody
    signal: SignalText
    condition: ConditionBody
    severity: Severity
    priority: Annotated[Whole, Field(ge=1, le=5)] = 3
    delay_on_s: Wait = 0.0
    delay_off_s: Wait = 0.0
    advice: Note = ""
    channels: ChannelIds = []
    escalation: Annotated[list[EscalationBody], Field(max_length=5)] = []
    renotify_s: Annotated[float, Field(strict=True, ge=60.0, le=604_800.0)] = 3600.0
    max_notices_per_hour: Annotated[Whole, Field(ge=1, le=1000)] = 20

    def rule(self, id_: str) -> Rule:
        """Return the rule under an id."""
        told = self.model_dump(mode="json", exclude={"id"})
        return msgspec.convert({**told, "id": id_}, Rule, strict=False)


class CreateRuleBody(RuleBody):
    """A new alarm rule."""

    id: BodyId | None = None
    """Absent: made here."""


class WebhookBody(Body):
    """POST to a URL, signed with the secret; https unless its network is allowed by name."""

    kind: Literal["webhook"]
    url: Annotated[str, StringConstraints(strict=True, min_length=8, max_length=1000)]


class MailBody(Body):
    """An e-mail over SMTP; the secret is the password of ``username``."""

    kind: Literal["email"]
    host: HostText
    port: Annotated[Whole, Field(ge=1, le=65_535)] = 587
    security: MailSecurity = MailSecurity.STARTTLS
    username: (
        Annotated[str, StringConstraints(strict=True, min_length=1, max_length=255, pattern=_LINE)]
        | None
    ) = None
    sender: MailText
    recipients: Annotated[list[MailText], Field(min_length=1, max_length=20)]


class MqttBody(Body):
    """The park's own broker, on ``parkgrid/int/v1/alarm/notice/{channel}``."""

    kind: Literal["mqtt"]


class ChannelBody(Body):
    """A channel; its secret is written, never told."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "Control room",
                    "endpoint": {"kind": "webhook", "url": "https://hooks.example.org/parkgrid"},
                    "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
                }
            ]
        }
    )

    name: Name
    enabled: Annotated[bool, Field(strict=True)] = True
    endpoint: Annotated[WebhookBody | MailBody | MqttBody, Field(discriminator="kind")]
    max_per_minute: Annotated[Whole, Field(ge=1, le=600)] = 30
    secret: Annotated[SecretStr, Field(min_length=1, max_length=200)] | None = None
    """Webhook: ``whsec_`` and base64 of 24 to 64 bytes. E-mail: the password. When a channel is
    replaced without one, the old one stays, if the endpoint does."""

    def channel(self, id_: str) -> Channel:
        """Return the channel under an id, without its secret."""
        told = self.model_dump(mode="json", exclude={"id", "secret"})
        return msgspec.convert({**told, "id": id_}, Channel, strict=False)

    def open_secret(self) -> str | None:
        """Return the secret."""
        return None if self.secret is None else self.secret.get_secret_value()


class CreateChannelBody(ChannelBody):
    """A new channel."""

    id: BodyId | None = None
    """Absent: made here."""


class NoteBody(Body):
    """What to note about an act on an alarm."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"note": "on my way"}]})

    note: Note = ""


class BulkNoteBody(NoteBody):
    """What to note about several alarms."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"ids": ["alarm-01"], "note": "known outage"}]}
    )

    ids: Annotated[list[BodyId], Field(min_length=1, max_length=MAX_BULK)]


class ShelveBody(Body):
    """Until when an alarm is silent, at most a week, and why."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"duration_s": 3600, "reason": "sensor is being replaced"}]}
    )

    until: Instant | None = None
    duration_s: Annotated[float, Field(strict=True, ge=1.0, le=MAX_SHELF_S)] | None = None
    """How long from now; give this or ``until``."""
    reason: Reason

    @model_validator(mode="after")
    def _one_end(self) -> Self:
        if (self.until is None) == (self.duration_s is None):
            raise PydanticCustomError("one_end", "give either until or duration_s")
        return self

    def ends_at(self, now: datetime) -> datetime:
        """Return when the shelf time ends.

        Raises:
            DomainError: it is over, or more than a week away.
        """
        until = self.until
        if until is None:
            return now + timedelta(seconds=self.duration_s or 0.0)
        if not now < until <= now + timedelta(seconds=MAX_SHELF_S):
            rule = "must lie in the future, at most a week away"
            raise DomainError("until", until.isoformat(), rule)
        return until

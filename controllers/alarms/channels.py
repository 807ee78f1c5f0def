"""Channels: how somebody outside is told of an alarm, apart from the live stream.

What a channel needs but must not show, a webhook's signing key or a mailbox's password, is its
secret: stored sealed, never told again, and not part of these values.
"""

from __future__ import annotations

import json
from datetime import datetime
from enum import StrEnum
from typing import Annotated

import msgspec

from controllers.alarms.notices import Notice
from controllers.kernel.states import INNER_ROOT
from controllers.kernel.wire import Identifier, Wire

Host = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9.:_-]{1,253}(?!\n)$")]
# Control characters by number: what "\s" takes differs between the engines of patterns.
Address = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[^\s\x00-\x1f\x7f@<>,;\"]{1,64}@[^\s\x00-\x1f\x7f@<>,;\"]{1,190}(?!\n)$"
    ),
]


class MailSecurity(StrEnum):
    """How the connection to a mail server is protected."""

    TLS = "tls"
    STARTTLS = "starttls"
    NONE = "none"
    """For a relay on this machine or in a trusted network; no password is sent over it."""


class Endpoint(Wire, tag_field="kind"):
    """Where notices go."""


class WebhookEndpoint(Endpoint, tag="webhook"):
    """POST to a URL, signed with the channel's secret."""

    url: Annotated[str, msgspec.Meta(min_length=8, max_length=1000)]


class MailEndpoint(Endpoint, tag="email"):
    """An e-mail over SMTP; the channel's secret is the password."""

    host: Host
    port: Annotated[int, msgspec.Meta(ge=1, le=65_535)] = 587
    security: MailSecurity = MailSecurity.STARTTLS
    username: Annotated[str, msgspec.Meta(max_length=255)] | None = None
    sender: Address
    recipients: Annotated[list[Address], msgspec.Meta(min_length=1, max_length=20)]


class MqttEndpoint(Endpoint, tag="mqtt"):
    """The park's own broker, on the topic of ``notice_topic``."""


AnyEndpoint = WebhookEndpoint | MailEndpoint | MqttEndpoint


class Channel(Wire):
    """One channel."""

    id: Identifier
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=120)]
    enabled: bool = True
    endpoint: AnyEndpoint
    max_per_minute: Annotated[int, msgspec.Meta(ge=1, le=600)] = 30


class DeliveryOutcome(StrEnum):
    """How the delivery of a notice ended."""

    DELIVERED = "delivered"
    FAILED = "failed"
    DROPPED = "dropped"
    """Too many waited for the channel, or it is no more."""


class Attempt(Wire):
    """One try."""

    at: datetime
    ok: bool
    detail: str
    """Status or error, shortened; never what the other side sent."""


class Delivery(Wire):
    """The end of a notice's way."""

    notice_id: str
    channel_id: str
    outcome: DeliveryOutcome
    finished_at: datetime
    attempts: list[Attempt] = []


def notice_topic(channel_id: str) -> str:
    """Return the topic on which a channel of kind mqtt is told."""
    return f"{INNER_ROOT}/alarm/notice/{channel_id}"


def alarm_topic(alarm_id: str) -> str:
    """Return the retained topic of a standing alarm; empty once it has ended. ``+`` means all."""
    return f"{INNER_ROOT}/alarm/state/{alarm_id}"


def notice_body(notice: Notice, park_id: str) -> bytes:
    """Return what a webhook and a topic carry: one JSON object."""
    return msgspec.json.encode({"schema": 1, "park": park_id, **msgspec.to_builtins(notice)})


def mail_of(notice: Notice, park_name: str) -> tuple[str, str]:
    """Return subject line and text of an e-mail."""
    alarm = notice.alarm
    subject = f"[{park_name}] {alarm.severity.value} {notice.reason.value}: {alarm.message}"
    lines = [
        alarm.message,
        "",
        f"rule:      {alarm.rule_name} ({alarm.rule_id})",
        f"subject:   {alarm.subject_kind.value} {alarm.subject_id}",
        f"severity:  {alarm.severity.value}, priority {alarm.priority}",
        f"state:     {alarm.state.value}",
        f"raised:    {alarm.raised_at.isoformat(timespec='seconds')}, {alarm.n_raised} time(s)",
        f"alarm:     {alarm.id}",
    ]
    if alarm.advice:
        lines += ["", f"What to do: {alarm.advice}"]
    if notice.n_withheld:
        lines += ["", f"{notice.n_withheld} notices were withheld since the last one."]
    # A line break in a subject would be a header of its own.
    return json.dumps(subject, ensure_ascii=False)[1:-1][:200], "\n".join(lines) + "\n"

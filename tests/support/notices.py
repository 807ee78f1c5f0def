"""A desk that delivers notices in tests, and endpoints on loopback for it."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from actors.notices.dispatcher import Dispatcher, Patience, Sender
from actors.notices.guard import AddressGuard, Resolve, resolve_with_dns
from controllers.alarms.addresses import parse_networks
from controllers.alarms.channels import (
    AnyEndpoint,
    Channel,
    Delivery,
    MailEndpoint,
    MailSecurity,
    WebhookEndpoint,
)
from controllers.alarms.notices import Notice, trial_notice
from controllers.kernel.errors import DeviceUnreachableError
from controllers.kernel.timebase import SystemClock
from controllers.ports.alarms import OpenChannel
from tests.support.live_states import NOW
from tests.support.waiting import eventually

KEY = b"0123456789abcdef0123456789abcdef"
SECRET = "whsec_" + base64.b64encode(KEY).decode()
QUICK = Patience(n_attempts=3, first_wait_s=0.01, longest_wait_s=0.02, rest_s=0.02)
LOOPBACK = ("127.0.0.0/8", "::1/128")


class Desk:
    """A dispatcher and what it said."""

    def __init__(
        self,
        *endpoints: AnyEndpoint,
        secret: str | None = SECRET,
        allowed: tuple[str, ...] = LOOPBACK,
        resolve: Resolve = resolve_with_dns,
        patience: Patience = QUICK,
    ) -> None:
        self.settled: list[Delivery] = []
        self.published: list[tuple[str, bytes]] = []
        self.broker_up = True
        sender = Sender(
            park_id="demo",
            park_name="Demo park",
            guard=AddressGuard(parse_networks(allowed), resolve=resolve),
            publish=self._publish,
            clock=SystemClock(),
        )
        self.dispatcher = Dispatcher(sender, self.settled.append, patience)
        self.dispatcher.use(
            OpenChannel(channel=Channel(id=f"c{n}", name="C", endpoint=endpoint), secret=secret)
            for n, endpoint in enumerate(endpoints)
        )

    async def send(self, *notices: Notice) -> list[Delivery]:
        """Hand out notices and wait for the end of all deliveries."""
        self.dispatcher.take(notices)
        await eventually(lambda: self.dispatcher.n_waiting == 0, within_s=20)
        return self.settled

    async def _publish(self, topic: str, payload: bytes) -> None:
        if not self.broker_up:
            raise DeviceUnreachableError("broker")
        self.published.append((topic, payload))


@asynccontextmanager
async def desk(*endpoints: AnyEndpoint, **options: object) -> AsyncIterator[Desk]:
    """Yield a desk with channels c0, c1 and so on."""
    opened = Desk(*endpoints, **options)  # type: ignore[arg-type]
    try:
        yield opened
    finally:
        await opened.dispatcher.stop()


def notice(number: int = 1, channel_id: str = "c0") -> Notice:
    """Return a notice."""
    return trial_notice(f"notice-{number}", channel_id, "anna", NOW)


def to(port: int, path: str = "/hook?x=1", host: str = "127.0.0.1") -> WebhookEndpoint:
    """Return a webhook on loopback."""
    return WebhookEndpoint(url=f"http://{host}:{port}{path}")


def mail_to(port: int, **changes: object) -> MailEndpoint:
    """Return a mail server on loopback."""
    settings: dict[str, object] = {
        "host": "localhost",
        "port": port,
        "security": MailSecurity.NONE,
        "sender": "park@example.org",
        "recipients": ["anna@example.org", "ben@example.org"],
        **changes,
    }
    return MailEndpoint(**settings)  # type: ignore[arg-type]

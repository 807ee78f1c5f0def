"""The broker's place in simulated time: the same topics and bytes, delivered at once, in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from actors.links.inbox import Inbound, Inbox, Subscription
from actors.links.mqtt import MqttSettings


class Exchange:
    """Hands every message to whoever subscribed to its topic; nothing is kept for later."""

    def __init__(self) -> None:
        self._inboxes: dict[str, list[Inbox]] = {}
        self._links: list[Callable[[bool], None]] = []
        self.n_messages = 0
        """Published so far."""

    def open_session(
        self,
        settings: MqttSettings,
        client_id: str,
        *,
        subscriptions: Sequence[Subscription],
        wake: asyncio.Event | None = None,
        on_link: Callable[[bool], None],
        peer: str,
    ) -> ExchangeSession:
        """Return a link's session, as ``MqttSession`` would be; topic filters without wildcard."""
        self._links.append(on_link)
        return ExchangeSession(self, self.subscribe(subscriptions, wake))

    def subscribe(
        self, subscriptions: Sequence[Subscription], wake: asyncio.Event | None = None
    ) -> Inbox:
        """Return an inbox that gets these topics from now on."""
        inbox = Inbox(subscriptions, wake or asyncio.Event())
        for subscription in subscriptions:
            self._inboxes.setdefault(subscription.topic_filter, []).append(inbox)
        return inbox

    def connect(self) -> None:
        """Tell every link that it is up."""
        for on_link in self._links:
            on_link(True)

    def publish(self, topic: str, payload: bytes) -> None:
        """Deliver a message."""
        self.n_messages += 1
        for inbox in self._inboxes.get(topic, ()):
            inbox.put(topic, payload, retained=False)


class ExchangeSession:
    """One link's connection to the exchange."""

    def __init__(self, exchange: Exchange, inbox: Inbox) -> None:
        self._exchange = exchange
        self._inbox = inbox

    def drain(self, limit: int = 256) -> list[Inbound]:
        """Return and forget up to ``limit`` received messages."""
        return self._inbox.drain(limit)

    def metrics(self) -> dict[str, int]:
        """Return what the inbox counted."""
        return {"received": self._inbox.n_received, "dropped": self._inbox.n_dropped}

    async def run(self, admit: Callable[[], Awaitable[None]] | None = None) -> None:
        """Have nothing to keep up."""

    async def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: int = 0,
        retain: bool = False,
        expiry_s: float | None = None,
        reply_topic: str | None = None,
        correlation: bytes | None = None,
    ) -> None:
        """Deliver a message; lifetime and correlation are in the payload and are what counts."""
        self._exchange.publish(topic, payload)

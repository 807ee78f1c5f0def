"""One MQTT connection that keeps itself up: settings, session, back-off.

The session tries MQTT 5 first and speaks 3.1.1 where the broker has nothing else. Reconnects use
full jitter: a random wait up to a limit that doubles with every failure up to a cap, and that only
falls back after the link stayed up for a while, so a broker that accepts and then kicks is not
stormed. Nothing published survives a lost connection: a stale command is never replayed.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Literal
from typing import Protocol as Interface

import aiomqtt
import msgspec
from aiomqtt.exceptions import MqttConnectError
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from actors.links.inbox import Inbound, Inbox, Subscription
from actors.links.prompt import PromptClient
from controllers.kernel.errors import DeviceUnreachableError
from controllers.kernel.wire import Wire

logger = logging.getLogger(__name__)

# The client would log every attempt; the session says once that a link went or came.
_client_logger = logging.getLogger(f"{__name__}.client")
_client_logger.setLevel(logging.CRITICAL)

PUBLISH_DEADLINE_S = 2.0
STABLE_AFTER_S = 5.0
"""A connection that lasted this long clears the count of failures."""

_BACKOFF_BASE_S = 0.2
_CONNECT_DEADLINE_S = 5.0
_MAX_IN_FLIGHT = 500
_UNSUPPORTED_PROTOCOL = (1, 132)  # CONNACK codes of 3.1.1 and 5
_SUBSCRIPTION_REFUSED = 128

# Processes started by one command must not wait in step; nothing decided depends on these draws.
_entropy = random.SystemRandom()

Protocol = Literal["3.1.1", "5"]


class MqttSettings(Wire):
    """Where the broker is and how to speak to it. TLS is on when a CA file is given."""

    host: str = "127.0.0.1"
    port: Annotated[int, msgspec.Meta(ge=1, le=65_535)] = 1883
    username: str | None = None
    password: str | None = None
    tls_ca_file: str | None = None
    tls_cert_file: str | None = None
    tls_key_file: str | None = None
    protocol: Protocol | None = None
    """None tries 5 and falls back to 3.1.1."""
    keepalive_s: Annotated[int, msgspec.Meta(ge=2, le=3600)] = 15
    reconnect_cap_s: Annotated[float, msgspec.Meta(gt=0.0, le=600.0)] = 10.0
    """Longest wait between two attempts to connect."""

    def __repr__(self) -> str:
        """Render without the password."""
        user = f"{self.username}@" if self.username else ""
        tls = ", tls" if self.tls_ca_file else ""
        return f"MqttSettings({user}{self.host}:{self.port}{tls})"


class Session(Interface):
    """What a link needs of its connection; a day in simulated time has one without a broker."""

    def drain(self, limit: int = 256) -> list[Inbound]:
        """Return and forget up to ``limit`` received messages."""
        ...

    def metrics(self) -> dict[str, int]:
        """Return counters since the start of the process."""
        ...

    async def run(self, admit: Callable[[], Awaitable[None]] | None = None) -> None:
        """Keep the link up until cancelled."""
        ...

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
        """Hand a message to the broker; raises DeviceUnreachableError when it is not taken."""
        ...


class OpenSession(Interface):
    """Makes the session of a link; ``MqttSession`` is the usual one."""

    def __call__(
        self,
        settings: MqttSettings,
        client_id: str,
        *,
        subscriptions: Sequence[Subscription],
        wake: asyncio.Event | None = None,
        on_link: Callable[[bool], None],
        peer: str,
    ) -> Session:
        """Return a session that is not connected yet."""
        ...


class FullJitter:
    """Waits between attempts: uniform in ``[0, min(cap, base * 2**failures))``."""

    def __init__(self, cap_s: float, draw: Callable[[], float]) -> None:
        self._cap_s = cap_s
        self._draw = draw
        self._failures = 0

    def next_s(self) -> float:
        """Return how long to wait now, and count one more failure."""
        # The exponent is bounded so that a long outage cannot overflow a float.
        limit_s = min(self._cap_s, _BACKOFF_BASE_S * 2.0 ** min(self._failures, 32))
        self._failures += 1
        return self._draw() * limit_s

    def reset(self) -> None:
        """Start over; the link has proved stable."""
        self._failures = 0


class MqttSession:
    """One connection under one client id; a second session of that id drops this one.

    Args:
        settings: the broker.
        client_id: stable per writer, so that a successor drops its predecessor at the broker.
        subscriptions: at least one, renewed on every connection; sessions are clean. The broker's
            answer to them is what tells a standing link from one that was kicked at once.
        wake: set whenever ``drain`` has something.
        on_link: called with True after the subscriptions stand, False when the link is lost.
        will: published by the broker when this session dies without saying goodbye.
        peer: whom publishing cannot reach when the link is down; named in errors.
    """

    def __init__(
        self,
        settings: MqttSettings,
        client_id: str,
        *,
        subscriptions: Sequence[Subscription],
        wake: asyncio.Event | None = None,
        on_link: Callable[[bool], None] = lambda up: None,
        will: aiomqtt.Will | None = None,
        peer: str = "broker",
    ) -> None:
        self._settings = settings
        self._client_id = client_id
        self._subscriptions = tuple(subscriptions)
        self._inbox = Inbox(subscriptions, wake or asyncio.Event())
        self._on_link = on_link
        self._will = will
        self._peer = peer
        self._protocol: Protocol = settings.protocol or "5"
        self._backoff = FullJitter(settings.reconnect_cap_s, _entropy.random)
        self._client: PromptClient | None = None
        self._reported_down = False
        self._n_in_flight = 0
        self._n_connects = 0
        self._n_publish_failed = 0

    @property
    def connected(self) -> bool:
        """Whether the link is up and subscribed."""
        return self._client is not None

    @property
    def protocol(self) -> str:
        """Protocol of the present or next connection, ``5`` or ``3.1.1``."""
        return self._protocol

    def drain(self, limit: int = 256) -> list[Inbound]:
        """Return and forget up to ``limit`` received messages."""
        return self._inbox.drain(limit)

    @property
    def backlog(self) -> int:
        """Messages received and not yet drained."""
        return len(self._inbox)

    def metrics(self) -> dict[str, int]:
        """Return counters since the start of the process."""
        return {
            "mqtt_up": int(self.connected),
            "mqtt_connects": self._n_connects,
            "mqtt_publish_failed": self._n_publish_failed,
            "mqtt_in_flight": self._n_in_flight,
            "mqtt_received": self._inbox.n_received,
            "mqtt_coalesced": self._inbox.n_coalesced,
            "mqtt_dropped": self._inbox.n_dropped,
            "mqtt_oversize": self._inbox.n_oversize,
            "mqtt_overflowed": self._inbox.n_overflowed,
        }

    async def run(self, admit: Callable[[], Awaitable[None]] | None = None) -> None:
        """Keep the link up until cancelled.

        Args:
            admit: awaited before every attempt to connect; what it raises ends the run.
        """
        loop = asyncio.get_running_loop()
        while True:
            if admit is not None:
                await admit()
            began_s, n_connects = loop.time(), self._n_connects
            try:
                await self._hold_connection()
            except (aiomqtt.MqttError, OSError) as error:
                in_vain = self._n_connects == n_connects
                late = loop.time() - began_s >= _CONNECT_DEADLINE_S
                # Some brokers refuse a protocol they do not know, others fall silent on it.
                if _refuses_protocol(error) or (in_vain and late):
                    self._change_protocol()
                self._report_down(error)
            await asyncio.sleep(self._backoff.next_s())

    async def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: int = 0,
        retain: bool = False,
        deadline_s: float = PUBLISH_DEADLINE_S,
        expiry_s: float | None = None,
        reply_topic: str | None = None,
        correlation: bytes | None = None,
    ) -> None:
        """Hand a message to the broker; for QoS 1 return when the broker has it.

        Messages leave in the order of the calls. The last three arguments become MQTT 5 properties
        and are left out under 3.1.1. A ``reply_topic`` says that an answer is expected: it is read
        together with what else arrives meanwhile.

        Raises:
            DeviceUnreachableError: the link is down, choked, or the broker did not answer in time.
        """
        client = self._client
        if client is None or self._n_in_flight >= _MAX_IN_FLIGHT:
            self._n_publish_failed += 1
            raise DeviceUnreachableError(self._peer)
        self._n_in_flight += 1
        if reply_topic is not None:
            client.pause_reading()
        try:
            await client.publish(
                topic,
                payload,
                qos=qos,
                retain=retain,
                properties=self._properties(expiry_s, reply_topic, correlation),
                timeout=deadline_s,
            )
        except (aiomqtt.MqttError, OSError) as error:
            self._n_publish_failed += 1
            raise DeviceUnreachableError(self._peer) from error
        finally:
            self._n_in_flight -= 1

    async def _hold_connection(self) -> None:
        client = self._new_client()
        async with client:
            await self._subscribe(client)
            self._client = client
            self._n_connects += 1
            if self._reported_down:
                logger.info("%s: link to %r is back", self._client_id, self._settings)
                self._reported_down = False
            self._on_link(True)
            loop = asyncio.get_running_loop()
            up_at_s = loop.time()
            try:
                # Messages go straight to the inbox; the iterator only ends, with an error, when
                # the connection does.
                async for _ in client.messages:
                    pass
            finally:
                self._client = None
                self._on_link(False)
                if loop.time() - up_at_s >= STABLE_AFTER_S:
                    self._backoff.reset()

    def _new_client(self) -> PromptClient:
        settings = self._settings
        inbox = self._inbox

        class Doorman(asyncio.Queue[aiomqtt.Message]):
            """Passes messages on to the inbox as they arrive, one task switch cheaper."""

            def put_nowait(self, item: aiomqtt.Message) -> None:
                inbox.put(item.topic.value, _as_bytes(item.payload), retained=item.retain)

        tls = None
        if settings.tls_ca_file is not None:
            tls = aiomqtt.TLSParameters(
                ca_certs=settings.tls_ca_file,
                certfile=settings.tls_cert_file,
                keyfile=settings.tls_key_file,
            )
        v5 = self._protocol == "5"
        client = PromptClient(
            settings.host,
            settings.port,
            username=settings.username,
            password=settings.password,
            identifier=self._client_id,
            logger=_client_logger,
            queue_type=Doorman,
            protocol=aiomqtt.ProtocolVersion.V5 if v5 else aiomqtt.ProtocolVersion.V311,
            clean_session=None if v5 else True,
            will=self._will,
            timeout=_CONNECT_DEADLINE_S,
            keepalive=settings.keepalive_s,
            max_queued_outgoing_messages=_MAX_IN_FLIGHT,
            tls_params=tls,
        )
        client.pending_calls_threshold = _MAX_IN_FLIGHT
        return client

    async def _subscribe(self, client: aiomqtt.Client) -> None:
        if self._protocol == "5":
            codes = await client.subscribe(
                [(s.topic_filter, SubscribeOptions(qos=s.qos)) for s in self._subscriptions]
            )
        else:
            codes = await client.subscribe([(s.topic_filter, s.qos) for s in self._subscriptions])
        granted = [code if isinstance(code, int) else code.value for code in codes]
        refused = [
            subscription.topic_filter
            for subscription, code in zip(self._subscriptions, granted, strict=True)
            if code >= _SUBSCRIPTION_REFUSED
        ]
        if refused:
            raise aiomqtt.MqttError(f"the broker refused to subscribe {', '.join(refused)}")

    def _change_protocol(self) -> None:
        if self._settings.protocol is None:
            self._protocol = "3.1.1" if self._protocol == "5" else "5"

    def _report_down(self, error: Exception) -> None:
        if not self._reported_down:
            logger.warning("%s: link to %r is down: %s", self._client_id, self._settings, error)
            self._reported_down = True

    def _properties(
        self, expiry_s: float | None, reply_topic: str | None, correlation: bytes | None
    ) -> Properties | None:
        if self._protocol != "5" or (expiry_s, reply_topic, correlation) == (None, None, None):
            return None
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        if expiry_s is not None:
            properties.MessageExpiryInterval = max(1, math.ceil(expiry_s))
        if reply_topic is not None:
            properties.ResponseTopic = reply_topic
        if correlation is not None:
            properties.CorrelationData = correlation
        return properties


def _refuses_protocol(error: Exception) -> bool:
    if not isinstance(error, MqttConnectError):
        return False
    return getattr(error.rc, "value", error.rc) in _UNSUPPORTED_PROTOCOL


def _as_bytes(payload: object) -> bytes:
    # The client's type allows every payload that can be published; received ones are bytes.
    return bytes(payload) if isinstance(payload, bytes | bytearray) else b""

"""A plain MQTT 3.1.1 client for tests: what it received, and how the broker answered."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Self

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from cluster.broker import RunningBroker
from cluster.broker_access import Credentials
from tests.support.waiting import wait_until

_LIMIT_S = 10.0


class Probe:
    """One connection with a thread of its own; use it as a context manager."""

    def __init__(
        self,
        broker: RunningBroker,
        credentials: Credentials | None,
        *,
        client_id: str = "",
        will: tuple[str, bytes] | None = None,
        ca_file: Path | None = None,
        limit_s: float = _LIMIT_S,
    ) -> None:
        self.received: list[tuple[str, bytes]] = []
        self.retained: list[tuple[str, bytes]] = []
        self.connected: bool | None = None
        self.lost = False
        self._broker = broker
        self._limit_s = limit_s
        self._granted: dict[int, list[ReasonCode]] = {}
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=paho.MQTTv311,
            reconnect_on_failure=False,
        )
        if credentials is not None:
            self._client.username_pw_set(credentials.username, credentials.password)
        if ca_file is not None:
            self._client.tls_set(ca_certs=str(ca_file))
        if will is not None:
            self._client.will_set(will[0], will[1], qos=1, retain=True)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message

    def __enter__(self) -> Self:
        host = self._broker.host.replace("0.0.0.0", "127.0.0.1")  # noqa: S104
        self._client.connect(host, self._broker.port, keepalive=5)
        self._client.loop_start()
        try:
            wait_until(lambda: self.connected is not None, within_s=self._limit_s)
        except TimeoutError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def subscribe(self, topic_filter: str, *, qos: int = 1) -> None:
        """Subscribe, and return when the broker has answered."""
        _, packet_id = self._client.subscribe(topic_filter, qos=qos)
        wait_until(lambda: packet_id in self._granted, within_s=_LIMIT_S)

    def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> None:
        """Publish; with QoS 1, return when the broker has it."""
        self._client.publish(topic, payload, qos=qos, retain=retain).wait_for_publish(_LIMIT_S)

    def cut(self) -> None:
        """Lose the connection without a word."""
        sock = self._client.socket()
        assert isinstance(sock, socket.socket)
        sock.shutdown(socket.SHUT_RDWR)

    def wait_for(self, topic: str, payload: bytes) -> None:
        """Return when that message has arrived."""
        wait_until(lambda: (topic, payload) in self.received, within_s=_LIMIT_S)

    def _on_connect(
        self,
        _client: paho.Client,
        _data: object,
        _flags: paho.ConnectFlags,
        code: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        self.connected = not code.is_failure

    def _on_disconnect(
        self,
        _client: paho.Client,
        _data: object,
        _flags: paho.DisconnectFlags,
        _code: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        self.lost = True

    def _on_subscribe(
        self,
        _client: paho.Client,
        _data: object,
        packet_id: int,
        codes: list[ReasonCode],
        _properties: Properties | None,
    ) -> None:
        self._granted[packet_id] = codes

    def _on_message(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        self.received.append((message.topic, message.payload))
        if message.retain:
            self.retained.append((message.topic, message.payload))

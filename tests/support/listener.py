"""Listens to a park's broker with its inner account, as a witness from outside: what went by, when.

Unlike the probe it comes back after the broker was away, since that is what it is there to see.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple, Self

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from tests.support.park import Park
from tests.support.waiting import wait_until

Json = dict[str, Any]


class Heard(NamedTuple):
    """One message."""

    at_s: float
    """On the monotonic clock."""
    topic: str
    body: Json
    retained: bool


class Listener:
    """One connection with a thread of its own; use it as a context manager.

    Args:
        park: whose broker.
        filters: topic filters to subscribe to.
    """

    def __init__(self, park: Park, *filters: str) -> None:
        self._filters = filters
        self._heard: list[Heard] = []
        self._lock = threading.Lock()
        self._subscribed = threading.Event()
        account, place = park.accounts["inner"], park.running
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv311)
        self._client.username_pw_set(account["username"], account["password"])
        self._client.reconnect_delay_set(min_delay=1, max_delay=1)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._on_message
        self._address = (place["broker_host"], place["broker_port"])

    def __enter__(self) -> Self:
        self._client.connect(*self._address, keepalive=5)
        self._client.loop_start()
        self._subscribed.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def heard(self, ending: str = "", *, after_s: float = 0.0) -> list[Heard]:
        """Return the messages so far whose topic ends so, oldest first, retained ones left out."""
        with self._lock:
            return [
                m
                for m in self._heard
                if m.topic.endswith(ending) and m.at_s >= after_s and not m.retained
            ]

    def wait_for(
        self, fits: Callable[[Json], bool], ending: str = "", *, after_s: float, within_s: float
    ) -> Heard:
        """Return the first message after an instant that fits, when it has come."""

        def first() -> Heard | None:
            found = self.heard(ending, after_s=after_s)
            return next((m for m in found if fits(m.body)), None)

        found = wait_until(first, within_s=within_s)
        if found is None:
            raise AssertionError  # wait_until returns truthy values only
        return found

    def publish(self, topic: str, payload: bytes) -> None:
        """Publish with the inner account, as nobody but the park should be able to."""
        self._client.publish(topic, payload, qos=1).wait_for_publish(10)

    def _on_connect(self, client: paho.Client, *_: object) -> None:
        client.subscribe([(one, 1) for one in self._filters])

    def _on_message(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        if message.payload:
            heard = Heard(
                time.monotonic(), message.topic, json.loads(message.payload), message.retain
            )
            with self._lock:
                self._heard.append(heard)

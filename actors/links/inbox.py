"""Bounded waiting room for MQTT messages; each subscription states what happens when it is full.

* ``LATEST``: one message per topic waits; a newer one replaces it. For retained states.
* ``DROP_OLDEST``: a fixed number waits; the oldest goes, counted. For telemetry.
* ``KEEP``: in order; when the room is full the new message is refused, counted and reported by
  ``overflowed``. For acknowledgements, commands and proposals.

Kept messages leave first, then latest ones, then telemetry, so a flood of samples delays no answer.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from paho.mqtt.client import topic_matches_sub

from controllers.kernel.errors import DomainError
from controllers.kernel.wire import T, decode

KEEP_MAX_MESSAGES = 2_000
SAMPLES_MAX_MESSAGES = 256
SAMPLES_MAX_BYTES = 33_554_432


class Policy(StrEnum):
    """What happens to a message that finds the room full; see the module."""

    LATEST = "latest"
    DROP_OLDEST = "drop_oldest"
    KEEP = "keep"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """A topic filter with its quality of service and waiting policy."""

    topic_filter: str
    policy: Policy
    qos: int = 0
    max_bytes: int = 65_536
    """A longer payload is not stored; its message arrives without it."""


class Inbound(NamedTuple):
    """One received message."""

    topic: str
    payload: bytes
    """Empty when the message was oversize."""
    n_bytes: int
    """Length on the wire."""
    retained: bool
    max_bytes: int

    def decode(self, type_: type[T]) -> T:
        """Return the message in the payload.

        Raises:
            DomainError: oversize, not JSON, or not of that type.
        """
        if self.n_bytes > self.max_bytes:
            rule = f"must be at most {self.max_bytes} bytes"
            raise DomainError("payload", f"{self.n_bytes} bytes", rule)
        return decode(self.payload, type_, max_bytes=self.max_bytes)


class Inbox:
    """The waiting room; ``wake`` is set whenever something waits."""

    def __init__(self, subscriptions: Sequence[Subscription], wake: asyncio.Event) -> None:
        self._subscriptions = tuple(subscriptions)
        self._route: dict[str, Subscription | None] = {}
        self._wake = wake
        self._kept: deque[Inbound] = deque()
        self._latest: dict[str, Inbound] = {}
        self._samples: deque[Inbound] = deque()
        self._samples_bytes = 0
        self.n_received = 0
        self.n_coalesced = 0
        self.n_dropped = 0
        self.n_oversize = 0
        self.n_overflowed = 0

    def put(self, topic: str, payload: bytes, *, retained: bool) -> None:
        """Take in one message; never blocks, never raises."""
        subscription = self._subscription(topic)
        if subscription is None:
            return
        self.n_received += 1
        n_bytes = len(payload)
        if n_bytes > subscription.max_bytes:
            self.n_oversize += 1
            payload = b""
        message = Inbound(topic, payload, n_bytes, retained, subscription.max_bytes)
        if subscription.policy is Policy.KEEP:
            self._keep(message)
        elif subscription.policy is Policy.LATEST:
            self.n_coalesced += topic in self._latest
            self._latest[topic] = message
        else:
            self._sample(message)
        self._wake.set()

    def drain(self, limit: int) -> list[Inbound]:
        """Return and forget up to ``limit`` waiting messages."""
        taken = [self._kept.popleft() for _ in range(min(limit, len(self._kept)))]
        topics = list(itertools.islice(self._latest, limit - len(taken)))
        taken += [self._latest.pop(topic) for topic in topics]
        for _ in range(min(limit - len(taken), len(self._samples))):
            message = self._samples.popleft()
            self._samples_bytes -= len(message.payload)
            taken.append(message)
        return taken

    def __len__(self) -> int:
        return len(self._kept) + len(self._latest) + len(self._samples)

    def _subscription(self, topic: str) -> Subscription | None:
        try:
            return self._route[topic]
        except KeyError:
            found = next(
                (s for s in self._subscriptions if topic_matches_sub(s.topic_filter, topic)), None
            )
            self._route[topic] = found
            return found

    def _keep(self, message: Inbound) -> None:
        if len(self._kept) >= KEEP_MAX_MESSAGES:
            self.n_overflowed += 1
        else:
            self._kept.append(message)

    def _sample(self, message: Inbound) -> None:
        self._samples.append(message)
        self._samples_bytes += len(message.payload)
        while len(self._samples) > SAMPLES_MAX_MESSAGES or self._samples_bytes > SAMPLES_MAX_BYTES:
            self._samples_bytes -= len(self._samples.popleft().payload)
            self.n_dropped += 1

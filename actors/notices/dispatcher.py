"""Delivers notices, each channel in order and by itself, so that a slow one delays nobody else.

A notice is tried until it is taken, refused for good, or ``Patience`` is over; waits between tries
have full jitter. At most ``MAX_WAITING`` wait per channel; what comes on top is dropped, and told.
Every notice that was taken in ends with exactly one ``Delivery``.

A server outside that fails some times in a row is left alone by a circuit breaker per channel: it
is asked once per ``Patience.rest_s``, however many notices wait. They wait, they are not refused,
so that a server that comes back gets them. A test by a person is always tried.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt
from tenacity.wait import wait_random_exponential

from actors.notices import mail, webhook
from actors.notices.guard import AddressGuard
from actors.tasks import end
from controllers.alarms.channels import (
    Attempt,
    Delivery,
    DeliveryOutcome,
    MailEndpoint,
    MqttEndpoint,
    WebhookEndpoint,
    mail_of,
    notice_body,
    notice_topic,
)
from controllers.alarms.notices import Notice
from controllers.kernel.breaker import Breaker
from controllers.kernel.errors import NotFoundError, ParkgridError, TemporaryError
from controllers.kernel.timebase import Clock
from controllers.ports.alarms import OpenChannel
from controllers.ports.health import SMTP, WEBHOOK

logger = logging.getLogger(__name__)

MAX_WAITING = 100

Publish = Callable[[str, bytes], Awaitable[None]]
"""Hands a payload to the park's broker; raises a TemporaryError when it is not taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to go on trying; by default some two minutes."""

    n_attempts: int = 8
    first_wait_s: float = 1.0
    longest_wait_s: float = 60.0
    rest_s: float = 10.0
    """Between two attempts at a server that failed some times in a row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """What it takes to make one attempt.

    Args:
        park_id: told in bodies.
        park_name: told in e-mails.
        guard: where notices may go.
        publish: to the park's broker.
        clock: gives timestamps.
    """

    park_id: str
    park_name: str
    guard: AddressGuard
    publish: Publish
    clock: Clock

    async def attempt(self, channel: OpenChannel, notice: Notice) -> str:
        """Try once; return what to note of it, or raise an error of the family."""
        endpoint = channel.channel.endpoint
        match endpoint:
            case WebhookEndpoint():
                return await webhook.post(
                    endpoint,
                    channel.secret,
                    notice.id,
                    notice_body(notice, self.park_id),
                    guard=self.guard,
                    clock=self.clock,
                )
            case MailEndpoint():
                subject, text = mail_of(notice, self.park_name)
                return await mail.send(
                    endpoint, channel.secret, subject, text, guard=self.guard, clock=self.clock
                )
            case _:
                topic = notice_topic(channel.channel.id)
                await self.publish(topic, notice_body(notice, self.park_id))
                return "published"


class Dispatcher:
    """All channels of one park.

    Args:
        sender: makes attempts.
        settled: is told of every delivery that has ended.
        patience: how long to go on trying.
    """

    def __init__(
        self,
        sender: Sender,
        settled: Callable[[Delivery], None],
        patience: Patience | None = None,
    ) -> None:
        self._sender = sender
        self._settled = settled
        self._patience = patience or Patience()
        self._channels: dict[str, OpenChannel] = {}
        self._queues: dict[str, asyncio.Queue[Notice]] = {}
        self._workers: dict[str, asyncio.Task[None]] = {}
        self._breakers: dict[str, Breaker] = {}
        self._taken: set[str] = set()
        self.n_by_outcome = dict.fromkeys(DeliveryOutcome, 0)

    @property
    def n_waiting(self) -> int:
        """Notices taken in whose delivery has not ended."""
        return len(self._taken)

    def use(self, channels: Iterable[OpenChannel]) -> None:
        """Deliver over these channels from now on."""
        before = self._channels
        self._channels = {channel.channel.id: channel for channel in channels}
        for id_, channel in before.items():
            # Another server, or another account on it, has not failed yet.
            if self._channels.get(id_) != channel:
                self._breakers.pop(id_, None)

    def n_breakers_open(self) -> dict[str, int]:
        """Return by kind of server how many channels rest for having failed."""
        counts = {WEBHOOK: 0, SMTP: 0}
        for id_, breaker in self._breakers.items():
            endpoint = self._channels[id_].channel.endpoint
            counts[WEBHOOK if isinstance(endpoint, WebhookEndpoint) else SMTP] += breaker.is_open
        return counts

    def take(self, notices: Iterable[Notice]) -> None:
        """Take in notices; one that is being delivered already is passed over."""
        for notice in notices:
            if notice.id not in self._taken:
                self._taken.add(notice.id)
                self._enqueue(notice)

    async def test(self, channel_id: str, notice: Notice) -> Delivery:
        """Try a channel once, now.

        Raises:
            NotFoundError: it is not usable.
        """
        channel = self._channels.get(channel_id)
        if channel is None:
            raise NotFoundError("usable alarm channel", channel_id)
        attempts: list[Attempt] = []
        once = Patience(n_attempts=1)
        outcome = await self._deliver(channel, notice, attempts, once, rests=False)
        return self._delivery(notice, outcome, attempts)

    async def stop(self) -> None:
        """End all deliveries; what was not delivered stays pending with who handed it out."""
        await end(*self._workers.values())
        self._workers.clear()
        self._queues.clear()
        self._taken.clear()

    def _enqueue(self, notice: Notice) -> None:
        id_ = notice.channel_id
        queue = self._queues.setdefault(id_, asyncio.Queue(MAX_WAITING))
        try:
            queue.put_nowait(notice)
        except asyncio.QueueFull:
            self._finish(notice, DeliveryOutcome.DROPPED, [])
            return
        worker = self._workers.get(id_)
        if worker is None or worker.done():
            self._workers[id_] = asyncio.get_running_loop().create_task(self._work(id_, queue))

    async def _work(self, channel_id: str, queue: asyncio.Queue[Notice]) -> None:
        # Ends when the channel has nothing to say, so that deleted channels leave nothing behind.
        while not queue.empty():
            notice = queue.get_nowait()
            channel = self._channels.get(channel_id)
            attempts: list[Attempt] = []
            outcome = DeliveryOutcome.DROPPED
            if channel is not None:
                outcome = await self._deliver(channel, notice, attempts, self._patience)
            self._finish(notice, outcome, attempts)

    async def _deliver(
        self,
        channel: OpenChannel,
        notice: Notice,
        attempts: list[Attempt],
        patience: Patience,
        *,
        rests: bool = True,
    ) -> DeliveryOutcome:
        breaker = self._breaker_of(channel)
        tries = AsyncRetrying(
            stop=stop_after_attempt(patience.n_attempts),
            wait=wait_random_exponential(patience.first_wait_s, patience.longest_wait_s),
            retry=retry_if_exception_type(TemporaryError),
            reraise=True,
        )

        async def attempt() -> None:
            if rests and breaker is not None:
                # Of each channel there is one worker, so whoever wakes here is the one trial.
                await asyncio.sleep(breaker.rest_left_s(asyncio.get_running_loop().time()))
            await self._attempt(channel, notice, attempts, breaker)

        try:
            await tries(attempt)
        except ParkgridError:
            return DeliveryOutcome.FAILED
        except Exception:
            logger.exception("channel %s: an attempt failed unexpectedly", channel.channel.id)
            return DeliveryOutcome.FAILED
        return DeliveryOutcome.DELIVERED

    def _breaker_of(self, channel: OpenChannel) -> Breaker | None:
        if isinstance(channel.channel.endpoint, MqttEndpoint):
            # The park's own broker has a link that knows when it is down.
            return None
        breaker = Breaker(rest_s=self._patience.rest_s)
        return self._breakers.setdefault(channel.channel.id, breaker)

    async def _attempt(
        self,
        channel: OpenChannel,
        notice: Notice,
        attempts: list[Attempt],
        breaker: Breaker | None,
    ) -> None:
        try:
            detail = await self._sender.attempt(channel, notice)
        except Exception as error:
            if breaker is not None:
                _count(breaker, error)
            what = str(error) if isinstance(error, ParkgridError) else type(error).__name__
            attempts.append(self._noted(what, ok=False))
            raise
        if breaker is not None:
            breaker.succeeded()
        attempts.append(self._noted(detail, ok=True))

    def _noted(self, detail: str, *, ok: bool) -> Attempt:
        return Attempt(at=self._sender.clock.now(), ok=ok, detail=detail[:200])

    def _finish(self, notice: Notice, outcome: DeliveryOutcome, attempts: list[Attempt]) -> None:
        self._taken.discard(notice.id)
        self.n_by_outcome[outcome] += 1
        self._settled(self._delivery(notice, outcome, attempts))

    def _delivery(
        self, notice: Notice, outcome: DeliveryOutcome, attempts: list[Attempt]
    ) -> Delivery:
        return Delivery(
            notice_id=notice.id,
            channel_id=notice.channel_id,
            outcome=outcome,
            finished_at=self._sender.clock.now(),
            attempts=attempts,
        )


def _count(breaker: Breaker, error: Exception) -> None:
    if isinstance(error, ParkgridError) and not isinstance(error, TemporaryError):
        # A refusal is an answer.
        breaker.succeeded()
    else:
        breaker.failed(asyncio.get_running_loop().time())

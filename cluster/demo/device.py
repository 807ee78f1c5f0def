"""One simulated device on MQTT: presence, telemetry, commands, management and reconnects.

Physics goes on while the broker is away; samples of that time are lost, not kept back, so that a
reconnect never floods the broker with the past.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import aiomqtt
import numpy as np

from cluster.demo.body import Body
from cluster.demo.dynamics import DeviceState, Surroundings, number
from cluster.demo.management import FIRMWARE, Management
from cluster.demo.weather import WeatherYear
from controllers.control.contract import DeviceMode, Status, topic
from controllers.devices.messages import ManageKind
from controllers.kernel.errors import DomainError
from controllers.kernel.timebase import Clock
from controllers.kernel.wire import Wire, encode

logger = logging.getLogger(__name__)

_PHYSICS_PERIOD_S = 0.2
_BACKOFF_BASE_S = 0.2
_BACKOFF_CAP_S = 10.0
_STABLE_AFTER_S = 5.0
_GOODBYE_LIMIT_S = 2.0
_LISTENS_TO = ("command", "config", "manage")


class Faults(Wire):
    """What is wrong with a device at present; all defaults mean healthy."""

    frozen: bool = False
    """Repeats the last values under fresh time stamps."""
    silent: bool = False
    """Sends no telemetry."""
    deaf: bool = False
    """Ignores commands."""
    refuses: str | None = None
    """Answers every command with ``rejected`` and this reason."""
    delay_s: float = 0.0
    """Takes this long to take in a command."""
    clock_offset_s: float = 0.0
    """Its clock is ahead by this much."""


HEALTHY = Faults()


@dataclass(frozen=True, slots=True, kw_only=True)
class Broker:
    """Where a device connects."""

    host: str
    port: int
    tls_ca_file: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who a device is."""

    site: str
    device_id: str
    username: str
    password: str


class SimulatedDevice:
    """Runs one body against one broker.

    Args:
        identity: name and account.
        broker: where to connect.
        body: commands and physics.
        clock: true time; the device's own may be off.
        zone: the park's time zone.
        weather: what the sky does.
        faults: tells what is wrong at present.
        rng: source of all chance of this device.
        telemetry_period_s: time between samples.
    """

    def __init__(
        self,
        identity: Identity,
        broker: Broker,
        body: Body,
        *,
        clock: Clock,
        zone: ZoneInfo,
        weather: WeatherYear,
        faults: Callable[[], Faults],
        rng: np.random.Generator,
        telemetry_period_s: float,
    ) -> None:
        self._identity = identity
        self._broker = broker
        self._body = body
        self._clock = clock
        self._zone = zone
        self._weather = weather
        self._faults = faults
        self._rng = rng
        self._telemetry_period_s = telemetry_period_s
        self._management = Management()
        self._n_boots = 1
        self._seq = 0
        self._client: aiomqtt.Client | None = None

    async def run(self) -> None:
        """Live until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._live())
            group.create_task(self._report())
            group.create_task(self._keep_link())

    def dump(self) -> DeviceState:
        """Return what must survive a restart."""
        return {"n_boots": self._n_boots, "body": self._body.dump()}

    def restore(self, state: DeviceState) -> None:
        """Take up where ``dump`` left, as a new boot."""
        self._n_boots = int(number(state, "n_boots", 0.0)) + 1
        body = state.get("body")
        if isinstance(body, dict):
            self._body.restore(body)

    def _now(self) -> datetime:
        return self._clock.now() + timedelta(seconds=self._faults().clock_offset_s)

    async def _live(self) -> None:
        before = self._clock.now()
        while True:
            await asyncio.sleep(_PHYSICS_PERIOD_S)
            # A machine that slept must not hand the physics a year in one step.
            true_now = self._clock.now()
            dt_s = min(max((true_now - before).total_seconds(), 1e-3), 3600.0)
            before = true_now
            local_time = true_now.astimezone(self._zone)
            surroundings = Surroundings(local_time=local_time, weather=self._weather.at(local_time))
            self._body.live(dt_s, self._now(), surroundings, self._rng)

    async def _report(self) -> None:
        # Devices started together must not report together for ever.
        await asyncio.sleep(_PHYSICS_PERIOD_S + self._rng.uniform(0.0, self._telemetry_period_s))
        loop = asyncio.get_running_loop()
        due_s = loop.time()
        while True:
            await self._report_once()
            # A late turn is skipped, not made up for.
            due_s = max(due_s + self._telemetry_period_s, loop.time())
            await asyncio.sleep(due_s - loop.time())

    async def _report_once(self) -> None:
        if self._client is None or self._faults().silent:
            return
        self._seq += 1
        if not self._faults().frozen:
            self._body.look()
        for payload in self._body.tell(self._seq, self._now()):
            await self._publish("telemetry", payload)

    async def _publish(
        self, leaf: str, payload: bytes, *, qos: int = 0, retain: bool = False
    ) -> None:
        if self._client is None:
            return
        with contextlib.suppress(aiomqtt.MqttError):
            await self._client.publish(self._topic(leaf), payload, qos=qos, retain=retain)
        _honour_cancellation()

    async def _keep_link(self) -> None:
        loop = asyncio.get_running_loop()
        failures = 0
        while True:
            up_since_s = loop.time()
            try:
                await self._hold_link()
            except (aiomqtt.MqttError, OSError) as error:
                logger.debug("%s: no link: %s", self._identity.device_id, error)
            _honour_cancellation()
            # Full jitter, and only a link that held for a while clears the count: a broker that
            # accepts and then kicks must not be stormed.
            failures = 0 if loop.time() - up_since_s > _STABLE_AFTER_S else failures + 1
            limit_s = min(_BACKOFF_CAP_S, _BACKOFF_BASE_S * 2.0 ** min(failures, 16))
            await asyncio.sleep(self._rng.uniform(0.0, limit_s))

    async def _hold_link(self) -> None:
        async with self._new_client() as client:
            await client.subscribe([(self._topic(leaf), 1) for leaf in _LISTENS_TO])
            await client.publish(
                self._topic("status"), self._status(DeviceMode.ONLINE), qos=1, retain=True
            )
            _honour_cancellation()
            self._client = client
            try:
                await self._take_commands(client)
            finally:
                self._client = None
                await self._say_goodbye(client)

    async def _say_goodbye(self, client: aiomqtt.Client) -> None:
        """Report offline before a clean disconnect, which makes the broker forget the will."""
        with contextlib.suppress(aiomqtt.MqttError, TimeoutError):
            async with asyncio.timeout(_GOODBYE_LIMIT_S):
                await client.publish(
                    self._topic("status"), self._status(DeviceMode.OFFLINE), qos=1, retain=True
                )

    async def _take_commands(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            leaf = message.topic.value.rpartition("/")[2]
            if leaf == "config":
                await self._take_configuration(message.payload)
            # A retained command is somebody's mistake and of unknown age.
            elif not message.retain:
                take = self._take_command if leaf == "command" else self._take_request
                await take(message.payload)

    async def _take_command(self, payload: bytes) -> None:
        faults = self._faults()
        if faults.deaf:
            return
        await asyncio.sleep(faults.delay_s)
        try:
            if faults.refuses is not None:
                ack = self._body.refuse(payload, self._now(), faults.refuses)
            else:
                ack = self._body.obey(payload, self._now())
        except DomainError as error:
            logger.warning("%s: no command: %s", self._identity.device_id, error)
            return
        await self._publish("ack", encode(ack), qos=1)

    async def _take_configuration(self, payload: bytes) -> None:
        try:
            if self._management.configure(payload):
                await self._say_online()
        except DomainError as error:
            logger.warning("%s: no configuration: %s", self._identity.device_id, error)

    async def _take_request(self, payload: bytes) -> None:
        if self._faults().deaf:
            return
        try:
            kind, result = self._management.take(payload, self._now())
        except DomainError as error:
            logger.warning("%s: no request: %s", self._identity.device_id, error)
            return
        if kind is ManageKind.REBOOT:
            self._n_boots, self._seq = self._n_boots + 1, 0
        if kind in (ManageKind.REBOOT, ManageKind.FULL_REPORT):
            await self._say_online()
        await self._publish("result", encode(result), qos=1)

    async def _say_online(self) -> None:
        await self._publish("status", self._status(DeviceMode.ONLINE), qos=1, retain=True)

    def _new_client(self) -> aiomqtt.Client:
        tls = None
        if self._broker.tls_ca_file is not None:
            tls = aiomqtt.TLSParameters(ca_certs=self._broker.tls_ca_file)
        return aiomqtt.Client(
            self._broker.host,
            self._broker.port,
            username=self._identity.username,
            password=self._identity.password,
            identifier=self._identity.username,
            protocol=aiomqtt.ProtocolVersion.V311,
            clean_session=True,
            keepalive=15,
            timeout=5.0,
            will=aiomqtt.Will(self._topic("status"), self._status(None), qos=1, retain=True),
            tls_params=tls,
        )

    def _status(self, mode: DeviceMode | None) -> bytes:
        """Return presence; None is the last will, written before its time is known."""
        at = self._now() if mode is not None else None
        return encode(
            Status(
                mode=mode or DeviceMode.OFFLINE,
                boot_id=f"boot-{self._n_boots}",
                at=at,
                firmware=FIRMWARE,
                configuration_version=self._management.configuration_version if mode else None,
            )
        )

    def _topic(self, leaf: str) -> str:
        return topic(self._identity.site, self._identity.device_id, leaf)


def _honour_cancellation() -> None:
    """End the task if it was cancelled while the MQTT client waited for an answer.

    ``asyncio.wait_for`` of Python 3.11, which the client uses, loses a cancellation that comes in
    the same turn as the answer.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError

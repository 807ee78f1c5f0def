"""A minimal scripted MQTT device: remembers every command, answers as told, reports when asked.

It knows the contract only by its JSON, so that a mistake in the project's own types shows.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import aiomqtt

from actors.links.mqtt import MqttSettings
from actors.tasks import end

Json = dict[str, Any]


def utc_now() -> datetime:
    """Return the wall clock; a device has its own."""
    return datetime.now(UTC)  # noqa: TID251


class FakeDevice:
    """One device on a broker.

    Args:
        settings: where the broker is.
        site: the park's id.
        device: its own id.
        sign: -1.0 for a device that counts drawn power as positive.
    """

    def __init__(
        self, settings: MqttSettings, site: str, device: str, *, sign: float = 1.0
    ) -> None:
        self._settings = settings
        self._root = f"parkgrid/v1/{site}/{device}"
        self._sign = sign
        self._client: aiomqtt.Client | None = None
        self._n_samples = 0
        self._boot_id = f"boot-{device}"
        self.commands: list[Json] = []
        """Every command received, in order, refused ones too."""
        self.accepted: list[Json] = []
        self.inner: list[tuple[str, Json]] = []
        """State messages seen, with their topic."""
        self.answers = True
        """Whether it acknowledges."""
        self.power_kw = 0.0
        self.last: tuple[int, int] = (-1, -1)

    @contextlib.asynccontextmanager
    async def online(self) -> AsyncIterator[FakeDevice]:
        """Be connected, listening and answering for as long as the block lasts."""
        will = aiomqtt.Will(f"{self._root}/status", self._status("offline"), qos=1, retain=True)
        async with aiomqtt.Client(
            self._settings.host, self._settings.port, will=will, timeout=5
        ) as client:
            self._client = client
            await client.subscribe([(f"{self._root}/command", 1), ("parkgrid/int/v1/#", 0)])
            await self.publish("status", json.loads(self._status("online")), qos=1, retain=True)
            listener = asyncio.create_task(self._listen(client))
            try:
                yield self
            finally:
                await end(listener)
                self._client = None

    async def publish(
        self, leaf: str, body: Json | bytes, *, qos: int = 0, retain: bool = False
    ) -> None:
        """Publish under one of its own topics; bytes go out as they are."""
        payload = body if isinstance(body, bytes) else json.dumps(body).encode()
        await self._connected.publish(f"{self._root}/{leaf}", payload, qos=qos, retain=retain)

    async def publish_raw(self, topic: str, body: Json) -> None:
        """Publish anywhere, e.g. a proposal in an aggregate's name."""
        await self._connected.publish(topic, json.dumps(body).encode(), qos=1)

    async def report(self, **fields: object) -> None:
        """Send one sample; ``fields`` add to or replace the usual ones."""
        self._n_samples += 1
        sample: Json = {
            "schema": 1,
            "seq": self._n_samples,
            "measured_at": utc_now().isoformat(),
            "power_kw": self._sign * self.power_kw,
        }
        if self.accepted:
            sample["setpoint_kw"] = self.accepted[-1]["setpoint_kw"]
            sample["command_id"] = self.accepted[-1]["command_id"]
        await self.publish("telemetry", {**sample, **fields})

    def follow(self, command: Json) -> None:
        """Do at once what an accepted command says."""
        if command["setpoint_kw"] is not None:
            self.power_kw = self._sign * command["setpoint_kw"]

    @property
    def setpoints_kw(self) -> list[float | None]:
        """The distinct accepted set-points in our sign, in order."""
        values: list[float | None] = []
        for command in self.accepted:
            raw = command["setpoint_kw"]
            value = None if raw is None else self._sign * raw
            if not values or values[-1] != value:
                values.append(value)
        return values

    @property
    def _connected(self) -> aiomqtt.Client:
        if self._client is None:
            raise RuntimeError("the device is not online")
        return self._client

    def _status(self, mode: str) -> bytes:
        return json.dumps({"schema": 1, "mode": mode, "boot_id": self._boot_id}).encode()

    async def _listen(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            body = json.loads(bytes(message.payload or b"null"))  # type: ignore[arg-type]
            if message.topic.value == f"{self._root}/command":
                await self._obey(body)
            elif body is not None:
                self.inner.append((message.topic.value, body))

    async def _obey(self, command: Json) -> None:
        self.commands.append(command)
        order = (command["epoch"], command["seq"])
        fresh = order > self.last
        if fresh:
            self.last = order
            self.accepted.append(command)
            self.follow(command)
        if self.answers:
            await self.publish(
                "ack",
                {
                    "schema": 1,
                    "command_id": command["command_id"],
                    "epoch": command["epoch"],
                    "seq": command["seq"],
                    "result": "accepted" if fresh else "rejected",
                    "acked_at": utc_now().isoformat(),
                },
                qos=1,
            )


class FakeGateway(FakeDevice):
    """The gateway of a fleet: reports all devices in chunks and follows commands run by run.

    Args:
        settings: where the broker is.
        site: the park's id.
        device: the fleet's id.
        n_devices: how many devices there are.
    """

    def __init__(self, settings: MqttSettings, site: str, device: str, n_devices: int) -> None:
        super().__init__(settings, site, device)
        self.powers_kw = [0.0] * n_devices

    def follow(self, command: Json) -> None:
        """Set the devices of a run."""
        if command["setpoints_kw"] is not None:
            first = command["first"]
            self.powers_kw[first : first + command["n_devices"]] = command["setpoints_kw"]

    async def report_all(self, chunk: int = 5_000) -> None:
        """Send one sample of every device."""
        measured_at = utc_now().isoformat()
        for first in range(0, len(self.powers_kw), chunk):
            self._n_samples += 1
            powers_kw = self.powers_kw[first : first + chunk]
            body: Json = {
                "seq": self._n_samples,
                "measured_at": measured_at,
                "first": first,
                "power_kw": powers_kw,
                "signals": {"store_frac": [0.5] * len(powers_kw)},
            }
            if self.accepted:
                body["command_id"] = self.accepted[-1]["command_id"]
                body["command_seq"] = self.accepted[-1]["seq"]
            await self.publish("telemetry", body)

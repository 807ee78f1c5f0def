"""Devices of a benchmark: they report at a fixed rate, obey at once and remember when.

Every sample has a power of its own, so that whoever sees the power later knows the sample.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from tests.benchmarks.live_park import SITE, Account, LivePark
from tests.benchmarks.plain_mqtt import PlainMqtt

_MARK_KW = 1e-6
_MARKS = 1_000_000


def now_text() -> str:
    """Return the wall clock; a device has its own."""
    return datetime.now(UTC).isoformat()  # noqa: TID251


class Battery:
    """One battery that moves to its set-point at once."""

    def __init__(self, device_id: str) -> None:
        self.id = device_id
        self.sent_at_s: dict[float, float] = {}
        """Monotonic time at which a power was reported, by power in kW, oldest first."""
        self.commanded: list[tuple[float, float | None]] = []
        """When a command arrived, and its set-point in kW."""
        self._root = f"parkgrid/v1/{SITE}/{device_id}"
        self._client = PlainMqtt(self._take)
        self._seq = 0
        self._command: dict[str, Any] | None = None

    async def connect(self, port: int, account: Account) -> None:
        """Log in, listen and announce itself."""
        await connect(self._client, port, account, f"{account.username}-device")
        await self._client.subscribe(f"{self._root}/command", qos=1)
        self._publish("status", {"mode": "online", "boot_id": "boot"}, retain=True)

    def report(self) -> None:
        """Send one sample."""
        self._seq += 1
        setpoint_kw = self._command["setpoint_kw"] if self._command else None
        power_kw = round((setpoint_kw or 0.0) + self._seq % _MARKS * _MARK_KW, 9)
        sample = {
            "seq": self._seq,
            "measured_at": now_text(),
            "power_kw": power_kw,
            "setpoint_kw": setpoint_kw,
            "command_id": self._command["command_id"] if self._command else None,
            "signals": {"soc_frac": 0.5 + self._seq % 1000 * 1e-6},
        }
        self.sent_at_s[power_kw] = time.monotonic()
        self._publish("telemetry", sample)

    def close(self) -> None:
        """Leave."""
        self._client.close()

    def _take(self, _topic: str, payload: bytes) -> None:
        command = self._command = json.loads(payload)
        self.commanded.append((time.monotonic(), command["setpoint_kw"]))
        answer = {key: command[key] for key in ("command_id", "epoch", "seq")}
        self._publish("ack", {**answer, "result": "accepted", "acked_at": now_text()})

    def _publish(self, leaf: str, body: dict[str, Any], *, retain: bool = False) -> None:
        self._client.publish(f"{self._root}/{leaf}", json.dumps(body).encode(), retain=retain)


async def connect(client: PlainMqtt, port: int, account: Account, client_id: str) -> None:
    """Log a client in at the park's broker."""
    await client.connect(
        "127.0.0.1",
        port,
        client_id=client_id,
        username=account.username,
        password=account.password,
    )


async def connected(park: LivePark, device_ids: Iterable[str]) -> list[Battery]:
    """Return batteries that are logged in."""
    found = [Battery(device_id) for device_id in device_ids]
    for battery in found:
        await battery.connect(park.broker_port, park.device(battery.id))
    return found


async def report_for_ever(batteries: list[Battery], rate_hz: float) -> None:
    """Let every battery report at a rate, evenly spread over the period, until cancelled."""
    step_s = 1.0 / (rate_hz * len(batteries))
    due_s = time.monotonic()
    while True:
        for battery in batteries:
            due_s += step_s
            late_s = time.monotonic() - due_s
            if late_s < 0.0:
                await asyncio.sleep(-late_s)
            battery.report()

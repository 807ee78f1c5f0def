"""The device link on real brokers: decoding with limits, turning the sign, commands out."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from actors.links.device import DeviceLink
from actors.tasks import end
from controllers.control.contract import Command, Fallback, FallbackKind
from controllers.control.events import (
    AckReceived,
    Event,
    InputRefused,
    LinkChanged,
    ProposalReceived,
    SendCommand,
    StatusReceived,
    TelemetryReceived,
)
from controllers.kernel.errors import DeviceUnreachableError
from controllers.kernel.timebase import SystemClock
from controllers.park import ResourceDefinition
from tests.support.broker import Broker
from tests.support.device import FakeDevice, utc_now
from tests.support.waiting import eventually

pytestmark = pytest.mark.broker


async def _admit() -> None:
    """Let every connection pass."""


class _Rig:
    """A link, its device and all events so far."""

    def __init__(self, broker: Broker, **definition: Any) -> None:
        self.definition = ResourceDefinition(id="bess1", name="B", kind="battery", **definition)
        self.link = DeviceLink(
            "p1", self.definition, broker.settings, asyncio.Event(), clock=SystemClock()
        )
        sign = -1.0 if self.definition.consumption_positive else 1.0
        self.device = FakeDevice(broker.settings, "p1", "bess1", sign=sign)
        self.events: list[Event] = []

    @contextlib.asynccontextmanager
    async def up(self) -> AsyncIterator[None]:
        running = asyncio.create_task(self.link.run(_admit))
        try:
            async with self.device.online():
                await self.first(LinkChanged)
                yield
        finally:
            await end(running)

    async def first(self, type_: type[Event]) -> Any:
        """Wait for the first event of a type and take it out."""

        def look() -> Event | None:
            self.events += self.link.drain(100)
            return next((event for event in self.events if isinstance(event, type_)), None)

        event = await eventually(look, within_s=5)
        assert event is not None
        self.events.remove(event)
        return event


def _command(setpoint_kw: float | None, *, seq: int = 1) -> Command:
    now = utc_now()
    return Command(
        command_id="bess1-1-1",
        epoch=1,
        seq=seq,
        issued_at=now,
        valid_from=now,
        expires_at=now + timedelta(seconds=30),
        lifetime_s=30.0,
        setpoint_kw=setpoint_kw,
        fallback=Fallback(kind=FallbackKind.RELEASE),
    )


async def test_what_a_device_says_arrives_as_events(broker: Broker) -> None:
    rig = _Rig(broker)
    async with rig.up():
        assert (await rig.first(StatusReceived)).status.mode == "online"
        rig.device.power_kw = 42.0
        await rig.device.report(signals={"soc_frac": 0.5})
        sample = (await rig.first(TelemetryReceived)).sample
        assert (sample.power_kw, sample.signals) == (42.0, {"soc_frac": 0.5})


async def test_a_command_is_received_obeyed_and_acknowledged(broker: Broker) -> None:
    rig = _Rig(broker)
    async with rig.up():
        await rig.link.perform(SendCommand(command=_command(100.0)))
        ack = (await rig.first(AckReceived)).ack
        assert (ack.command_id, ack.seq, ack.result) == ("bess1-1-1", 1, "accepted")
        assert rig.device.setpoints_kw == [100.0]


async def test_a_proposal_arrives_from_the_inner_topic(broker: Broker) -> None:
    rig = _Rig(broker)
    async with rig.up():
        now = utc_now()
        await rig.device.publish_raw(
            "parkgrid/int/v1/proposal/bess1",
            {
                "member_id": "bess1",
                "source_id": "vpp1",
                "epoch": 1,
                "seq": 1,
                "priority": 5,
                "target_kw": 10.0,
                "valid_from": now.isoformat(),
                "expires_at": (now + timedelta(seconds=10)).isoformat(),
            },
        )
        assert (await rig.first(ProposalReceived)).proposal.target_kw == 10.0


async def test_a_device_that_counts_drawn_power_as_positive_is_turned_round(
    broker: Broker,
) -> None:
    rig = _Rig(broker, consumption_positive=True)
    async with rig.up():
        await rig.link.perform(SendCommand(command=_command(100.0)))
        await rig.first(AckReceived)
        assert rig.device.commands[-1]["setpoint_kw"] == -100.0
        await rig.device.report(exported_kwh=7.0, imported_kwh=3.0)
        sample = (await rig.first(TelemetryReceived)).sample
        assert (sample.power_kw, sample.setpoint_kw) == (100.0, 100.0)
        assert (sample.exported_kwh, sample.imported_kwh) == (7.0, 3.0)


async def test_a_release_and_a_zero_have_no_sign_to_turn(broker: Broker) -> None:
    rig = _Rig(broker, consumption_positive=True)
    async with rig.up():
        await rig.link.perform(SendCommand(command=_command(None, seq=1)))
        await rig.link.perform(SendCommand(command=_command(0.0, seq=2)))
        await eventually(lambda: len(rig.device.commands) == 2, within_s=5)
        assert [str(c["setpoint_kw"]) for c in rig.device.commands] == ["None", "0.0"]


@pytest.mark.parametrize(
    ("leaf", "payload"),
    [
        pytest.param("telemetry", b"{not json", id="broken_json"),
        pytest.param("telemetry", b"\xff\xfe\x00", id="no_text"),
        pytest.param("telemetry", b"", id="empty"),
        pytest.param("telemetry", b'{"seq": 1, "power_kw": 1.0}', id="missing_field"),
        pytest.param(
            "telemetry",
            b'{"seq": 1, "measured_at": "2025-01-01T00:00:00Z", "power_kw": NaN}',
            id="nan",
        ),
        pytest.param(
            "telemetry",
            b'{"seq": 1, "measured_at": "2025-01-01T00:00:00Z", "power_kw": 1e999}',
            id="infinity",
        ),
        pytest.param(
            "telemetry",
            b'{"seq": 1, "measured_at": "2025-01-01T00:00:00", "power_kw": 1.0}',
            id="naive_instant",
        ),
        pytest.param(
            "telemetry",
            b'{"seq": 1, "measured_at": "2025-01-01T00:00:00Z", "power_kw": 1.0, "hack": 1}',
            id="unknown_field",
        ),
        pytest.param("telemetry", b"[" * 60_000, id="deep_nesting"),
        pytest.param("telemetry", b" " * 70_000, id="oversize"),
        pytest.param("ack", b'{"command_id": 1}', id="bad_ack"),
        pytest.param("status", b'{"mode": "sleepy", "boot_id": "b"}', id="unknown_mode"),
    ],
)
async def test_garbage_is_refused_by_kind_and_the_next_sample_counts(
    mosquitto: Broker, leaf: str, payload: bytes
) -> None:
    rig = _Rig(mosquitto)
    async with rig.up():
        await rig.device.publish(leaf, payload, qos=1)
        refused = await rig.first(InputRefused)
        assert refused.kind == leaf
        assert 0 < len(refused.reason) <= 200
        await rig.device.report()
        await rig.first(TelemetryReceived)


async def test_a_lost_broker_shows_as_events_and_fails_commands(broker: Broker) -> None:
    rig = _Rig(broker)
    running = asyncio.create_task(rig.link.run(_admit))
    assert (await rig.first(LinkChanged)).up is True
    broker.kill()
    assert (await rig.first(LinkChanged)).up is False
    with pytest.raises(DeviceUnreachableError, match="bess1"):
        await rig.link.perform(SendCommand(command=_command(1.0)))
    broker.start()
    assert (await rig.first(LinkChanged)).up is True
    await end(running)

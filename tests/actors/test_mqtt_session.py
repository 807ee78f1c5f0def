"""The MQTT session on real brokers: comes up, comes back, never storms, never replays."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import shutil
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from actors.links import mqtt, prompt
from actors.links.inbox import Policy, Subscription
from actors.links.mqtt import MqttSession, MqttSettings
from actors.tasks import end
from controllers.kernel.errors import DeviceUnreachableError, FencedError
from tests.support.broker import Broker, free_port
from tests.support.waiting import eventually

pytestmark = pytest.mark.broker

_ALL = Subscription(topic_filter="t/#", policy=Policy.KEEP, qos=1)
_OTHER = Subscription(topic_filter="other", policy=Policy.KEEP)


_TLS_FILES = {"cafile": "ca.crt", "certfile": "server.crt", "keyfile": "server.key"}


def speaker(settings: MqttSettings, client_id: str, **options: Any) -> MqttSession:
    return MqttSession(settings, client_id, subscriptions=[_OTHER], **options)


@contextlib.asynccontextmanager
async def running(session: MqttSession) -> AsyncIterator[MqttSession]:
    task = asyncio.create_task(session.run())
    try:
        yield session
    finally:
        await end(task)


@contextlib.asynccontextmanager
async def linked(
    broker: Broker, subscription: Subscription = _ALL
) -> AsyncIterator[tuple[MqttSession, MqttSession]]:
    reader = MqttSession(broker.settings, "reader", subscriptions=[subscription])
    async with running(reader), running(speaker(broker.settings, "writer")) as writer:
        await eventually(lambda: reader.connected and writer.connected, within_s=5)
        yield reader, writer


async def test_what_one_session_publishes_another_receives(broker: Broker) -> None:
    async with linked(broker) as (reader, writer):
        await writer.publish("t/a", b"1", qos=1)
        await writer.publish("t/b", b"2")
        await eventually(lambda: reader.backlog == 2, within_s=5)
        assert {(m.topic, m.payload) for m in reader.drain()} == {("t/a", b"1"), ("t/b", b"2")}


async def test_a_burst_leaves_while_it_is_being_prepared(broker: Broker) -> None:
    async with linked(broker) as (reader, writer):
        publishing = writer.publish("t/first", b"1")
        with pytest.raises(StopIteration):
            publishing.send(None)  # it never waits: no turn of the loop between call and wire
        await eventually(lambda: reader.backlog == 1, within_s=5)


async def test_more_than_the_socket_takes_arrives_whole(broker: Broker) -> None:
    async with linked(broker, dataclasses.replace(_ALL, max_bytes=1_000_000)) as (reader, writer):
        payloads = [bytes([i]) * 900_000 for i in range(8)]
        await asyncio.gather(*(writer.publish("t/big", payload) for payload in payloads))
        await eventually(lambda: reader.backlog == len(payloads), within_s=10)
        assert [message.payload for message in reader.drain()] == payloads


async def test_answers_to_a_command_are_taken_together_and_none_is_lost(broker: Broker) -> None:
    async with linked(broker) as (asking, device):
        loop = asyncio.get_running_loop()
        sent_at_s = loop.time()
        sending = asyncio.create_task(
            asking.publish("other", b"command", qos=1, reply_topic="t/answer")
        )
        await asyncio.sleep(0)
        for n in range(5):
            await device.publish(f"t/{n}", b"answer")
        await eventually(lambda: asking.backlog == 5, within_s=5)
        assert loop.time() - sent_at_s >= prompt.ANSWERS_S
        await sending


async def test_what_expects_no_answer_is_confirmed_without_delay(broker: Broker) -> None:
    async with linked(broker) as (_, writer):
        loop = asyncio.get_running_loop()
        begun_s = loop.time()
        for n in range(20):
            await writer.publish(f"t/{n}", b"configuration", qos=1)
        assert loop.time() - begun_s < 10 * prompt.ANSWERS_S


async def test_protocol_five_is_spoken_where_the_broker_has_it(broker: Broker) -> None:
    async with running(speaker(broker.settings, "reader")) as session:
        await eventually(lambda: session.connected, within_s=5)
        assert session.protocol == ("5" if broker.kind == "mosquitto" else "3.1.1")


async def test_a_retained_state_reaches_a_later_reader(broker: Broker) -> None:
    async with running(speaker(broker.settings, "writer")) as writer:
        await eventually(lambda: writer.connected, within_s=5)
        await writer.publish("t/state", b"kept", qos=1, retain=True)
    async with running(MqttSession(broker.settings, "r", subscriptions=[_ALL])) as reader:
        await eventually(lambda: reader.backlog == 1, within_s=5)
        (message,) = reader.drain()
        assert (message.payload, message.retained) == (b"kept", True)


async def test_a_restarted_broker_is_found_again_with_all_subscriptions(broker: Broker) -> None:
    changes: list[bool] = []
    session = MqttSession(broker.settings, "reader", subscriptions=[_ALL], on_link=changes.append)
    async with running(session):
        await eventually(lambda: session.connected, within_s=5)
        broker.kill()
        await eventually(lambda: not session.connected, within_s=5)
        with pytest.raises(DeviceUnreachableError):
            await session.publish("t/a", b"lost")
        broker.start()
        await eventually(lambda: session.connected, within_s=5)
        await session.publish("t/a", b"fresh", qos=1)
        await eventually(lambda: session.backlog, within_s=5)
        assert [m.payload for m in session.drain()] == [b"fresh"]
        assert changes == [True, False, True]


async def test_a_broker_that_answers_nothing_fails_a_publish_at_its_deadline(
    mosquitto: Broker,
) -> None:
    async with running(speaker(mosquitto.settings, "writer", peer="bess1")) as session:
        await eventually(lambda: session.connected, within_s=5)
        mosquitto.freeze()
        try:
            began_s = asyncio.get_running_loop().time()
            with pytest.raises(DeviceUnreachableError, match="bess1"):
                await session.publish("t/a", b"1", qos=1, deadline_s=0.2)
            assert asyncio.get_running_loop().time() - began_s < 1.0
            # The keep-alive finds the dead peer although its socket is open.
            await eventually(lambda: not session.connected, within_s=15)
        finally:
            mosquitto.thaw()
        await eventually(lambda: session.connected, within_s=5)


async def test_a_command_published_before_the_loss_is_not_replayed_after_it(
    mosquitto: Broker,
) -> None:
    reader = MqttSession(mosquitto.settings, "reader", subscriptions=[_ALL])
    async with (
        running(reader),
        running(speaker(mosquitto.settings, "writer")) as writer,
    ):
        await eventually(lambda: reader.connected and writer.connected, within_s=5)
        mosquitto.freeze()
        with pytest.raises(DeviceUnreachableError):
            await writer.publish("t/command", b"stale", qos=1, deadline_s=0.1)
        mosquitto.kill()
        await eventually(lambda: not reader.connected and not writer.connected, within_s=5)
        mosquitto.start()
        await eventually(lambda: reader.connected and writer.connected, within_s=10)
        await writer.publish("t/command", b"fresh", qos=1)
        await eventually(lambda: reader.backlog, within_s=5)
        assert [m.payload for m in reader.drain()] == [b"fresh"]


async def test_a_successor_of_the_same_id_drops_its_predecessor(mosquitto: Broker) -> None:
    # amqtt lets both live; there the store's epoch alone ends the predecessor.
    fenced = False

    async def admit() -> None:
        if fenced:
            raise FencedError("bess1", 1, 2)

    old = speaker(mosquitto.settings, "bess1")
    old_task = asyncio.create_task(old.run(admit))
    await eventually(lambda: old.connected, within_s=5)
    fenced = True
    async with running(speaker(mosquitto.settings, "bess1")) as new:
        await asyncio.wait([old_task], timeout=5)
        assert isinstance(old_task.exception(), FencedError)
        assert await eventually(lambda: new.connected, within_s=5)


_CONNACK = b"\x20\x03\x00\x00\x00"


@pytest.mark.parametrize("answers", [1, 2], ids=["after_connack", "after_suback"])
async def test_a_broker_that_kicks_at_once_is_tried_ever_more_rarely(
    monkeypatch: pytest.MonkeyPatch, answers: int
) -> None:
    waits_s: list[float] = []

    def record(self: mqtt.FullJitter) -> float:
        waits_s.append(original(self))
        return waits_s[-1] / 20

    original = mqtt.FullJitter.next_s
    monkeypatch.setattr(mqtt.FullJitter, "next_s", record)
    monkeypatch.setattr(mqtt._entropy, "random", lambda: 1.0)

    async def kick(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(200)
        writer.write(_CONNACK)
        if answers == 2:
            packet_id = (await reader.read(200))[2:4]
            writer.write(b"\x90\x04" + packet_id + b"\x00\x00")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(kick, "127.0.0.1", 0)
    settings = MqttSettings(port=server.sockets[0].getsockname()[1], reconnect_cap_s=1.6)
    async with server, running(speaker(settings, "kicked")):
        await eventually(lambda: len(waits_s) >= 6, within_s=10)
    assert waits_s[:6] == pytest.approx([0.2, 0.4, 0.8, 1.6, 1.6, 1.6])


async def test_a_flood_of_samples_is_bounded_and_delays_no_answer(mosquitto: Broker) -> None:
    samples = Subscription(topic_filter="d/telemetry", policy=Policy.DROP_OLDEST)
    answers = Subscription(topic_filter="d/ack", policy=Policy.KEEP, qos=1)
    reader = MqttSession(mosquitto.settings, "reader", subscriptions=[samples, answers])
    async with (
        running(reader),
        running(speaker(mosquitto.settings, "flood")) as flood,
    ):
        await eventually(lambda: reader.connected and flood.connected, within_s=5)
        for i in range(2_000):
            await flood.publish("d/telemetry", json.dumps({"seq": i}).encode())
        await flood.publish("d/ack", b"answer", qos=1)
        await eventually(lambda: reader.metrics()["mqtt_received"] == 2_001, within_s=10)
        first, *rest = reader.drain(1_000)
        assert first.payload == b"answer"
        assert [json.loads(m.payload)["seq"] for m in rest] == list(range(1_744, 2_000))
        assert reader.metrics()["mqtt_dropped"] == 1_744


async def test_expiry_and_response_properties_travel_where_five_is_spoken(
    mosquitto: Broker,
) -> None:
    async with (
        aiomqtt.Client("127.0.0.1", mosquitto.port, protocol=aiomqtt.ProtocolVersion.V5) as device,
        running(speaker(mosquitto.settings, "writer")) as writer,
    ):
        await device.subscribe("t/command", qos=1)
        await eventually(lambda: writer.connected, within_s=5)
        await writer.publish(
            "t/command", b"{}", qos=1, expiry_s=29.5, reply_topic="t/ack", correlation=b"c-1"
        )
        message = await asyncio.wait_for(anext(aiter(device.messages)), 5)
        assert message.properties is not None
        properties = message.properties.json()
    assert properties["MessageExpiryInterval"] == 30
    assert properties["ResponseTopic"] == "t/ack"
    assert bytes.fromhex(properties["CorrelationData"]) == b"c-1"


_MORTAL = """
import asyncio, sys
import aiomqtt
from actors.links.inbox import Policy, Subscription
from actors.links.mqtt import MqttSession, MqttSettings

will = aiomqtt.Will("t/status", b"offline", qos=1, retain=True)
other = Subscription(topic_filter="other", policy=Policy.KEEP)
session = MqttSession(
    MqttSettings(port=int(sys.argv[1])), "mortal", subscriptions=[other], will=will,
    on_link=lambda up: print(up, flush=True),
)
asyncio.run(session.run())
"""


async def test_a_process_that_dies_leaves_its_will(broker: Broker) -> None:
    reader = MqttSession(broker.settings, "reader", subscriptions=[_ALL])
    async with running(reader):
        await eventually(lambda: reader.connected, within_s=5)
        mortal = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _MORTAL, str(broker.port), stdout=asyncio.subprocess.PIPE
        )
        assert mortal.stdout is not None
        assert await asyncio.wait_for(mortal.stdout.readline(), 20) == b"True\n"
        mortal.kill()
        await mortal.wait()
        await eventually(lambda: reader.backlog, within_s=8)
        assert reader.drain()[0].payload == b"offline"


async def test_a_wrong_password_is_refused_without_a_change_of_protocol(tmp_path: Path) -> None:
    broker = Broker("mosquitto", tmp_path, extra=("allow_anonymous false",))
    broker.start()
    try:
        wrong = MqttSettings(port=broker.port, username="u", password="wrong")  # noqa: S106
        session = speaker(wrong, "x")
        async with running(session):
            with pytest.raises(TimeoutError):
                await eventually(lambda: session.connected, within_s=0.5)
            assert session.protocol == "5"
    finally:
        broker.kill()


async def test_a_broker_that_is_not_there_is_unreachable_at_once() -> None:
    async with running(speaker(MqttSettings(port=free_port()), "x", peer="bess1")) as session:
        with pytest.raises(DeviceUnreachableError, match="bess1"):
            await session.publish("t/a", b"1")


async def test_a_port_that_says_nothing_does_not_hang_the_session(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mqtt, "_CONNECT_DEADLINE_S", 0.2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        settings = MqttSettings(port=silent.getsockname()[1], reconnect_cap_s=0.1)
        attempts = 0

        async def admit() -> None:
            nonlocal attempts
            attempts += 1

        task = asyncio.create_task(speaker(settings, "x").run(admit))
        await eventually(lambda: attempts >= 3, within_s=5)
        await end(task)


def _certificates(directory: Path) -> None:
    """Make an authority, and a server and a client certificate under it."""
    for name, subject in (("ca", "/CN=parkgrid test"), ("server", "/CN=s"), ("client", "/CN=c")):
        request = ["openssl", "req", "-x509", "-nodes", "-newkey", "rsa:2048", "-days", "1"]
        request += ["-keyout", f"{name}.key", "-out", f"{name}.crt", "-subj", subject]
        if name != "ca":
            request += [
                "-CA",
                "ca.crt",
                "-CAkey",
                "ca.key",
                "-addext",
                "subjectAltName=IP:127.0.0.1",
            ]
            request += ["-addext", "basicConstraints=critical,CA:FALSE"]
        subprocess.run(request, cwd=directory, check=True, capture_output=True)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificates")
async def test_tls_carries_both_certificates_and_refuses_a_stranger(tmp_path: Path) -> None:
    _certificates(tmp_path)
    lines = ("allow_anonymous true", "require_certificate true")
    lines += tuple(f"{key} {tmp_path / name}" for key, name in _TLS_FILES.items())
    broker = Broker("mosquitto", tmp_path, extra=lines)
    broker.start()
    try:
        known = MqttSettings(
            port=broker.port,
            tls_ca_file=str(tmp_path / "ca.crt"),
            tls_cert_file=str(tmp_path / "client.crt"),
            tls_key_file=str(tmp_path / "client.key"),
        )
        stranger = MqttSettings(port=broker.port, tls_ca_file=str(tmp_path / "ca.crt"))
        async with (
            running(speaker(known, "known")) as session,
            running(speaker(stranger, "stranger")) as refused,
        ):
            await eventually(lambda: session.connected, within_s=5)
            await session.publish("other", b"1", qos=1)
            with pytest.raises(TimeoutError):
                await eventually(lambda: refused.connected, within_s=0.5)
    finally:
        broker.kill()

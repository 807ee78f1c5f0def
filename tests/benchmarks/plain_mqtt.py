"""A minimal MQTT 3.1.1 client for load: a publish costs one write, so that the load stays light."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

_CONNACK, _PUBLISH, _PUBACK, _SUBACK = 2, 3, 4, 9
_DEADLINE_S = 10.0

OnMessage = Callable[[str, bytes], None]


def _text(value: str) -> bytes:
    raw = value.encode()
    return len(raw).to_bytes(2, "big") + raw


def _packet(first: int, body: bytes) -> bytes:
    header, length = bytearray([first]), len(body)
    while True:
        length, digit = length >> 7, length & 0x7F
        header.append(digit | (0x80 if length else 0))
        if not length:
            return bytes(header) + body


class PlainMqtt(asyncio.Protocol):
    """One connection, clean session; QoS 0 out, up to QoS 1 in.

    Args:
        on_message: called with topic and payload of each message, in the event loop.
    """

    def __init__(self, on_message: OnMessage = lambda topic, payload: None) -> None:
        self._on_message = on_message
        self._buffer = bytearray()
        self._answers: asyncio.Queue[int] = asyncio.Queue()
        self._transport: asyncio.Transport

    async def connect(
        self, host: str, port: int, *, client_id: str, username: str, password: str
    ) -> None:
        """Connect and log in; ConnectionError when the broker refuses."""
        await asyncio.get_running_loop().create_connection(lambda: self, host, port)
        flags, keepalive_s = 0xC2, 0
        body = _text("MQTT") + bytes([4, flags]) + keepalive_s.to_bytes(2, "big")
        self._transport.write(
            _packet(0x10, body + _text(client_id) + _text(username) + _text(password))
        )
        await self._granted("log in")

    async def subscribe(self, topic_filter: str, *, qos: int = 0) -> None:
        """Subscribe; ConnectionError when the broker refuses."""
        self._transport.write(_packet(0x82, b"\x00\x01" + _text(topic_filter) + bytes([qos])))
        await self._granted(topic_filter)

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Send a message with QoS 0."""
        self._transport.write(_packet(0x31 if retain else 0x30, _text(topic) + payload))

    def close(self) -> None:
        """Say goodbye and close."""
        self._transport.write(b"\xe0\x00")
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport; asyncio's hook."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Take apart what arrived; asyncio's hook."""
        self._buffer += data
        while (packet := self._next()) is not None:
            self._take(*packet)

    async def _granted(self, what: str) -> None:
        code = await asyncio.wait_for(self._answers.get(), _DEADLINE_S)
        if code > 1:
            raise ConnectionError(f"the broker refused to {what}: code {code}")

    def _next(self) -> tuple[int, bytes] | None:
        buffer = self._buffer
        length = shift = 0
        for at in range(1, min(len(buffer), 5)):
            length |= (buffer[at] & 0x7F) << shift
            shift += 7
            if not buffer[at] & 0x80:
                end = at + 1 + length
                if len(buffer) < end:
                    return None
                packet = buffer[0], bytes(buffer[at + 1 : end])
                del buffer[:end]
                return packet
        return None

    def _take(self, first: int, body: bytes) -> None:
        kind = first >> 4
        if kind == _PUBLISH:
            at = 2 + int.from_bytes(body[:2], "big")
            topic = body[2:at].decode()
            if first & 0x06:
                self._transport.write(_packet(_PUBACK << 4, body[at : at + 2]))
                at += 2
            self._on_message(topic, body[at:])
        elif kind == _CONNACK:
            # A refused connection has codes from 1, a granted quality of service ends at 1.
            self._answers.put_nowait(body[1] + (0x7F if body[1] else 0))
        elif kind == _SUBACK:
            self._answers.put_nowait(body[2])

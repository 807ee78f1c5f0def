"""An MQTT client that sends at once, and that can leave what arrives unread for a moment.

The usual client leaves writing to the event loop's next turn, so a burst would go out only when all
of it has been prepared. And it reads whatever has come, so the broker's and the device's answer to
one command would wake the process twice, while others wait to send theirs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import aiomqtt
from paho.mqtt.client import Client, MQTTMessageInfo

ANSWERS_S = 0.08
"""For so long after a pause began nothing is read."""


class PromptClient(aiomqtt.Client):
    """Takes the arguments of its base; what the socket does not take at once follows as usual."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self._publishing = False
        self._reading_paused = False
        super().__init__(*args, **options)
        protocol = self._client
        publish = protocol.publish

        def publish_and_write(*args: Any, **options: Any) -> MQTTMessageInfo:
            self._publishing = True
            try:
                published = publish(*args, **options)
            finally:
                self._publishing = False
            protocol.loop_write()
            if protocol.want_write():
                self._on_socket_register_write(protocol, None, protocol.socket())
            return published

        protocol.publish = publish_and_write  # type: ignore[method-assign]

    def pause_reading(self) -> None:
        """Read nothing for ``ANSWERS_S``, so that all answers to a command are taken together."""
        sock = self._client.socket()
        if not self._reading_paused and sock is not None and sock.fileno() >= 0:
            self._reading_paused = True
            self._loop.remove_reader(sock.fileno())
            self._loop.call_later(ANSWERS_S, self._resume_reading, sock)

    def _resume_reading(self, sock: Any) -> None:
        self._reading_paused = False
        if sock.fileno() >= 0:
            self._loop.add_reader(sock.fileno(), self._read, sock)

    def _read(self, sock: Any) -> None:
        with self._ending_on_error():
            self._client.loop_read()
            # A TLS socket may hold decoded bytes that no selector knows of.
            while hasattr(sock, "pending") and sock.pending():
                self._client.loop_read()

    def _write(self) -> None:
        with self._ending_on_error():
            self._client.loop_write()

    @contextmanager
    def _ending_on_error(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            if not self._disconnected.done():
                self._disconnected.set_exception(error)

    def _on_socket_register_write(self, client: Client, userdata: Any, sock: Any) -> None:
        if self._publishing:
            return
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            # Connecting happens in a thread; the base leads from there to the loop.
            super()._on_socket_register_write(client, userdata, sock)
        else:
            # A turn later, as the base does it, would be after the writer's removal.
            self._loop.add_writer(sock.fileno(), self._write)

"""The embedded broker in pure Python: ``python -m cluster.broker_amqtt CONFIG.json``.

It serves where Mosquitto is not installed, and does what Mosquitto is configured to do: the same
accounts and access rules from the same files, retained messages kept over a restart, SIGHUP to read
the files again and drop whoever has lost their account, nothing under ``$SYS``. Speaks MQTT 3.1.1.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
import signal
import sys
from pathlib import Path

from amqtt.broker import Broker, RetainedApplicationMessage
from amqtt.contexts import Action, ListenerConfig
from amqtt.session import Session
from amqtt.utils import gen_client_id

from cluster.broker_access import AccessList, matches, write_private
from controllers.kernel.wire import Wire, decode, encode

_SAVE_PERIOD_S = 60.0
_MAX_FILE_BYTES = 256 * 2**20
_MAX_CONNECTIONS = 20_000


class AmqttConfig(Wire):
    """What the process needs to know."""

    host: str
    port: int
    folder: str
    """Holds the password file, the access rules and the retained messages."""
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None


class Retained(Wire):
    """One retained message on disk."""

    topic: str
    qos: int
    payload: str
    """Base 64."""


class EmbeddedBroker(Broker):  # type: ignore[misc]
    """The library's broker under our access rules, with its gaps closed.

    As it comes, it deletes the session of a client id before it checks the password of whoever
    claims the id, leaves the previous connection of the id open, offers every client that connects
    all retained messages that match anybody's subscription, and lets wills go unchecked.
    """

    def __init__(self, config: dict[str, object], folder: Path) -> None:
        super().__init__(config)
        self._folder = folder
        self.reload()

    def reload(self) -> None:
        """Read the accounts and access rules again."""
        self._access = AccessList.load(self._folder)

    async def drop_strangers(self) -> None:
        """Close the connections of those who would not be let in any more."""
        for session, handler in list(self._sessions.values()):
            if not self._access.knows(session.username, session.password):
                await handler.handle_connection_closed()

    async def _authenticate(self, session: Session, _: ListenerConfig) -> bool:
        if not self._access.knows(session.username, session.password):
            # Under a name of its own, the refused client displaces nobody.
            session.client_id = gen_client_id()
            return False
        if not self._access.allows(session.username, "write", session.will_topic or ""):
            session.will_flag = False
        if session.clean_session:
            await self._cleanup_session(session.client_id)
        return True

    async def _delete_session(self, client_id: str) -> None:
        """Leave it to ``_authenticate``, which knows who asks."""

    async def _topic_filtering(self, session: Session, topic: str, action: Action) -> bool:
        # Subscriptions are all accepted, as Mosquitto does; what may not be read is not delivered.
        # This must not yield: the library iterates over its subscriptions meanwhile.
        if action is Action.SUBSCRIBE:
            return True
        access = "write" if action is Action.PUBLISH else "read"
        return self._access.allows(session.username, access, topic)

    async def _publish_retained_messages_for_subscription(
        self, subscription: tuple[str, int], session: Session
    ) -> None:
        topic_filter, qos = subscription
        subscribers = self.subscriptions.get(topic_filter, [])
        handler = self._get_handler(session)
        if handler is None or all(s.client_id != session.client_id for s, _ in subscribers):
            return
        sending = [
            asyncio.ensure_future(
                handler.mqtt_publish(name, message.data, min(qos, message.qos or 0), retain=True)
            )
            for name, message in self.retained_messages.items()
            if matches(topic_filter, name) and self._access.allows(session.username, "read", name)
        ]
        if sending:
            await asyncio.wait(sending)

    def recall(self, path: Path) -> None:
        """Take up the retained messages a predecessor kept."""
        if not path.exists():
            return
        for kept in decode(path.read_bytes(), list[Retained], max_bytes=_MAX_FILE_BYTES):
            self.retained_messages[kept.topic] = RetainedApplicationMessage(
                None, kept.topic, base64.b64decode(kept.payload), kept.qos
            )

    def remember(self, path: Path) -> None:
        """Keep the retained messages for a successor."""
        kept = [
            Retained(
                topic=name,
                qos=message.qos or 0,
                payload=base64.b64encode(message.data).decode(),
            )
            for name, message in self.retained_messages.items()
        ]
        write_private(path, encode(kept).decode())


async def serve(config: AmqttConfig) -> None:
    """Serve until SIGINT or SIGTERM."""
    folder = Path(config.folder)
    memory = folder / "retained.json"
    broker = EmbeddedBroker({"listeners": {"default": _listener(config)}, "plugins": {}}, folder)
    await broker.start()
    broker.recall(memory)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    dropping: set[asyncio.Task[None]] = set()

    def reload() -> None:
        broker.reload()
        task = loop.create_task(broker.drop_strangers())
        dropping.add(task)
        task.add_done_callback(dropping.discard)

    loop.add_signal_handler(signal.SIGHUP, reload)
    while not stopping.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), _SAVE_PERIOD_S)
        broker.remember(memory)
    await broker.shutdown()


def _listener(config: AmqttConfig) -> dict[str, object]:
    listener: dict[str, object] = {
        "type": "tcp",
        "bind": f"{config.host}:{config.port}",
        "max_connections": _MAX_CONNECTIONS,
    }
    if config.cert_file is not None:
        listener |= {"ssl": True, "certfile": config.cert_file, "keyfile": config.key_file}
        if config.ca_file is not None:
            listener["cafile"] = config.ca_file
    return listener


def main() -> None:
    """Entry point; the one argument is the config file."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    asyncio.run(serve(decode(Path(sys.argv[1]).read_bytes(), AmqttConfig)))


if __name__ == "__main__":
    main()

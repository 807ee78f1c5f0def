"""Real MQTT brokers on free loopback ports: Mosquitto, and amqtt in a process of its own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Literal

from actors.links.mqtt import MqttSettings

BrokerKind = Literal["mosquitto", "amqtt"]

_START_WITHIN_S = 15.0


def mosquitto_path() -> str | None:
    """Return where Mosquitto is installed, if it is."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Broker:
    """A broker process that a test may kill and start again on the same port.

    Args:
        kind: which broker.
        directory: for its configuration.
        extra: further lines of a Mosquitto configuration, e.g. for TLS; by default anyone may do
            anything.
    """

    def __init__(
        self,
        kind: BrokerKind,
        directory: Path,
        extra: tuple[str, ...] = ("allow_anonymous true",),
    ) -> None:
        self.kind = kind
        self.port = free_port()
        self._directory = directory
        self._extra = extra
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def settings(self) -> MqttSettings:
        """How to reach it; reconnects come fast, as tests want them."""
        return MqttSettings(port=self.port, keepalive_s=5, reconnect_cap_s=0.5)

    def start(self) -> None:
        """Start, and return when it accepts connections."""
        self._process = subprocess.Popen(
            self._command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + _START_WITHIN_S
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        self.kill()
        raise TimeoutError(f"{self.kind} did not listen within {_START_WITHIN_S} s")

    def kill(self) -> None:
        """End it without warning."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(timeout=10)
            self._process = None

    def freeze(self) -> None:
        """Let it keep its connections and answer nothing."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    def _command(self) -> list[str]:
        if self.kind == "mosquitto":
            path = self._directory / "mosquitto.conf"
            # Started by root it would become another user, who may not read a test's directory.
            user = ("user root",) if os.geteuid() == 0 else ()
            lines = (*user, f"listener {self.port} 127.0.0.1", *self._extra)
            path.write_text("\n".join(lines) + "\n")
            return [str(mosquitto_path()), "-c", str(path)]
        path = self._directory / "amqtt.yaml"
        path.write_text(
            "listeners:\n"
            "  default:\n"
            "    type: tcp\n"
            f"    bind: 127.0.0.1:{self.port}\n"
            "plugins:\n"
            "  amqtt.plugins.authentication.AnonymousAuthPlugin:\n"
            "    allow_anonymous: true\n"
        )
        return [sys.executable, "-m", "amqtt.scripts.broker_script", "-c", str(path)]

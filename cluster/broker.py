"""Starts, watches and stops the embedded broker: Mosquitto where installed, else amqtt.

Both get the same accounts, access rules, limits and listener; ``docs/mqtt.md`` says what little
differs. The broker is a child process that dies with its parent.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from cluster import child_process
from cluster.broker_access import (
    Accounts,
    Credentials,
    DeviceAccess,
    ensure_accounts,
    first_access,
    write_access,
    write_private,
)
from cluster.broker_amqtt import AmqttConfig
from cluster.ports import free_port
from controllers.control.contract import FLEET_TELEMETRY_MAX_BYTES
from controllers.kernel.errors import ConfigError, NotFoundError
from controllers.kernel.wire import encode

BrokerKind = Literal["mosquitto", "amqtt"]

_START_LIMIT_S = 20.0
_ANSWER_LIMIT_S = 1.0
_POLL_S = 0.05
_BACKOFF_BASE_S = 0.5
_BACKOFF_CAP_S = 15.0
_STABLE_AFTER_S = 60.0
_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared with, not bound
_LOOPBACK = ("127.0.0.1", "::1", "localhost")

# Restarts of several brokers on one machine must not fall together; nothing decided depends on it.
_entropy = random.SystemRandom()


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerTls:
    """Files of a TLS listener, PEM."""

    cert_file: Path
    key_file: Path
    ca_file: Path | None = None
    """Signs the certificate; handed to clients."""


class RunningBroker:
    """A broker process and the accounts on it. Built by ``start_broker``."""

    def __init__(
        self,
        kind: BrokerKind,
        folder: Path,
        site: str,
        accounts: Accounts,
        *,
        host: str,
        port: int,
        tls: BrokerTls | None,
    ) -> None:
        self.kind = kind
        self.host = host
        self.port = port
        self.tls = tls
        self._folder = folder
        self._site = site
        self._accounts = accounts
        self._n_deaths = 0
        self._restart_at_s: float | None = None
        self._start()

    @property
    def inner(self) -> Credentials:
        """Account of Parkgrid itself."""
        return self._accounts.inner

    @property
    def process_id(self) -> int:
        """Id of the present broker process."""
        return self._process.pid

    def credentials(self, device_id: str) -> Credentials:
        """Return the account of a device whose password was drawn here.

        Raises:
            NotFoundError: there is none; people registered the device, and only they know.
        """
        try:
            return self._accounts.devices[device_id]
        except KeyError:
            raise NotFoundError("device account", device_id) from None

    @property
    def accounts(self) -> Accounts:
        """The accounts whose passwords were drawn here."""
        return self._accounts

    def admit(self, devices: Sequence[DeviceAccess]) -> None:
        """Let in these accounts of devices and no others.

        Takes effect at once: the broker reads its files again and drops whoever it would not let
        in any more; the connections of others stay.
        """
        write_access(self._folder, self._site, self._accounts.inner, devices)
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGHUP)

    def keep_accounts(self, device_ids: Sequence[str]) -> None:
        """Forget the passwords drawn here but those of the given devices."""
        self._accounts = ensure_accounts(self._folder, self._site, device_ids)

    def ensure_alive(self) -> bool:
        """Restart the process if it died; call it about once a second.

        The first restart comes within half a second, at a random moment; each further death
        doubles the longest wait, up to 15 s, until a process has lived for a minute.

        Returns:
            Whether a process is alive now.
        """
        if self._process.poll() is None:
            return True
        now_s = time.monotonic()
        if self._restart_at_s is None:
            stable = now_s - self._started_at_s > _STABLE_AFTER_S
            self._n_deaths = 1 if stable else self._n_deaths + 1
            limit_s = min(_BACKOFF_CAP_S, _BACKOFF_BASE_S * 2.0 ** min(self._n_deaths - 1, 16))
            self._restart_at_s = now_s + _entropy.uniform(0.0, limit_s)
        if now_s < self._restart_at_s:
            return False
        self._restart_at_s = None
        self._start()
        return True

    def wait_ready(self, limit_s: float = _START_LIMIT_S) -> None:
        """Return when the broker lets our inner account in.

        Raises:
            ConfigError: it ended or did not answer in time; quotes the last line of its log.
        """
        deadline_s = time.monotonic() + limit_s
        while not _admits(self):
            ended = self._process.poll() is not None
            if ended or time.monotonic() > deadline_s:
                self.stop()
                what = "ended" if ended else f"did not answer within {limit_s:g} s"
                log = self._log_path.read_text(errors="replace").strip().splitlines()
                last = log[-1] if log else "nothing"
                raise ConfigError("broker", [f"{self.kind} {what}; its log ends: {last}"])
            time.sleep(_POLL_S)

    def stop(self) -> None:
        """Stop the process and let it save; idempotent."""
        child_process.stop(self._process)

    @property
    def _log_path(self) -> Path:
        return self._folder / "broker.log"

    def _start(self) -> None:
        write = _write_mosquitto if self.kind == "mosquitto" else _write_amqtt
        command = write(self._folder, self.host, self.port, self.tls)
        self._process: subprocess.Popen[bytes] = child_process.spawn(command, self._log_path)
        self._started_at_s = time.monotonic()


def start_broker(
    home: Path,
    site: str,
    device_ids: Sequence[str],
    port: int | None,
    prefer: BrokerKind | None = None,
    *,
    host: str = "127.0.0.1",
    tls: BrokerTls | None = None,
) -> RunningBroker:
    """Start the embedded broker and wait until it answers.

    Call it from a thread that lives as long as the broker should (see ``child_process.spawn``).

    Args:
        home: the data directory; accounts, rules and retained messages live in ``broker/`` there.
        site: the park's id.
        device_ids: devices that get an account drawn here.
        port: where to listen; None takes a free one.
        prefer: which broker; None takes Mosquitto where it is installed.
        host: address to listen on; anything but loopback demands TLS.
        tls: encrypt the listener.

    Raises:
        ConfigError: the port is taken, Mosquitto is wanted but missing, a listener beyond this
            machine is not encrypted, or the broker does not start.
    """
    if host not in _LOOPBACK and tls is None:
        remedy = "must be loopback, or come with TLS: passwords would cross the network in clear"
        raise ConfigError("broker", [f"host = {host!r}: {remedy}"])
    kind = _choose(prefer)
    port = free_port(host) if port is None else _checked_port(host, port)
    folder = home / "broker"
    accounts = ensure_accounts(folder, site, device_ids)
    write_access(folder, site, accounts.inner, first_access(accounts))
    broker = RunningBroker(kind, folder, site, accounts, host=host, port=port, tls=tls)
    broker.wait_ready()
    return broker


def mosquitto_path() -> str | None:
    """Return where Mosquitto is installed."""
    # Debian keeps it in a folder that is not on everybody's path.
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


def _choose(prefer: BrokerKind | None) -> BrokerKind:
    installed = mosquitto_path() is not None
    if prefer == "mosquitto" and not installed:
        remedy = "is not installed; install it, or leave the choice of broker open"
        raise ConfigError("broker", [f"prefer = {prefer!r}: {remedy}"])
    return prefer or ("mosquitto" if installed else "amqtt")


def _checked_port(host: str, port: int) -> int:
    try:
        with socket.create_server((host, port), family=_family(host)):
            return port
    except OSError as error:
        remedy = "stop whatever listens there, or choose another port (none takes a free one)"
        raise ConfigError("broker", [f"port = {port}: {error.strerror}; {remedy}"]) from error


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _write_mosquitto(folder: Path, host: str, port: int, tls: BrokerTls | None) -> list[str]:
    lines = [
        f"listener {port} {host}",
        "allow_anonymous false",
        f"password_file {folder / 'passwords'}",
        f"acl_file {folder / 'access'}",
        "persistence true",
        f"persistence_location {folder}/",
        "persistence_file retained.db",
        "autosave_interval 60",
        "persistent_client_expiration 1h",
        "queue_qos0_messages false",
        "sys_interval 0",
        "set_tcp_nodelay true",
        f"message_size_limit {FLEET_TELEMETRY_MAX_BYTES}",
        "log_type error",
        "log_type warning",
        "log_dest stdout",
        "connection_messages false",
    ]
    if os.getuid() == 0:
        # It would otherwise become another user, who may not read our private files.
        lines.append("user root")
    if tls is not None:
        lines += [f"certfile {tls.cert_file}", f"keyfile {tls.key_file}"]
        if tls.ca_file is not None:
            lines.append(f"cafile {tls.ca_file}")
    config = folder / "mosquitto.conf"
    write_private(config, "\n".join(lines) + "\n")
    return [mosquitto_path() or "mosquitto", "-c", str(config)]


def _write_amqtt(folder: Path, host: str, port: int, tls: BrokerTls | None) -> list[str]:
    config = AmqttConfig(
        host=f"[{host}]" if ":" in host else host,
        port=port,
        folder=str(folder),
        ca_file=str(tls.ca_file) if tls and tls.ca_file else None,
        cert_file=str(tls.cert_file) if tls else None,
        key_file=str(tls.key_file) if tls else None,
    )
    path = folder / "amqtt.json"
    write_private(path, encode(config).decode())
    return [sys.executable, "-m", "cluster.broker_amqtt", str(path)]


def _admits(broker: RunningBroker) -> bool:
    """Tell whether the broker lets the inner account in; a stranger on the port would not."""
    answers: list[bool] = []

    def on_connect(
        _client: paho.Client,
        _data: object,
        _flags: paho.ConnectFlags,
        code: ReasonCode,
        _properties: object,
    ) -> None:
        answers.append(not code.is_failure)

    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv311)
    client.on_connect = on_connect
    client.username_pw_set(broker.inner.username, broker.inner.password)
    if broker.tls is not None:
        client.tls_set(ca_certs=str(broker.tls.ca_file) if broker.tls.ca_file else None)
        # Asked on loopback, it shows the certificate of its public name.
        client.tls_insecure_set(True)
    try:
        client.connect(_WILDCARDS.get(broker.host, broker.host), broker.port)
    except OSError:
        return False
    deadline_s = time.monotonic() + _ANSWER_LIMIT_S
    while not answers and time.monotonic() < deadline_s:
        if client.loop(timeout=_POLL_S) != paho.MQTT_ERR_SUCCESS:
            break
    client.disconnect()
    return answers == [True]

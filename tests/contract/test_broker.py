"""Mosquitto and amqtt, as `parkgrid up` starts them, must behave the same."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.broker import BrokerKind, BrokerTls, RunningBroker, start_broker
from cluster.broker_access import Credentials, DeviceAccess, hash_password
from controllers.kernel.errors import ConfigError
from tests.support.mqtt_probe import Probe
from tests.support.waiting import wait_until

pytestmark = pytest.mark.broker

SITE = "park1"
GUESS = "guess"
STATUS = "parkgrid/v1/park1/bess1/status"
COMMAND = "parkgrid/v1/park1/bess1/command"
INNER = "parkgrid/int/v1/state/resource/bess1"


@pytest.fixture(scope="module", params=["mosquitto", "amqtt"])
def kind(request: pytest.FixtureRequest) -> BrokerKind:
    found: BrokerKind = request.param
    return found


@pytest.fixture(scope="module")
def broker(kind: BrokerKind, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningBroker]:
    started = start_broker(tmp_path_factory.mktemp("home"), SITE, ["bess1", "pv1"], None, kind)
    yield started
    started.stop()


def test_right_password_is_admitted(broker: RunningBroker) -> None:
    with Probe(broker, broker.credentials("bess1")) as device:
        assert device.connected


@pytest.mark.parametrize(
    "credentials",
    [
        None,
        Credentials(username="park1.bess1", password=GUESS),
        Credentials(username="park1.bess1", password=""),
        Credentials(username="stranger", password=GUESS),
    ],
    ids=["anonymous", "wrong", "empty", "unknown"],
)
def test_wrong_password_is_refused(broker: RunningBroker, credentials: Credentials | None) -> None:
    with Probe(broker, credentials) as stranger:
        assert stranger.connected is False


def test_refused_client_does_not_displace_the_holder_of_its_name(broker: RunningBroker) -> None:
    guess = Credentials(username="park1.bess1", password=GUESS)
    with (
        Probe(broker, broker.inner) as inner,
        Probe(broker, broker.credentials("bess1"), client_id="park1.bess1") as device,
    ):
        device.subscribe(COMMAND)
        with Probe(broker, guess, client_id="park1.bess1") as thief:
            assert thief.connected is False
        inner.publish(COMMAND, b"still there")
        device.wait_for(COMMAND, b"still there")
        assert not device.lost


def test_successor_drops_the_predecessor_of_its_name(broker: RunningBroker) -> None:
    with (
        Probe(broker, broker.inner) as inner,
        Probe(broker, broker.credentials("bess1"), client_id="same") as older,
    ):
        older.subscribe(COMMAND)
        with Probe(broker, broker.credentials("bess1"), client_id="same") as newer:
            newer.subscribe(COMMAND)
            wait_until(lambda: older.lost, within_s=10.0)
            inner.publish(COMMAND, b"to the newer")
            newer.wait_for(COMMAND, b"to the newer")
    assert older.received == []


def test_own_topics_are_allowed(broker: RunningBroker) -> None:
    with (
        Probe(broker, broker.inner) as inner,
        Probe(broker, broker.credentials("bess1")) as device,
    ):
        inner.subscribe("parkgrid/v1/park1/+/+")
        device.subscribe(COMMAND)
        for leaf in ("telemetry", "ack", "status"):
            topic = f"parkgrid/v1/park1/bess1/{leaf}"
            device.publish(topic, leaf.encode())
            inner.wait_for(topic, leaf.encode())
        inner.publish(COMMAND, b"go")
        device.wait_for(COMMAND, b"go")


@pytest.mark.parametrize(
    "topic",
    [
        "parkgrid/v1/park1/pv1/telemetry",
        "parkgrid/v1/park1/pv1/command",
        "parkgrid/v1/park2/bess1/telemetry",
        "parkgrid/int/v1/state/resource/bess1",
        "parkgrid/int/v1/proposal/bess1",
        COMMAND,
        "elsewhere",
    ],
)
def test_foreign_publish_reaches_nobody(broker: RunningBroker, topic: str) -> None:
    with (
        Probe(broker, broker.inner) as inner,
        Probe(broker, broker.credentials("bess1")) as device,
    ):
        inner.subscribe("#")
        device.publish(topic, b"forged", retain=True)
        device.publish(STATUS, b"last")
        inner.wait_for(STATUS, b"last")
        assert (topic, b"forged") not in inner.received


@pytest.mark.parametrize(
    "topic_filter", ["#", "parkgrid/#", "parkgrid/v1/park1/pv1/command", "parkgrid/v1/park1/+/+"]
)
def test_foreign_subscription_yields_nothing(broker: RunningBroker, topic_filter: str) -> None:
    with (
        Probe(broker, broker.inner) as inner,
        Probe(broker, broker.credentials("bess1")) as device,
    ):
        inner.publish(INNER, b"kept", retain=True)
        device.subscribe(topic_filter)
        device.subscribe(COMMAND)
        inner.publish(INNER, b"live")
        inner.publish("parkgrid/v1/park1/pv1/command", b"for another")
        inner.publish(COMMAND, b"mine")
        device.wait_for(COMMAND, b"mine")
        assert {topic for topic, _ in device.received} == {COMMAND}


def test_retained_status_greets_a_late_subscriber(broker: RunningBroker) -> None:
    with Probe(broker, broker.credentials("bess1")) as device:
        device.publish(STATUS, b"online", retain=True)
    with Probe(broker, broker.inner) as inner:
        inner.subscribe("parkgrid/v1/park1/+/status")
        inner.wait_for(STATUS, b"online")
        assert (STATUS, b"online") in inner.retained


def test_cleared_retained_message_greets_nobody(broker: RunningBroker) -> None:
    with Probe(broker, broker.inner) as inner:
        inner.publish(INNER, b"gone soon", retain=True)
        inner.publish(INNER, b"", retain=True)
    with Probe(broker, broker.inner) as late:
        late.subscribe(INNER)
        late.publish(INNER, b"live")
        late.wait_for(INNER, b"live")
        assert late.retained == []


def test_last_will_tells_of_a_lost_device(broker: RunningBroker) -> None:
    device = Probe(broker, broker.credentials("bess1"), will=(STATUS, b"offline"))
    with Probe(broker, broker.inner) as inner, device:
        inner.subscribe(STATUS)
        device.cut()
        inner.wait_for(STATUS, b"offline")
    with Probe(broker, broker.inner) as late:
        late.subscribe(STATUS)
        late.wait_for(STATUS, b"offline")


def test_clean_goodbye_sends_no_will(broker: RunningBroker) -> None:
    with Probe(broker, broker.inner) as inner:
        with Probe(broker, broker.credentials("bess1"), will=(STATUS, b"offline!")) as device:
            device.publish(STATUS, b"bye")
        inner.subscribe("parkgrid/#")
        inner.publish(INNER, b"after")
        inner.wait_for(INNER, b"after")
        assert (STATUS, b"offline!") not in inner.received


def test_foreign_will_reaches_nobody(broker: RunningBroker) -> None:
    with Probe(broker, broker.inner) as inner:
        inner.subscribe("parkgrid/#")
        own = broker.credentials("bess1")
        with Probe(broker, own, will=("parkgrid/v1/park1/pv1/status", b"forged")) as device:
            if device.connected:
                device.cut()
                wait_until(lambda: device.lost, within_s=10.0)
        with Probe(broker, own) as device:
            device.publish(STATUS, b"after")
        inner.wait_for(STATUS, b"after")
        assert ("parkgrid/v1/park1/pv1/status", b"forged") not in inner.received


def test_messages_of_one_publisher_arrive_in_order(broker: RunningBroker) -> None:
    n_messages = 300
    with (
        Probe(broker, broker.inner) as inner,
        Probe(broker, broker.credentials("bess1")) as device,
    ):
        device.subscribe(COMMAND, qos=1)
        for i in range(n_messages):
            inner.publish(COMMAND, str(i).encode(), qos=1)
        wait_until(lambda: len(device.received) >= n_messages, within_s=20.0)
        assert [int(payload) for _, payload in device.received] == list(range(n_messages))


def test_command_to_an_absent_device_is_not_kept(broker: RunningBroker) -> None:
    with Probe(broker, broker.inner) as inner:
        inner.publish(COMMAND, b"stale")
        with Probe(broker, broker.credentials("pv1")):
            pass
        with Probe(broker, broker.credentials("bess1"), client_id="park1.bess1") as device:
            device.subscribe(COMMAND)
            inner.publish(COMMAND, b"fresh")
            device.wait_for(COMMAND, b"fresh")
            assert (COMMAND, b"stale") not in device.received


def test_largest_fleet_sample_passes(broker: RunningBroker) -> None:
    payload = b"7" * 4_000_000
    with (
        Probe(broker, broker.inner) as inner,
        Probe(broker, broker.credentials("bess1")) as device,
    ):
        inner.subscribe("parkgrid/v1/park1/+/telemetry", qos=0)
        device.publish("parkgrid/v1/park1/bess1/telemetry", payload, qos=1)
        inner.wait_for("parkgrid/v1/park1/bess1/telemetry", payload)


def test_admitted_accounts_get_in_others_are_dropped_and_the_rest_stays(
    kind: BrokerKind, tmp_path: Path
) -> None:
    broker = start_broker(tmp_path, SITE, ["bess1", "old1"], None, kind)
    try:
        old, standing = broker.credentials("old1"), broker.credentials("bess1")
        new = Credentials(username="park1.bess1.2", password=GUESS)
        with (
            Probe(broker, standing) as device,
            Probe(broker, old, will=("parkgrid/v1/park1/old1/status", b"gone")) as leaver,
            Probe(broker, broker.inner) as inner,
        ):
            device.subscribe(COMMAND)
            broker.admit([access(standing, "bess1"), access(new, "bess1")])
            wait_until(lambda: leaver.lost, within_s=3.0)
            wait_until(lambda: is_admitted(broker, new), within_s=3.0)
            assert not is_admitted(broker, old)
            inner.publish(COMMAND, b"undisturbed")
            device.wait_for(COMMAND, b"undisturbed")
            assert not device.lost
            with Probe(broker, new) as second:
                second.publish(STATUS, b"mine", retain=True)
            inner.subscribe(STATUS)
            inner.wait_for(STATUS, b"mine")
    finally:
        broker.stop()


def test_changed_password_drops_its_holder(kind: BrokerKind, tmp_path: Path) -> None:
    broker = start_broker(tmp_path, SITE, ["bess1"], None, kind)
    try:
        old = broker.credentials("bess1")
        new = Credentials(username=old.username, password=GUESS)
        with Probe(broker, old) as device:
            broker.admit([access(new, "bess1")])
            wait_until(lambda: device.lost, within_s=3.0)
        assert is_admitted(broker, new)
        assert not is_admitted(broker, old)
    finally:
        broker.stop()


def access(credentials: Credentials, resource_id: str) -> DeviceAccess:
    return DeviceAccess(
        username=credentials.username,
        resource_id=resource_id,
        password_hash=hash_password(credentials.password),
    )


def is_admitted(broker: RunningBroker, credentials: Credentials) -> bool:
    with Probe(broker, credentials) as probe:
        return bool(probe.connected)


def test_killed_broker_comes_back_with_its_accounts(kind: BrokerKind, tmp_path: Path) -> None:
    broker = start_broker(tmp_path, SITE, ["bess1"], None, kind)
    try:
        first = broker.process_id
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: not broker.ensure_alive(), within_s=10.0)
        wait_until(broker.ensure_alive, within_s=10.0)
        broker.wait_ready()
        assert broker.process_id != first
        with Probe(broker, broker.credentials("bess1")) as device:
            assert device.connected
    finally:
        broker.stop()


def test_second_start_finds_the_same_secrets_and_retained_messages(
    kind: BrokerKind, tmp_path: Path
) -> None:
    first = start_broker(tmp_path, SITE, ["bess1"], None, kind)
    with Probe(first, first.inner) as inner:
        inner.publish(INNER, b"remember me", retain=True)
    first.stop()
    second = start_broker(tmp_path, SITE, ["bess1"], None, kind)
    try:
        assert second.inner == first.inner
        assert second.credentials("bess1") == first.credentials("bess1")
        with Probe(second, second.inner) as inner:
            inner.subscribe(INNER)
            inner.wait_for(INNER, b"remember me")
    finally:
        second.stop()


def test_secrets_are_readable_by_their_owner_only(broker: RunningBroker, kind: str) -> None:
    folder = broker._folder
    private = ["credentials.json", "passwords", "access"]
    private.append("mosquitto.conf" if kind == "mosquitto" else "amqtt.json")
    assert {stat.S_IMODE((folder / name).stat().st_mode) for name in private} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert broker.inner.password not in (folder / "passwords").read_text()
    assert broker.inner.password not in repr(broker.inner)


def test_broker_dies_with_its_parent(kind: BrokerKind, tmp_path: Path) -> None:
    program = textwrap.dedent(
        f"""
        import json, time
        from pathlib import Path
        from cluster.broker import start_broker
        broker = start_broker(Path({str(tmp_path)!r}), "park1", [], None, {kind!r})
        print(json.dumps([broker.process_id, broker.port]), flush=True)
        time.sleep(60)
        """
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        _, port = json.loads(parent.stdout.readline())
        parent.kill()

    def gone() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) != 0

    wait_until(gone, within_s=10.0)


def test_taken_port_is_refused_with_a_remedy(kind: BrokerKind, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"port = {port}: .*another port"):
            start_broker(tmp_path, SITE, [], port, kind)


def test_listener_beyond_this_machine_needs_tls(kind: BrokerKind, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="TLS"):
        start_broker(tmp_path, SITE, [], None, kind, host="0.0.0.0")  # noqa: S104


def test_listener_with_tls_admits_those_who_trust_it(kind: BrokerKind, tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    tls = BrokerTls(cert_file=certificate, key_file=key, ca_file=certificate)
    broker = start_broker(tmp_path, SITE, ["bess1"], None, kind, host="0.0.0.0", tls=tls)  # noqa: S104
    try:
        with Probe(broker, broker.credentials("bess1"), ca_file=certificate) as device:
            assert device.connected
        with pytest.raises(TimeoutError), Probe(broker, broker.credentials("bess1"), limit_s=1.0):
            pass
    finally:
        broker.stop()


def test_broker_that_ends_at_once_is_reported_with_its_log(
    kind: BrokerKind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        # Somebody takes the port between the check and the start.
        monkeypatch.setattr("cluster.broker.free_port", lambda _host: port)
        with pytest.raises(ConfigError, match="its log ends: "):
            start_broker(tmp_path, SITE, [], None, kind)


def test_damaged_credentials_are_not_overwritten(kind: BrokerKind, tmp_path: Path) -> None:
    (tmp_path / "broker").mkdir()
    path = tmp_path / "broker" / "credentials.json"
    path.write_text('{"inner": ')
    with pytest.raises(ConfigError, match="delete it"):
        start_broker(tmp_path, SITE, [], None, kind)
    assert path.read_text() == '{"inner": '

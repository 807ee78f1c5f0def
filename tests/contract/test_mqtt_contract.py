"""`docs/mqtt.md` alone suffices: its schemas are current, its examples valid, its device runs."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jsonschema
import pytest

from cluster.broker import BrokerKind, RunningBroker, start_broker
from cluster.broker_access import Credentials
from cluster.wire_schemas import MESSAGES, schema_text
from controllers.control.contract import Command, Fallback, FallbackKind
from controllers.kernel.errors import DomainError
from controllers.kernel.wire import decode, encode
from tests.support.mqtt_probe import Probe
from tests.support.shell_device import ShellDevice
from tests.support.waiting import wait_until

DOCS = Path(__file__).parents[2] / "docs"
TEXT = (DOCS / "mqtt.md").read_text()
EXAMPLES = re.findall(r"^```json ([a-z-]+)\n(.*?)^```", TEXT, flags=re.MULTILINE | re.DOTALL)

SITE, DEVICE = "park1", "heater1"
BASE = f"parkgrid/v1/{SITE}/{DEVICE}"

needs_clients = pytest.mark.skipif(
    shutil.which("mosquitto_sub") is None or shutil.which("bash") is None,
    reason="mosquitto_pub and mosquitto_sub are not installed; `make test` installs them",
)


def schema_of(name: str) -> dict[str, object]:
    schema: dict[str, object] = json.loads((DOCS / "schemas" / f"{name}.json").read_text())
    return schema


def validate(name: str, document: object) -> None:
    checker = jsonschema.FormatChecker()
    checker.checks("date-time", raises=ValueError)(_is_aware)
    validator = jsonschema.Draft202012Validator(schema_of(name), format_checker=checker)
    validator.validate(document)


def _is_aware(value: object) -> bool:
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_schema_file_is_current(name: str) -> None:
    assert (DOCS / "schemas" / f"{name}.json").read_text() == schema_text(MESSAGES[name]), (
        "run `python -m cluster.wire_schemas`"
    )


def test_no_schema_file_is_left_over() -> None:
    assert {path.stem for path in (DOCS / "schemas").iterdir()} == set(MESSAGES)


def test_every_message_has_an_example() -> None:
    assert {name for name, _ in EXAMPLES} == set(MESSAGES)


@pytest.mark.parametrize(
    ("name", "text"), EXAMPLES, ids=[f"{name}-{i}" for i, (name, _) in enumerate(EXAMPLES)]
)
def test_example_is_valid(name: str, text: str) -> None:
    validate(name, json.loads(text))
    decode(text.encode(), MESSAGES[name])


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("telemetry", {"power_kW": 1.0}),
        ("telemetry", {"power_kw": 1e9}),
        ("telemetry", {"measured_at": "2026-11-21T08:00:00"}),
        ("telemetry", {"seq": -1}),
        ("telemetry", {"signals": {"SoC": 0.5}}),
        ("command", {"fallback": {"kind": "explode"}}),
        ("command", {"lifetime_s": 0}),
        ("ack", {"result": "maybe"}),
        ("status", {"schema": 2}),
        ("fleet-telemetry", {"power_kw": []}),
        ("fleet-command", {"setpoints_kw": ["-0.6"]}),
    ],
)
def test_schema_and_decoder_refuse_the_same(name: str, change: dict[str, object]) -> None:
    text = next(text for example, text in EXAMPLES if example == name)
    broken = {**json.loads(text), **change}
    with pytest.raises(jsonschema.ValidationError):
        validate(name, broken)
    with pytest.raises(DomainError):
        decode(json.dumps(broken).encode(), MESSAGES[name])


@pytest.fixture(params=["mosquitto", "amqtt"])
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RunningBroker]:
    kind: BrokerKind = request.param
    started = start_broker(tmp_path, SITE, [DEVICE, "other1"], None, kind)
    yield started
    started.stop()


@pytest.fixture
def stranger(broker: RunningBroker, tmp_path: Path) -> Iterator[ShellDevice]:
    password = broker.credentials(DEVICE).password
    device = ShellDevice(
        broker.host, broker.port, site=SITE, device=DEVICE, password=password, folder=tmp_path
    )
    yield device
    device.kill()


class Park:
    """The park's side of one device, in plain messages."""

    def __init__(self, probe: Probe) -> None:
        self._probe = probe
        probe.subscribe(f"{BASE}/+")

    def documents(self, leaf: str) -> list[dict[str, object]]:
        """Return what came on a topic, checked against its schema."""
        found = [json.loads(p) for topic, p in self._probe.received if topic == f"{BASE}/{leaf}"]
        for document in found:
            validate(leaf, document)
        return found

    def await_(self, leaf: str, **expected: object) -> dict[str, object]:
        """Return the first document on a topic with these fields."""

        def find() -> dict[str, object] | None:
            matching = [d for d in self.documents(leaf) if expected.items() <= d.items()]
            return matching[0] if matching else None

        return wait_until(find, within_s=15.0, every_s=0.1)  # type: ignore[return-value]

    def command(
        self,
        seq: int,
        setpoint_kw: float | None,
        *,
        lifetime_s: float = 60.0,
        expires_in_s: float = 60.0,
        fallback: FallbackKind = FallbackKind.RELEASE,
        limit_kw: float | None = None,
    ) -> None:
        """Send a command with the id ``c{seq}``."""
        now = datetime.now(UTC)  # noqa: TID251 - the device lives by the real clock
        command = Command(
            command_id=f"c{seq}",
            epoch=1,
            seq=seq,
            issued_at=now,
            valid_from=now - timedelta(seconds=1),
            expires_at=now + timedelta(seconds=expires_in_s),
            lifetime_s=lifetime_s,
            setpoint_kw=setpoint_kw,
            fallback=Fallback(kind=fallback, limit_kw=limit_kw),
        )
        self._probe.publish(f"{BASE}/command", encode(command))


@pytest.fixture
def park(broker: RunningBroker, stranger: ShellDevice) -> Iterator[Park]:
    with Probe(broker, broker.inner) as probe:
        side = Park(probe)
        side.await_("telemetry")
        yield side


@pytest.mark.broker
@needs_clients
def test_device_from_the_documentation_reports_obeys_and_acknowledges(park: Park) -> None:
    park.await_("status", mode="online")
    park.await_("telemetry", power_kw=-40.0, setpoint_kw=None)
    park.command(1, -20.0)
    park.await_("ack", command_id="c1", result="accepted", epoch=1, seq=1)
    park.await_("telemetry", power_kw=-20.0, setpoint_kw=-20.0, command_id="c1")
    park.command(2, None)
    park.await_("ack", command_id="c2", result="accepted")
    park.await_("telemetry", power_kw=-40.0, setpoint_kw=None, command_id="c2")


@pytest.mark.broker
@needs_clients
def test_device_from_the_documentation_refuses_what_it_must(park: Park) -> None:
    park.command(5, -20.0)
    park.await_("ack", command_id="c5", result="accepted")
    park.command(4, -30.0)
    park.await_("ack", command_id="c4", result="rejected")
    park.command(6, -80.0)
    park.await_("ack", command_id="c6", result="rejected")
    park.command(7, 10.0)
    park.await_("ack", command_id="c7", result="rejected")
    park.command(8, -10.0, expires_in_s=-5.0)
    park.await_("ack", command_id="c8", result="expired")
    assert {d["command_id"] for d in park.documents("telemetry")} <= {None, "c5"}


@pytest.mark.broker
@needs_clients
@pytest.mark.parametrize(
    ("fallback", "limit_kw", "expected"),
    [
        (FallbackKind.ZERO, None, {"power_kw": 0.0, "setpoint_kw": 0.0}),
        (FallbackKind.HOLD, None, {"power_kw": -20.0, "setpoint_kw": -20.0}),
        (FallbackKind.RELEASE, None, {"power_kw": -40.0, "setpoint_kw": None}),
        (FallbackKind.LIMIT, 25.0, {"power_kw": -25.0, "setpoint_kw": None}),
    ],
    ids=["zero", "hold", "release", "limit"],
)
def test_device_from_the_documentation_times_out_by_itself(
    park: Park, fallback: FallbackKind, limit_kw: float | None, expected: dict[str, object]
) -> None:
    park.command(1, -20.0, lifetime_s=2.0, fallback=fallback, limit_kw=limit_kw)
    taken = park.await_("telemetry", command_id="c1")
    n_before = len(park.documents("telemetry"))

    def fallen_back() -> bool:
        later = park.documents("telemetry")[n_before:]
        return any(({"command_id": None} | expected).items() <= d.items() for d in later)

    wait_until(fallen_back, within_s=15.0, every_s=0.1)
    assert taken["setpoint_kw"] == -20.0


@pytest.mark.broker
@needs_clients
def test_killed_device_from_the_documentation_leaves_its_will(
    park: Park, stranger: ShellDevice
) -> None:
    online = park.await_("status", mode="online")
    stranger.kill()
    offline = park.await_("status", mode="offline")
    assert offline["boot_id"] == online["boot_id"]


@pytest.mark.broker
@needs_clients
def test_plain_clients_are_kept_to_their_own_topics(broker: RunningBroker) -> None:
    def publish(account: Credentials, topic: str, payload: str) -> None:
        address = ["-h", broker.host, "-p", str(broker.port), "-V", "mqttv311", "-q", "1"]
        login = ["-u", account.username, "-P", account.password]
        subprocess.run(
            ["mosquitto_pub", *address, *login, "-t", topic, "-m", payload], check=True, timeout=20
        )

    other = broker.credentials("other1")
    with Probe(broker, broker.inner) as probe:
        probe.subscribe("parkgrid/#")
        publish(other, f"{BASE}/telemetry", "forged")
        publish(other, f"{BASE}/command", "forged")
        publish(other, "parkgrid/int/v1/proposal/heater1", "forged")
        publish(other, f"parkgrid/v1/{SITE}/other1/telemetry", "own")
        probe.wait_for(f"parkgrid/v1/{SITE}/other1/telemetry", b"own")
        assert [payload for _, payload in probe.received] == [b"own"]


@pytest.mark.broker
@needs_clients
def test_plain_client_with_a_wrong_password_is_turned_away(broker: RunningBroker) -> None:
    command = ["mosquitto_pub", "-h", broker.host, "-p", str(broker.port), "-V", "mqttv311"]
    guess = ["-u", f"{SITE}.{DEVICE}", "-P", "guess", "-t", f"{BASE}/status", "-m", "x"]
    done = subprocess.run([*command, *guess], capture_output=True, check=False, timeout=20)
    assert done.returncode != 0
    assert b"not authorised" in done.stderr.lower()

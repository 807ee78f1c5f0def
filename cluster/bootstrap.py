"""Composition: settings in, a running park out, taken down in reverse order.

``bring_up`` starts one part after the other and says so: data directory and database, broker,
simulated devices, Ray, the Supervisor (which starts the actors), the API. What was started is
stopped in reverse order, on every way out. Child processes die with this one.
"""

from __future__ import annotations

import logging
import logging.handlers
import os
import signal
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import NoReturn

import httpx
from pydantic import SecretStr

from actors.links.mqtt import MqttSettings
from actors.logs import FORMAT_VARIABLE, LEVEL_VARIABLE, dress
from cluster.accounts import ensure_operator
from cluster.broker import BrokerTls, RunningBroker, start_broker
from cluster.broker_accounts import BrokerAccounts
from cluster.devices import SimulatedDevices
from cluster.home import Home, RunningPark
from cluster.park_file import load_park
from cluster.ray_environment import RAY_LINK, output_in, ray_environment, ray_folder
from cluster.settings import Settings, read_secret
from cluster.storage.alarm_source import ensure_default_rules
from cluster.storage.device_accounts import SqlDeviceAccounts
from cluster.storage.engine import migrate, open_engine
from cluster.storage.registry import open_registry
from controllers.history.carbon import GridFactor, read_factors
from controllers.kernel.errors import ConfigError, ConflictError
from controllers.kernel.ids import RandomIds
from controllers.kernel.timebase import SystemClock
from controllers.park import ParkDefinition
from controllers.ports.history import HistorySettings

_log = logging.getLogger(__name__)

DEMO_PARK = Path(__file__).parent / "demo" / "park.yaml"

Say = Callable[[str], None]
"""Tells the operator what is happening, one line at a time; not by way of ``sys.stdout``, which
leads to a log once Ray starts."""

_ACTORS_LIMIT_S = 60.0
_ANSWER_LIMIT_S = 30.0
_WATCH_S = 1.0
_LOG_BYTES = 5_000_000
_LOG_FILES = 3
_MQTT_PORT, _MQTTS_PORT = 1883, 8883


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What must be looked after while a park runs."""

    url: str
    broker: RunningBroker | None
    accounts: BrokerAccounts | None
    devices: SimulatedDevices | None

    def look_after(self) -> None:
        """Restart child processes that died, let registered devices in; about once a second."""
        if self.broker is not None:
            self.broker.ensure_alive()
        if self.accounts is not None:
            self.accounts.follow()
        if self.devices is not None:
            self.devices.ensure_alive()


def run(
    settings: Settings, park_file: Path | None, say: Say, *, replace_park: bool = False
) -> None:
    """Run a park until SIGINT or SIGTERM, in the main thread.

    Args:
        settings: of this start.
        park_file: what to run; None is the last park.
        say: is told what happens.
        replace_park: take the file even if it undoes edits over the API.

    Raises:
        ConfigError: settings, park file, port or data directory are wrong, or a part does not
            start; whatever had been started is stopped again.
    """
    with ExitStack() as stack:
        try:
            _take_signals(_interrupt)
            parts = bring_up(settings, park_file, say, stack, replace_park=replace_park)
            # Ray takes them for itself when it starts.
            _take_signals(_interrupt)
            say(f"The park is live at {parts.url} (Ctrl-C stops it)")
            while True:
                parts.look_after()
                time.sleep(_WATCH_S)
        except KeyboardInterrupt:
            say("Stopping")
            _log.info("stopping")
        finally:
            # A second Ctrl-C must not leave anything behind.
            _take_signals(signal.SIG_IGN)
    say("Stopped; the next start resumes from here")


def _take_signals(handler: Callable[[int, FrameType | None], object] | signal.Handlers) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handler)


def _interrupt(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


def bring_up(
    settings: Settings,
    park_file: Path | None,
    say: Say,
    stack: ExitStack,
    *,
    replace_park: bool = False,
) -> Parts:
    """Start a park; leaving ``stack`` stops it.

    Raises:
        ConfigError: as ``run``.
    """
    wanted = None if park_file is None else load_park(park_file)
    grid_factors = _grid_factors(settings.grid_carbon_file)
    home = Home(settings.home)
    stack.enter_context(home.locked())
    check_port(settings.http_host, settings.http_port)
    _log_to(home.logs / "parkgrid.log", settings)

    say(f"Data directory: {home.path}")
    database_url = database_url_of(settings, home)
    park = prepare_database(database_url, wanted, say, replace=replace_park)
    broker, accounts, mqtt = _broker(
        settings=settings,
        home=home,
        park=park,
        database_url=database_url,
        say=say,
        stack=stack,
    )
    devices = None
    if settings.demo and broker is not None:
        say(f"Starting {len(park.resources)} simulated devices")
        devices = SimulatedDevices(home.path, park, broker)
        stack.callback(devices.stop)

    say("Starting Ray")
    folder = stack.enter_context(ray_folder(home.ray))
    os.environ.update(ray_environment(folder))
    stack.enter_context(output_in(home.logs / "ray.log"))
    # Only now, because Ray reads its environment when it is first imported.
    from cluster import ray_side  # noqa: PLC0415
    from cluster.wiring import Wiring  # noqa: PLC0415

    wiring = Wiring(
        database_url=database_url,
        database_read_url=_revealed(settings.database_read_url),
        redis_url=_revealed(settings.redis_url),
        actors=home.actors,
        jwt_secret_file=home.jwt_secret_file,
        seal_keys_file=home.seal_keys_file,
        four_eyes=settings.four_eyes,
        shadow_plans=settings.shadow_plans,
        cors_origins=settings.cors_origins,
        mqtt=mqtt,
        history=home.history,
        optimizers=home.optimizers,
        history_settings=HistorySettings(
            raw_days=settings.history_raw_days, minute_days=settings.history_minute_days
        ),
        grid_factors=grid_factors,
        notice_networks=settings.notice_network_list,
        keys_kept=timedelta(days=settings.keys_kept_days),
        reports_kept=timedelta(days=settings.reports_kept_days),
        device_records_kept=timedelta(days=settings.device_records_kept_days),
    )
    stack.enter_context(ray_side.cluster(settings, str(folder / RAY_LINK)))
    say(f"Starting {len(park.resources)} resources and {len(park.aggregates)} aggregates")
    stack.enter_context(ray_side.supervised(wiring))
    say("Starting the API")
    stack.enter_context(ray_side.serving(settings, wiring))
    if not ray_side.wait_for_actors(_ACTORS_LIMIT_S):
        say(f"Not every actor has started; {home.logs} and `parkgrid status` tell more")
    url = f"http://{_reachable(settings.http_host)}:{settings.http_port}"
    _wait_until_ready(url, say)
    running = RunningPark(pid=os.getpid(), url=url, broker_host=mqtt.host, broker_port=mqtt.port)
    stack.enter_context(home.announced(running))
    return Parts(url=url, broker=broker, accounts=accounts, devices=devices)


def _grid_factors(path: Path | None) -> tuple[GridFactor, ...]:
    if path is None:
        return ()
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), [f"{path}: the emission factors cannot be read"]) from error
    return read_factors(text, str(path))


def database_url_of(settings: Settings, home: Home) -> str:
    """Return where the database is."""
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    return home.database_url


def _revealed(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()


def prepare_database(
    url: str, wanted: ParkDefinition | None, say: Say, *, replace: bool = False
) -> ParkDefinition:
    """Migrate the database and return the park it wants from now on.

    Args:
        url: of the database.
        wanted: the park that was asked for; None keeps the last, at first the demo park.
        say: is told what changed.
        replace: take ``wanted`` even if it undoes edits over the API.

    Raises:
        ConfigError: ``wanted`` would undo edits over the API.
        StorageUnavailableError: the database does not answer.
    """
    engine = open_engine(url)
    registry = open_registry(url)
    try:
        migrate(engine)
        ensure_operator(url, say)
        ensure_default_rules(engine, SystemClock())
        before = registry.version()
        if wanted is None and before == 0:
            wanted = load_park(DEMO_PARK)
        version = before if wanted is None else registry.save(wanted, replace=replace)
        park = registry.load()
        news = "as before" if version == before else f"new version {version}"
        say(f"Park {park.id} ({park.name}): {news}")
        return park
    except ConflictError as error:
        raise ConfigError("park", [str(error)]) from error
    finally:
        registry.close()
        engine.dispose()


def check_port(host: str, port: int) -> None:
    """Refuse a port that somebody listens on.

    Raises:
        ConfigError: taken, or not ours to take.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.create_server((host, port), family=family):
            return
    except OSError as error:
        remedy = "stop whatever listens there, or choose another with --port"
        raise ConfigError("http", [f"port {port}: {error.strerror}; {remedy}"]) from error


def _broker(
    *,
    settings: Settings,
    home: Home,
    park: ParkDefinition,
    database_url: str,
    say: Say,
    stack: ExitStack,
) -> tuple[RunningBroker | None, BrokerAccounts | None, MqttSettings]:
    if settings.broker_host is not None:
        say(f"Using the broker at {settings.broker_host}; its accounts are its own")
        return None, None, _elsewhere(settings, settings.broker_host)
    tls = None
    if settings.broker_cert_file is not None and settings.broker_key_file is not None:
        tls = BrokerTls(
            cert_file=settings.broker_cert_file,
            key_file=settings.broker_key_file,
            ca_file=settings.broker_ca_file,
        )
    port = settings.broker_port
    if port is None and not settings.demo:
        port = _MQTTS_PORT if tls else _MQTT_PORT
    clock = SystemClock()
    accounts = SqlDeviceAccounts(database_url, clock, RandomIds(clock))
    broker = start_broker(
        home.path,
        park.id,
        accounts.provisional(park),
        port,
        host=settings.broker_listen_host,
        tls=tls,
    )
    stack.callback(broker.stop)
    following = BrokerAccounts(broker, accounts, open_registry(database_url), clock)
    stack.callback(following.close)
    say(f"Broker ({broker.kind}) at {broker.host}:{broker.port}")
    if not settings.demo and broker.accounts.devices:
        say(f"Accounts of unregistered devices: {home.path / 'broker' / 'credentials.json'}")
    mqtt = MqttSettings(
        host=_reachable(broker.host),
        port=broker.port,
        username=broker.inner.username,
        password=broker.inner.password,
        tls_ca_file=_text(tls.ca_file) if tls else None,
    )
    return broker, following, mqtt


def _elsewhere(settings: Settings, host: str) -> MqttSettings:
    password_file = settings.broker_password_file
    return MqttSettings(
        host=host,
        port=settings.broker_port or (_MQTTS_PORT if settings.broker_ca_file else _MQTT_PORT),
        username=settings.broker_username,
        password=read_secret(password_file) if password_file else None,
        tls_ca_file=_text(settings.broker_ca_file),
        tls_cert_file=_text(settings.broker_cert_file),
        tls_key_file=_text(settings.broker_key_file),
    )


def _wait_until_ready(url: str, say: Say) -> None:
    """Wait for the API to call itself ready; a degraded park is still worth looking at."""
    deadline_s = time.monotonic() + _ANSWER_LIMIT_S
    answer = "no answer"
    while time.monotonic() < deadline_s:
        try:
            response = httpx.get(f"{url}/readyz", timeout=5.0)
        except httpx.HTTPError:
            response = None
        if response is not None:
            if response.is_success:
                return
            answer = response.text
        time.sleep(0.1)
    say(f"The API is not ready after {_ANSWER_LIMIT_S:g} s: {answer}")


def _log_to(path: Path, settings: Settings) -> None:
    handler = logging.handlers.RotatingFileHandler(
        path, maxBytes=_LOG_BYTES, backupCount=_LOG_FILES
    )
    dress(handler, form=settings.log_format)
    logging.basicConfig(level=settings.log_level, handlers=[handler], force=True)
    # Each poll for readiness would be a line.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    # For the processes that Ray will start.
    os.environ[FORMAT_VARIABLE] = settings.log_format
    os.environ[LEVEL_VARIABLE] = settings.log_level


def _reachable(host: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - to leave it


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)

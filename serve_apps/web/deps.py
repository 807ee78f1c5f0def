"""What the API is built from: the ports it talks to, and its settings."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal, cast

from fastapi import Depends
from starlette.requests import HTTPConnection

from actors.notices.guard import AddressGuard
from controllers.history.carbon import GridFactor
from controllers.kernel.errors import ConfigError
from controllers.kernel.ids import IdSource
from controllers.kernel.timebase import Clock
from controllers.park import ParkDefinition
from controllers.ports.accounts import AccountStore, KeyStore, SessionStore
from controllers.ports.alarms import AlarmDesk, AlarmStore
from controllers.ports.approvals import ApprovalStore
from controllers.ports.assets import (
    AggregationFindings,
    AggregationStore,
    AssetBook,
    ResourceStore,
)
from controllers.ports.control import ControlPlane
from controllers.ports.devices import DeviceStore, UpkeepStore
from controllers.ports.dispatches import DispatchStore
from controllers.ports.health import ActorHealth
from controllers.ports.history import HistoryReader
from controllers.ports.live import LiveView
from controllers.ports.operations import OperationsStore
from controllers.ports.optimizers import OptimizerStore
from controllers.ports.quotas import QuotaStore, SharedLockouts
from controllers.ports.templates import TemplateStore

MIN_SECRET_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiSettings:
    """Limits and lifetimes of the API.

    Raises:
        ConfigError: the secret is shorter than 32 bytes.
    """

    jwt_secret: str = field(repr=False)
    """Key of the token signatures (HS256); at least 32 bytes."""
    access_lifetime_s: float = 900.0
    """Short: it is how long a token outlives its session while the database does not answer."""
    refresh_lifetime_s: float = 43_200.0
    """One shift: how long a session lasts, however often it is refreshed."""
    four_eyes: Literal["auto", "always", "never"] = "auto"
    """Whether releasing a kill switch, changing limits and promoting an optimizer wait for a second
    person; ``auto``: where there is one who could be it, so that a single one is never stuck."""
    shadow_plans: int = 12
    """Plans in a row that an optimizer must have made in shadow, and all held, to be promoted; one
    is made about every five minutes."""
    approval_lifetime_s: float = 3600.0
    """What nobody decided on by then has to be asked for again."""
    ingress_sends_request_id: bool = False
    """Whether something in front of us puts ``x-request-id`` on every answer, as Ray Serve does."""
    ingress_peer_header: str | None = field(default=None, repr=False)
    """Header in which something in front of us, and nobody else, says who called it."""
    requests_per_min: int = 300_000
    """Of one principal: five thousand a second on the average, more than a replica answers."""
    strangers_per_min: int = 300
    """Of one address to the API without a valid token: log-ins, refreshes, refusals."""
    logins_per_min: int = 30
    """Attempts at one name, right or wrong, over all replicas that share a Redis."""
    cors_origins: tuple[str, ...] = ()
    """Pages from elsewhere that a browser may let in; none by default."""
    max_body_bytes: int = 1_048_576
    body_within_s: float = 10.0
    """From its first byte to its last; who sends slower holds a connection for nothing."""
    live_refresh_s: float = 0.1
    """The whole live picture is encoded at most this often."""
    store_timeout_s: float = 2.0
    """How long a probe or a kill waits for the database."""
    check_fresh_s: float = 1.0
    """Dependencies are asked how they are at most this often."""
    stream_max_clients: int = 1200
    """WebSocket connections per replica, waiting for log-in included."""
    stream_auth_timeout_s: float = 5.0
    stream_flush_s: float = 0.1
    """Least time between two messages of changes to one client."""
    stream_heartbeat_s: float = 5.0
    stream_send_timeout_s: float = 10.0
    """A client that takes longer to accept one message is dropped."""
    stream_max_pending: int = 20_000
    """Subjects with an unsent change per client; above any park's count."""
    login_free_attempts: int = 5
    """Failures in a row before each further one doubles the wait."""
    login_max_wait_s: float = 300.0
    login_max_tracked: int = 10_000
    """Names with recent failures remembered per replica; the oldest is forgotten first."""

    def __post_init__(self) -> None:
        if len(self.jwt_secret.encode()) < MIN_SECRET_BYTES:
            raise ConfigError("api", [f"jwt_secret: must be at least {MIN_SECRET_BYTES} bytes"])


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiDeps:
    """Everything the API reaches; ports only, so that tests run it over fakes."""

    park: Callable[[], ParkDefinition]
    """Returns the park as currently defined; called per request, so it must be cheap."""
    live: LiveView
    control: ControlPlane
    store: OperationsStore
    dispatches: DispatchStore
    assets: AssetBook
    resources: ResourceStore
    aggregations: AggregationStore
    findings: AggregationFindings
    alarms: AlarmStore
    alarm_desk: AlarmDesk
    guard: AddressGuard
    """Where channels of alarms may lead."""
    templates: TemplateStore
    devices: DeviceStore
    upkeep: UpkeepStore
    history: HistoryReader
    actors: ActorHealth
    breakers: Mapping[str, Callable[[], int]] = field(default_factory=dict)
    """By dependency, how many of its circuit breakers are open."""
    queues: Mapping[str, Callable[[], int]] = field(default_factory=dict)
    """By name, how much waits in a queue of this process."""
    accounts: AccountStore
    sessions: SessionStore
    keys: KeyStore
    grid_factors: Sequence[GridFactor] = ()
    """Emission factors of this park's grid; without any those of its country count."""
    approvals: ApprovalStore
    optimizers: OptimizerStore
    quotas: QuotaStore
    lockouts: SharedLockouts
    clock: Clock
    ids: IdSource
    settings: ApiSettings
    helpers: Mapping[str, Callable[[], Awaitable[None]]] = field(default_factory=dict)
    """Parts that the system gets by without, by name; each is asked for a sign of life and raises
    StorageUnavailableError."""


async def deps_of(connection: HTTPConnection) -> ApiDeps:
    """Return what the application of this request was built from.

    Async, because the framework sends plain functions to a thread.
    """
    return cast(ApiDeps, connection.app.state.deps)


Deps = Annotated[ApiDeps, Depends(deps_of)]

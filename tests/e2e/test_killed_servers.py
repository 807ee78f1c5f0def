"""PostgreSQL and Redis killed under load: control goes on, what was acknowledged is there."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count, pairwise
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select

from cluster.storage.engine import open_engine, reading
from cluster.storage.tables.operations import AUDIT_LOG, DISPATCHES
from cluster.storage.tables.park import AGGREGATIONS
from tests.e2e.conftest import all_fresh, is_delivering
from tests.support.databases import ServerDatabases
from tests.support.listener import Listener
from tests.support.park import Park
from tests.support.servers import Redis
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.soak, pytest.mark.timeout(600)]

AWAY_S = 10.0
N_CLIENTS = 3
MIN_ACKNOWLEDGED = 10
"""By all clients, before the servers are killed and again once they are back."""


@dataclass
class Client:
    """Somebody who drafts, changes and dispatches, and repeats what was not acknowledged."""

    park: Park
    number: int
    leave: threading.Event
    names: dict[str, str] = field(default_factory=dict)
    """Drafts by id, each with the last name that was acknowledged."""
    dispatches: list[str] = field(default_factory=list)
    n_refused: int = 0
    unexpected: list[str] = field(default_factory=list)

    def work(self) -> None:
        """Write one thing after the other until told to leave."""
        token = self.park.api.headers["Authorization"]
        # Windows of one aggregation may not overlap.
        begins_at = datetime.now(UTC) + timedelta(days=1 + self.number)  # noqa: TID251 - sent
        with httpx.Client(
            base_url=self.park.api.base_url, headers={"Authorization": token}, timeout=15.0
        ) as api:
            for n in count():
                if self.leave.is_set():
                    return
                id_ = f"draft-{self.number}-{n}"
                body = {"id": id_, "name": f"Draft {n}"}
                key = {"Idempotency-Key": id_}
                made = self._insist(api, "POST", "/aggregations", body, key)
                self.names[id_] = body["name"]
                body = {"name": f"Draft {n}, changed"}
                seen = {"If-Match": made.headers["etag"]}
                self._insist(api, "PUT", f"/aggregations/{id_}", body, seen)
                self.names[id_] = body["name"]
                body = {
                    "target_kw": 100.0,
                    "start_at": (begins_at + n * timedelta(minutes=1)).isoformat(),
                    "duration_s": 60,
                    "reason": "under load",
                }
                path, key = "/aggregations/vpp-south/dispatch", {"Idempotency-Key": f"d-{id_}"}
                self.dispatches.append(self._insist(api, "POST", path, body, key).json()["id"])

    def _insist(
        self, api: httpx.Client, method: str, path: str, body: object, headers: dict[str, str]
    ) -> httpx.Response:
        while True:
            answer = api.request(method, path, json=body, headers=headers)
            if answer.status_code != 503:
                # A change without a key may have been done although its answer was lost.
                changed_already = method == "PUT" and answer.status_code == 412
                if not answer.is_success and not changed_already:
                    self.unexpected.append(f"{method} {path}: {answer.text}")
                return answer
            self.n_refused += 1
            self.leave.wait(0.1)


@pytest.fixture(scope="module")
def url(postgresql_databases: ServerDatabases) -> str:
    """Where the park's database is."""
    return postgresql_databases.empty()


@pytest.fixture(scope="module")
def park(url: str, redis_server: Redis) -> Iterator[Park]:
    """The demo park on servers, fresh."""
    settings = {"PARKGRID_DATABASE_URL": url, "PARKGRID_REDIS_URL": redis_server.url}
    with (
        tempfile.TemporaryDirectory(prefix="pg-e2e-", dir="/tmp") as folder,
        Park(Path(folder), settings=settings) as park,
    ):
        wait_until(lambda: all_fresh(park), within_s=60.0, every_s=0.5)
        yield park


@pytest.fixture
def clients(park: Park) -> Iterator[list[Client]]:
    """Clients at work."""
    leave = threading.Event()
    clients = [Client(park, number, leave) for number in range(N_CLIENTS)]
    threads = [threading.Thread(target=client.work) for client in clients]
    for thread in threads:
        thread.start()
    yield clients
    leave.set()
    for thread in threads:
        thread.join(60.0)


def n_acknowledged(clients: list[Client]) -> int:
    """Return how many dispatches were acknowledged so far."""
    return sum(len(client.dispatches) for client in clients)


def missing(park: Park) -> set[str]:
    """Return the dependencies that readiness says are away, with its status."""
    answer = park.readiness()
    assert answer.status_code == 200
    body = answer.json()
    away = {check["name"] for check in body["checks"] if not check["ok"]}
    assert body["status"] == ("degraded" if away else "ready")
    return away


def breakers_open(park: Park) -> set[str]:
    """Return the dependencies whose circuit breakers are open."""
    for _ in range(12):
        # What an address that is nobody may ask is counted in Redis, some at a time.
        httpx.get(f"{park.url}/api/vpp/live", headers={"Authorization": "Bearer nobody"})
    text = park.api.get(f"{park.url}/metrics").raise_for_status().text
    rows = [row.split() for row in text.splitlines() if row.startswith("parkgrid_breakers_open{")]
    return {row[0].split('"')[1] for row in rows if float(row[1]) > 0.0}


def test_a_killed_redis_shows_in_readiness_and_is_used_again(
    park: Park, redis_server: Redis
) -> None:
    wait_until(lambda: missing(park) == set(), within_s=30.0, every_s=0.2)
    redis_server.kill()
    try:
        wait_until(lambda: missing(park) == {"redis"}, within_s=15.0, every_s=0.2)
        wait_until(lambda: "redis" in breakers_open(park), within_s=15.0)
        made = park.dispatch("vpp-south", "without-redis", target_kw=-100.0).raise_for_status()
        cancel = f"/dispatches/{made.json()['id']}/cancel"
        park.api.post(cancel, json={"reason": "redis is away"}).raise_for_status()
    finally:
        redis_server.start()
    wait_until(lambda: missing(park) == set(), within_s=15.0, every_s=0.2)
    wait_until(lambda: breakers_open(park) == set(), within_s=30.0, every_s=0.5)


def test_servers_killed_under_load_lose_nothing_that_was_acknowledged(
    park: Park,
    url: str,
    clients: list[Client],
    postgresql_databases: ServerDatabases,
    redis_server: Redis,
) -> None:
    running = park.dispatch("vpp-park", "running", target_kw=500.0, duration_s=900)
    dispatch: str = running.raise_for_status().json()["id"]
    wait_until(lambda: is_delivering(park, dispatch), within_s=60.0, every_s=0.5)
    wait_until(lambda: n_acknowledged(clients) >= MIN_ACKNOWLEDGED, within_s=60.0)

    server = postgresql_databases.server
    with Listener(park, "parkgrid/v1/#", "parkgrid/int/v1/#") as witness:
        server.kill()
        redis_server.kill()
        killed_s = time.monotonic()
        try:
            wait_until(lambda: missing(park) == {"store", "redis"}, within_s=15.0, every_s=0.2)
            wait_until(lambda: breakers_open(park) >= {"store", "redis"}, within_s=15.0)
            wait_until(lambda: time.monotonic() - killed_s > AWAY_S, within_s=AWAY_S)
            wait_until(lambda: is_delivering(park, dispatch), within_s=20.0, every_s=0.5)
            turns = witness.heard("state/aggregate/vpp-park", after_s=killed_s)
            assert max(b.at_s - a.at_s for a, b in pairwise(turns)) < 3.0
            assert witness.heard("/command", after_s=killed_s)
        finally:
            server.start()
            redis_server.start()
    n_before = n_acknowledged(clients)
    wait_until(lambda: missing(park) == set(), within_s=30.0, every_s=0.2)
    wait_until(
        lambda: n_acknowledged(clients) >= n_before + MIN_ACKNOWLEDGED, within_s=60.0, every_s=0.2
    )
    wait_until(lambda: is_delivering(park, dispatch), within_s=20.0, every_s=0.5)
    assert sum(client.n_refused for client in clients) > 0
    assert_all_there(url, clients)
    assert "is whole" in park.run("audit", "verify").stdout


def assert_all_there(url: str, clients: list[Client]) -> None:
    """Everything acknowledged is in the database, once, and the audit chain tells of it."""
    seen = [(dict(client.names), list(client.dispatches)) for client in clients]
    assert [client.unexpected for client in clients] == [[] for _ in clients]
    engine = open_engine(url)
    try:

        def recorded() -> bool:
            with reading(engine) as connection:
                ids = set(connection.execute(select(DISPATCHES.c.id)).scalars())
            return all(ids.issuperset(dispatches) for _, dispatches in seen)

        # They come from the aggregates' outboxes.
        wait_until(recorded, within_s=60.0, every_s=0.5)
        with reading(engine) as connection:
            drafted = connection.execute(select(AGGREGATIONS.c.id, AGGREGATIONS.c.name)).all()
            names = {row.id: row.name for row in drafted}
            told = connection.execute(select(AUDIT_LOG.c.subject)).scalars().all()
    finally:
        engine.dispose()
    for drafts, dispatches in seen:
        assert len(set(dispatches)) == len(dispatches)
        for id_ in dispatches:
            assert told.count(id_) == 1
        # The one being written at this moment may have its new name already.
        *settled, _ = drafts
        assert {id_: names[id_] for id_ in settled} == {id_: drafts[id_] for id_ in settled}
        assert all(id_ in told for id_ in drafts)

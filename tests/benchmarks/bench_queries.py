"""Mean times of the lists that grow: the audit log at 1,000,000 entries, 10,000 resources."""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import ColumnElement, Engine, insert, select, true

from cluster.storage.asset_book import SqlAssetBook
from cluster.storage.audit import entry_of
from cluster.storage.database import Database
from cluster.storage.engine import PATIENT_S, migrate, open_engine, writing
from cluster.storage.paging import page_of
from cluster.storage.registry import SqlParkRegistry
from cluster.storage.resources import SqlResources
from cluster.storage.tables.operations import AUDIT_LOG
from controllers.kernel.money import Currency
from controllers.kernel.timebase import SystemClock
from controllers.park import (
    AggregateDefinition,
    ParkDefinition,
    ResourceDefinition,
    TariffDefinition,
)
from controllers.ports.assets import ResourceFilter
from controllers.ports.pages import PageRequest
from tests.benchmarks.figures import figure, note, report
from tests.support.databases import ServerDatabases, SqlServer
from tests.support.servers import Mariadb, Postgresql

_N_ENTRIES = 1_000_000
_N_RESOURCES = 10_000
_MUST_MS = 100.0
_N_RUNS = 30
_PORTION = 10_000
_BEGUN = datetime(2026, 1, 1, tzinfo=UTC)
_ENTRY = AUDIT_LOG.c
_PAGE = 200


def entries(n_entries: int) -> Iterator[list[dict[str, object]]]:
    """Yield rows of a busy park's audit log; digests are made up, nobody checks them here."""
    for first in range(1, n_entries + 1, _PORTION):
        yield [
            {
                "seq": seq,
                "at": _BEGUN + timedelta(seconds=seq),
                "principal": f"user{seq % 40}",
                "action": f"action.{seq % 25}",
                "subject": f"subject-{seq % 5000}",
                "data": '{"target_kw":500.0,"reason":"evening peak"}',
                "digest": f"{seq:064x}",
            }
            for seq in range(first, min(first + _PORTION, n_entries + 1))
        ]


def park(n_resources: int) -> ParkDefinition:
    """Return a park of so many roofs and batteries."""
    resources = [
        ResourceDefinition(id=f"r{n:05}", name=f"Unit {n}", kind="battery" if n % 4 else "pv")
        for n in range(n_resources)
    ]
    members = [resource.id for resource in resources]
    return ParkDefinition(
        id="park",
        name="Park",
        timezone="Asia/Shanghai",
        currency=Currency.CNY,
        resources=resources,
        tariff=[TariffDefinition(from_time="00:00", import_per_mwh=500.0, export_per_mwh=300.0)],
        aggregates=[
            AggregateDefinition(id="odd", name="Odd", members=members[1::2]),
            AggregateDefinition(id="even", name="Even", members=members[::2]),
        ],
    )


def fill(engine: Engine, n_entries: int, n_resources: int) -> None:
    """Put everything in."""
    for rows in entries(n_entries):
        with writing(engine) as connection:
            connection.execute(insert(AUDIT_LOG), rows)
    registry = SqlParkRegistry(str(engine.url.render_as_string(hide_password=False)), SystemClock())
    registry.save(park(n_resources))
    registry.close()


async def mean_ms(query: Callable[[], Awaitable[object]]) -> float:
    """Return the mean time of a query that was asked once before."""
    await query()
    begun = time.perf_counter()
    for _ in range(_N_RUNS):
        await query()
    return (time.perf_counter() - begun) / _N_RUNS * 1000


async def measure(url: str, n_entries: int) -> dict[str, object]:
    """Return the figures of one database."""
    database = Database(url, SystemClock(), answer_within_s=60.0)
    book = await asyncio.to_thread(SqlAssetBook, url)
    resources = SqlResources(database, book)

    def audit(where: ColumnElement[bool], **request: object) -> Callable[[], Awaitable[object]]:
        return lambda: database.read(
            lambda connection: page_of(
                connection,
                select(AUDIT_LOG).where(where),
                PageRequest(limit=_PAGE, **request),  # type: ignore[arg-type]  # as named there
                sorts={"seq": _ENTRY.seq},
                default_sort="-seq",
                id_column=_ENTRY.seq,
                build=entry_of,
            )
        )

    def listed(**wanted: object) -> Callable[[], Awaitable[object]]:
        request = PageRequest(limit=_PAGE)
        wish = ResourceFilter(**wanted)  # type: ignore[arg-type]  # as named there
        return lambda: resources.list(wish, request)

    middle = _BEGUN + timedelta(seconds=n_entries // 2)
    queries = {
        "audit_newest": audit(true()),
        "audit_middle": audit(_ENTRY.seq < n_entries // 2),
        "audit_of_subject": audit(_ENTRY.subject == "subject-77"),
        "audit_of_principal": audit(_ENTRY.principal == "user7"),
        "audit_of_action": audit(_ENTRY.action == "action.3"),
        "audit_of_an_hour": audit(_ENTRY.at.between(middle, middle + timedelta(hours=1))),
        "resources": listed(),
        "resources_of_kind": listed(kind="pv"),
        "resources_named": listed(name="Unit 99"),
    }
    figures: dict[str, object] = {
        name: figure(await mean_ms(query), "ms", must=_MUST_MS) for name, query in queries.items()
    }
    await asyncio.to_thread(database.close)
    book.close()
    return figures


@contextmanager
def urls(folder: Path, kinds: Sequence[type[SqlServer]]) -> Iterator[dict[str, str]]:
    """Yield an empty SQLite database, and one of each kind of server that is installed here."""
    found = {"sqlite": f"sqlite:///{folder / 'parkgrid.sqlite'}"}
    servers = [kind() for kind in kinds if kind.missing() is None]
    try:
        for server in servers:
            server.prepare()
            server.start()
            found[type(server).__name__.lower()] = ServerDatabases(server).empty()
        yield found
    finally:
        for server in servers:
            server.remove()


async def main(*, smoke: bool) -> None:
    """Print the figures of every database that is installed here."""
    n_entries, n_resources = (2_000, 200) if smoke else (_N_ENTRIES, _N_RESOURCES)
    figures: dict[str, object] = {}
    with (
        tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as folder,
        urls(Path(folder), [] if smoke else [Postgresql, Mariadb]) as found,
    ):
        for kind, url in found.items():
            engine = open_engine(url, statement_s=PATIENT_S)
            migrate(engine)
            begun = time.perf_counter()
            fill(engine, n_entries, n_resources)
            filled_s = time.perf_counter() - begun
            engine.dispose()
            measured = await measure(url, n_entries)
            figures[kind] = {**measured, "filling": figure(filled_s, "s")}
            note(kind, figures[kind])
    report(figures)


if __name__ == "__main__":
    asyncio.run(main(smoke="--smoke" in sys.argv))

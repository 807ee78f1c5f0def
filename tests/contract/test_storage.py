"""The SQL stores keep their ports' contracts, on every kind of database."""

from __future__ import annotations

import asyncio
import functools
import pickle
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from sqlalchemy import Engine, select, text, update

from cluster.storage import records
from cluster.storage.audit import first_broken
from cluster.storage.database import Database, open_database
from cluster.storage.engine import (
    open_engine,
    reading,
    writing,
)
from cluster.storage.operations import SqlOperations
from cluster.storage.records import SqlRecordSink
from cluster.storage.registry import SqlParkRegistry
from cluster.storage.tables.operations import AUDIT_HEAD, AUDIT_LOG, COMMAND_RECORDS, DISPATCHES
from controllers.kernel.errors import NotFoundError
from controllers.kernel.money import Currency
from controllers.kernel.timebase import ManualClock
from controllers.park import (
    AggregateDefinition,
    ParkDefinition,
    ResourceDefinition,
    TariffDefinition,
)
from controllers.ports.actors import OutboxRecord
from controllers.ports.operations import IdempotencyRecord, OperationsStore
from controllers.ports.registry import ParkRegistry
from tests.support.audit import newest_entries

NOW = datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=UTC)

BOX = ResourceDefinition(
    id="box",
    name="Box",
    kind="box",
    parameters={"size_kw": 1.5, "n_units": 3, "spare": True, "mode": "eco"},
    fallback="limit",
    fallback_limit_kw=0.1,
    latitude_deg=31.2,
    longitude_deg=121.5,
)
PARK = ParkDefinition(
    id="park1",
    name="Zero-carbon park 零碳园区",
    timezone="Asia/Shanghai",
    currency=Currency.CNY,
    resources=[
        BOX,
        ResourceDefinition(id="a-box", name="A", kind="box", consumption_positive=True),
    ],
    aggregates=[
        AggregateDefinition(id="vpp", name="All", members=["inner", "box"], max_import_kw=1e3),
        AggregateDefinition(id="inner", name="Part", members=["a-box", "box"], period_s=0.1),
    ],
    tariff=[TariffDefinition(from_time="00:00", import_per_mwh=300.0, export_per_mwh=-1.0)],
    valid_from=NOW,
)


@pytest.fixture
def url(database_url: str) -> str:
    return database_url


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    """Yield an engine on a migrated database."""
    engine = open_engine(url)
    yield engine
    engine.dispose()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


@pytest.fixture
async def database(engine: Engine, url: str, clock: ManualClock) -> AsyncIterator[Database]:
    database = Database(url, clock)
    yield database
    await asyncio.to_thread(database.close)


@pytest.fixture
def store(database: Database) -> SqlOperations:
    return SqlOperations(database)


@pytest.fixture
def registry(engine: Engine, url: str, clock: ManualClock) -> Iterator[SqlParkRegistry]:
    registry = SqlParkRegistry(url, clock)
    yield registry
    registry.close()


@pytest.fixture
def sink(engine: Engine, url: str) -> Iterator[SqlRecordSink]:
    sink = SqlRecordSink(url)
    yield sink
    sink.close()


def key(n: int = 1, principal: str = "ops", fingerprint: str = "f") -> IdempotencyRecord:
    return IdempotencyRecord(
        key=f"key-{n}", principal=principal, fingerprint=fingerprint, subject_id=f"dispatch-{n}"
    )


# --- registry


def test_a_saved_park_loads_identical(registry: SqlParkRegistry) -> None:
    port: ParkRegistry = registry
    registry.save(PARK)
    assert port.load() == PARK
    assert port.load().resources[0].parameters["spare"] is True


def test_loading_before_the_first_save_finds_nothing(registry: SqlParkRegistry) -> None:
    assert registry.version() == 0
    with pytest.raises(NotFoundError):
        registry.load()


def test_the_version_rises_with_a_change_and_only_then(registry: SqlParkRegistry) -> None:
    changed = msgspec.structs.replace(PARK, resources=PARK.resources[::-1])
    assert [registry.save(park) for park in (PARK, PARK, changed, PARK)] == [1, 1, 2, 3]


def test_another_park_takes_the_place_of_the_first(registry: SqlParkRegistry) -> None:
    other = msgspec.structs.replace(PARK, id="park2", name="Other")
    assert [registry.save(park) for park in (PARK, other)] == [1, 2]
    assert registry.load() == other
    assert registry.save(PARK) == 3
    assert registry.load() == PARK


async def test_wanted_kills_reach_the_registry(
    registry: SqlParkRegistry, store: SqlOperations
) -> None:
    await store.want_kill(["a", "b", "b"], True, "ops")
    await store.want_kill(["b", "c"], True, "ops")
    await store.want_kill(["a", "never"], False, "ops")
    assert registry.killed() == {"b", "c"}


# --- operations


async def test_the_first_use_of_a_key_wins(store: SqlOperations) -> None:
    port: OperationsStore = store
    assert await port.begin(key(), "dispatch", "vpp", {"target_kw": 500.0}) == key()
    second = key(fingerprint="another body")
    assert await port.begin(second, "dispatch", "vpp", {}) == key()
    assert len(await newest_entries(port, 10)) == 1


async def test_keys_of_two_principals_do_not_meet(store: SqlOperations) -> None:
    await store.begin(key(principal="anna"), "dispatch", "vpp", {})
    second = key(principal="ben", fingerprint="x")
    assert await store.begin(second, "dispatch", "vpp", {}) == second


@pytest.mark.parametrize("other", ["Key-1", "key-1 ", "k\u00e9y-1"])
async def test_keys_that_look_alike_do_not_meet(store: SqlOperations, other: str) -> None:
    await store.begin(key(), "dispatch", "vpp", {})
    record = msgspec.structs.replace(key(fingerprint="x"), key=other)
    assert await store.begin(record, "dispatch", "vpp", {}) == record


async def test_a_finished_key_gives_its_answer(store: SqlOperations) -> None:
    await store.begin(key(), "dispatch", "vpp", {})
    await store.finish("ops", "key-1", 202, '{"id": "dispatch-1"}')
    standing = await store.begin(key(), "dispatch", "vpp", {})
    assert (standing.status, standing.response) == (202, '{"id": "dispatch-1"}')


async def test_finishing_what_never_began_is_refused(store: SqlOperations) -> None:
    with pytest.raises(NotFoundError):
        await store.finish("ops", "key-9", 202, "{}")


async def test_one_bad_write_does_not_harm_its_neighbours(store: SqlOperations) -> None:
    results = await asyncio.gather(
        store.audit("ops", "a", "s", {"n": 1}),
        store.finish("ops", "no such key", 202, "{}"),
        store.audit("ops", "b", "s", {"n": 2}),
        return_exceptions=True,
    )
    assert [type(result) for result in results] == [type(None), NotFoundError, type(None)]
    assert {entry.action for entry in await newest_entries(store, 10)} == {"a", "b"}


async def test_many_at_once_with_the_same_key_create_one(store: SqlOperations) -> None:
    records = [key(fingerprint=str(i)) for i in range(50)]
    stood = await asyncio.gather(*(store.begin(record, "d", "vpp", {}) for record in records))
    assert len({record.fingerprint for record in stood}) == 1
    assert len(await newest_entries(store, 100)) == 1


async def test_audit_entries_come_newest_first_and_by_subject(
    store: SqlOperations, clock: ManualClock
) -> None:
    for n in range(3):
        await store.audit("ops", "note", "vpp" if n % 2 else "box", {"n": n, "deep": {"x": [1]}})
        clock.advance(timedelta(seconds=1))
    entries = await newest_entries(store, 2)
    assert [(entry.seq, entry.data["n"]) for entry in entries] == [(3, 2), (2, 1)]
    assert entries[0].data["deep"] == {"x": [1]}
    assert [entry.seq for entry in await newest_entries(store, 10, subject="box")] == [3, 1]
    assert entries[0].at == NOW + timedelta(seconds=2)


async def test_two_stores_write_one_chain(store: SqlOperations, url: str, engine: Engine) -> None:
    second = open_database(url)
    other = SqlOperations(second)
    await asyncio.gather(
        *(one.audit("ops", "note", "vpp", {"n": n}) for n in range(40) for one in (store, other))
    )
    await asyncio.to_thread(second.close)
    with reading(engine) as connection:
        assert first_broken(connection) is None
    assert [entry.seq for entry in await newest_entries(store, 100)] == list(range(80, 0, -1))


@pytest.mark.parametrize(
    ("tampering", "broken_at"),
    [
        ("UPDATE audit_log SET data = '{}' WHERE seq = 2", 2),
        ("UPDATE audit_log SET principal = 'nobody' WHERE seq = 1", 1),
        ("DELETE FROM audit_log WHERE seq = 2", 2),
        ("DELETE FROM audit_log WHERE seq = 3", 3),
        ("UPDATE audit_log SET seq = 9 WHERE seq = 3", 3),
    ],
    ids=["data", "principal", "middle gone", "last gone", "renumbered"],
)
async def test_tampering_with_the_audit_log_shows(
    store: SqlOperations, engine: Engine, tampering: str, broken_at: int
) -> None:
    for n in range(3):
        await store.audit("ops", "note", "vpp", {"n": n})
    with reading(engine) as connection:
        assert first_broken(connection) is None
    with writing(engine) as connection:
        connection.execute(text(tampering))
    with reading(engine) as connection:
        assert first_broken(connection) == broken_at


def test_a_new_chain_is_whole(engine: Engine) -> None:
    with reading(engine) as connection:
        assert first_broken(connection) is None
    with writing(engine) as connection:
        connection.execute(update(AUDIT_HEAD).values(digest="f" * 64))
    with reading(engine) as connection:
        assert first_broken(connection) == 1


def test_the_factory_can_be_pickled(url: str) -> None:
    factory = functools.partial(open_database, url)
    assert pickle.loads(pickle.dumps(factory)).args == (url,)  # noqa: S301 - our own bytes


# --- records


def instruction_record(seq: int, **changes: object) -> OutboxRecord:
    data: dict[str, object] = {
        "instruction_id": "d-1",
        "state": "accepted",
        "version": 1,
        "target_kw": 500.0,
        "ramp_kw_per_min": None,
        "start_at": NOW.isoformat(),
        "end_at": (NOW + timedelta(minutes=10)).isoformat(),
        "issued_by": "anna",
        "note": "evening peak",
        "a_later_field": 1,
    }
    return OutboxRecord(
        actor_id="vpp", seq=seq, kind="instruction", at=NOW, data={**data, **changes}
    )


def test_records_are_stored_once_whatever_is_offered_again(
    sink: SqlRecordSink, engine: Engine
) -> None:
    records = [
        OutboxRecord(actor_id=actor, seq=seq, kind="sent", at=NOW, data={"kw": 1.5, "seq": seq})
        for seq in (1, 2, 3)
        for actor in ("box", "a-box")
    ]
    sink.write(records[:4])
    sink.write(records)
    sink.write(records[3:] + records[3:])
    with reading(engine) as connection:
        rows = connection.execute(select(COMMAND_RECORDS)).mappings().all()
    assert len(rows) == 6
    assert {(row["at"], row["data"]["kw"]) for row in rows} == {(NOW, 1.5)}


async def test_keys_that_are_too_old_are_forgotten_a_portion_at_a_time(
    store: SqlOperations, clock: ManualClock, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "_PRUNED_AT_ONCE", 3)
    for n in range(5):
        await store.begin(key(n), "dispatch", "vpp", {})
        clock.advance(timedelta(hours=1))
    sink = SqlRecordSink(url, clock, keys_kept=timedelta(days=1))
    assert sink.prune() == 0
    clock.advance(timedelta(hours=22, seconds=1))
    assert [sink.prune(), sink.prune(), sink.prune()] == [3, 1, 0]
    sink.close()
    assert (await store.begin(key(4, fingerprint="x"), "d", "vpp", {})).fingerprint == "f"
    assert (await store.begin(key(3, fingerprint="x"), "d", "vpp", {})).fingerprint == "x"


def test_an_empty_batch_is_nothing(sink: SqlRecordSink) -> None:
    sink.write([])


def test_instruction_records_become_one_dispatch(sink: SqlRecordSink, engine: Engine) -> None:
    sink.write([instruction_record(1), instruction_record(2, state="active", version=2)])
    done = instruction_record(5, state="completed", note="82.5 kWh delivered", target_kw=450.0)
    sink.write([done])
    sink.write([instruction_record(3, state="partial"), done])
    with reading(engine) as connection:
        row = connection.execute(select(DISPATCHES)).mappings().one()
    assert (row["id"], row["aggregation_id"], row["state"]) == ("d-1", "vpp", "completed")
    assert (row["start_at"], row["target_kw"], row["note"]) == (NOW, 450.0, "82.5 kWh delivered")


def test_a_broken_instruction_record_does_not_stop_the_others(
    sink: SqlRecordSink, engine: Engine
) -> None:
    sink.write(
        [instruction_record(1, target_kw="much"), instruction_record(2, instruction_id="d-2")]
    )
    with reading(engine) as connection:
        assert connection.execute(select(DISPATCHES.c.id)).scalars().all() == ["d-2"]
        assert len(connection.execute(select(COMMAND_RECORDS)).all()) == 2


def test_a_naive_instant_is_not_stored(engine: Engine) -> None:
    row = {"seq": 1, "principal": "", "action": "", "subject": "", "data": "{}", "digest": ""}
    with pytest.raises(Exception, match="must carry a time zone"), writing(engine) as connection:
        connection.execute(AUDIT_LOG.insert(), {**row, "at": datetime(2026, 1, 1)})  # noqa: DTZ001

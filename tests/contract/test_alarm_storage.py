"""Alarms in SQL, on every database: rules and channels by version, history as it was recorded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta

import msgspec
import pytest
from sqlalchemy import Engine, insert, select

from cluster.storage.alarm_source import SqlAlarmSource, ensure_default_rules
from cluster.storage.alarms import SqlAlarms
from cluster.storage.database import Database
from cluster.storage.engine import open_engine, reading, writing
from cluster.storage.records import SqlRecordSink
from cluster.storage.tables.alarms import ALARM_CHANNELS
from cluster.storage.tables.devices import DEVICES, MAINTENANCE_WINDOWS
from controllers.alarms.channels import (
    Attempt,
    Channel,
    Delivery,
    DeliveryOutcome,
    MailEndpoint,
    MqttEndpoint,
    WebhookEndpoint,
)
from controllers.alarms.defaults import DEFAULT_RULES
from controllers.alarms.events import Acknowledged, Settled
from controllers.alarms.lifecycle import AlarmState
from controllers.alarms.rules import Severity
from controllers.kernel.errors import ConflictError, NotFoundError, StaleVersionError
from controllers.kernel.timebase import ManualClock
from controllers.ports.actors import OutboxRecord
from controllers.ports.acts import Act
from controllers.ports.alarms import AlarmFilter
from controllers.ports.pages import PageRequest
from tests.support.alarms import AlarmCycles, ReversingBox, make_rule
from tests.support.live_states import NOW

SECRET = "whsec_never-to-be-seen"  # noqa: S105


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = open_engine(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[SqlAlarms]:
    database = Database(database_url, ManualClock(NOW))
    yield SqlAlarms(database, ReversingBox())
    await asyncio.to_thread(database.close)


@pytest.fixture
def source(database_url: str) -> Iterator[SqlAlarmSource]:
    source = SqlAlarmSource(database_url, ReversingBox())
    yield source
    source.close()


@pytest.fixture
def sink(database_url: str) -> Iterator[SqlRecordSink]:
    sink = SqlRecordSink(database_url)
    yield sink
    sink.close()


def act(subject: str) -> Act:
    return Act(principal="anna", action="alarm_rule.write", subject=subject, data={})


def hook(id_: str = "desk", url: str = "https://example.org/h", **changes: object) -> Channel:
    endpoint = WebhookEndpoint(url=url)
    return msgspec.structs.replace(Channel(id=id_, name="Desk", endpoint=endpoint), **changes)


def outbox(run: AlarmCycles, first_seq: int = 1) -> list[OutboxRecord]:
    return [
        OutboxRecord(actor_id="alarms", seq=seq, kind=r.kind, at=r.at, data=dict(r.data))
        for seq, r in enumerate(run.records, start=first_seq)
    ]


async def test_rules_are_changed_by_version_and_the_actor_learns_of_it(
    store: SqlAlarms, source: SqlAlarmSource
) -> None:
    versions = [source.version()]
    created = (await store.create_rule(act("hot"), make_rule())).value
    versions.append(source.version())
    assert created.version == 1
    with pytest.raises(ConflictError, match="taken"):
        await store.create_rule(act("hot"), make_rule())
    renamed = make_rule(name="Hotter")
    with pytest.raises(StaleVersionError):
        await store.replace_rule(act("hot"), renamed, 2)
    changed = (await store.replace_rule(act("hot"), renamed, 1)).value
    versions.append(source.version())
    assert (changed.version, (await store.rule("hot")).rule) == (2, renamed)
    assert source.load(NOW).config.rules == [renamed]
    with pytest.raises(StaleVersionError):
        await store.delete_rule(act("hot"), 1)
    await store.delete_rule(act("hot"), 2)
    versions.append(source.version())
    with pytest.raises(NotFoundError):
        await store.rule("hot")
    assert versions == sorted(set(versions))
    assert source.load(NOW).config.rules == []


async def test_a_secret_is_sealed_opened_for_delivery_only_and_never_told(
    store: SqlAlarms, source: SqlAlarmSource, engine: Engine
) -> None:
    stored = (await store.create_channel(act("desk"), hook(), SECRET)).value
    assert stored.has_secret
    assert SECRET not in str(msgspec.to_builtins(stored))
    with reading(engine) as connection:
        row = connection.execute(select(ALARM_CHANNELS)).mappings().one()
    assert row["sealed_secret"] == ReversingBox().seal(SECRET)
    assert SECRET not in str(dict(row))
    (opened,) = source.load(NOW).channels
    assert (opened.channel, opened.secret) == (hook(), SECRET)
    assert SECRET not in repr(opened)


async def test_a_secret_stays_with_its_endpoint_and_does_not_follow_to_another(
    store: SqlAlarms, source: SqlAlarmSource
) -> None:
    await store.create_channel(act("desk"), hook(), SECRET)
    await store.replace_channel(act("desk"), hook(name="Front desk"), None, 1)
    assert source.load(NOW).channels[0].secret == SECRET
    elsewhere = hook(url="https://evil.example/")
    with pytest.raises(ConflictError, match="secret"):
        await store.replace_channel(act("desk"), elsewhere, None, 2)
    await store.replace_channel(act("desk"), elsewhere, "another", 2)
    assert source.load(NOW).channels[0].secret == "another"  # noqa: S105


async def test_a_disabled_or_deleted_channel_is_not_usable(
    store: SqlAlarms, source: SqlAlarmSource
) -> None:
    mail = MailEndpoint(host="mail.example.org", sender="p@example.org", recipients=["a@b.org"])
    await store.create_channel(act("desk"), hook(enabled=False), None)
    await store.create_channel(act("mail"), hook("mail", endpoint=mail), None)
    await store.create_channel(act("bus"), hook("bus", endpoint=MqttEndpoint()), None)
    await store.delete_channel(act("mail"), 1)
    setup = source.load(NOW)
    assert [c.channel.id for c in setup.channels] == ["bus"]
    assert [c.id for c in setup.config.channels] == ["bus"]
    page = await store.channels(PageRequest())
    assert [(c.channel.id, c.channel.enabled) for c in page.items] == [
        ("bus", True),
        ("desk", False),
    ]


def test_default_rules_are_given_once_and_not_forced_back(
    engine: Engine, source: SqlAlarmSource
) -> None:
    ensure_default_rules(engine, ManualClock(NOW))
    ensure_default_rules(engine, ManualClock(NOW))
    rules = source.load(NOW).config.rules
    assert rules == sorted(DEFAULT_RULES, key=lambda rule: rule.id)


async def test_default_rules_do_not_come_back_after_all_were_deleted(
    engine: Engine, source: SqlAlarmSource, store: SqlAlarms
) -> None:
    ensure_default_rules(engine, ManualClock(NOW))
    for rule in DEFAULT_RULES:
        await store.delete_rule(act(rule.id), 1)
    ensure_default_rules(engine, ManualClock(NOW))
    assert source.load(NOW).config.rules == []


def test_only_a_window_that_was_opened_and_has_not_ended_suppresses(
    engine: Engine, source: SqlAlarmSource
) -> None:
    hour = timedelta(hours=1)
    windows = [
        ("running", NOW - hour, NOW + hour, NOW - hour, None),
        ("planned", NOW + hour, NOW + 2 * hour, None, None),
        ("ended", NOW - 2 * hour, NOW + hour, NOW - 2 * hour, NOW - hour),
        ("over", NOW - 2 * hour, NOW - hour, NOW - 2 * hour, None),
    ]
    device = {
        "id": "dev",
        "resource_id": "r",
        "maker": "",
        "model": "",
        "serial": "",
        "protocol_note": "",
        "state": "active",
        "provisional": False,
        "version": 1,
        "registered_by": "anna",
        "registered_at": NOW,
        "changed_at": NOW,
    }
    with writing(engine) as connection:
        connection.execute(insert(DEVICES), device)
        for id_, start_at, end_at, opened_at, ended_at in windows:
            row = {
                "id": id_,
                "device_id": "dev",
                "resource_id": f"of-{id_}",
                "start_at": start_at,
                "end_at": end_at,
                "reason": "test",
                "state": "any",
                "is_open": True,
                "version": 1,
                "planned_by": "anna",
                "planned_at": NOW,
                "opened_at": opened_at,
                "ended_at": ended_at,
            }
            connection.execute(insert(MAINTENANCE_WINDOWS), row)
    assert source.under_maintenance(NOW) == ["of-running"]
    assert source.load(NOW).config.suppressed == ["of-running"]


async def test_records_become_alarms_with_history_and_deliveries_once(
    store: SqlAlarms, sink: SqlRecordSink
) -> None:
    run = AlarmCycles(make_rule())
    run.set("r1", power_kw=100.0)
    (notice,) = run.run(10)
    alarm_id = run.alarm().id
    attempts = [
        Attempt(at=run.now, ok=False, detail="status 500"),
        Attempt(at=run.now, ok=True, detail="status 204"),
    ]
    delivery = Delivery(
        notice_id=notice.id,
        channel_id="desk",
        outcome=DeliveryOutcome.DELIVERED,
        finished_at=run.now,
        attempts=attempts,
    )
    run.do(Settled(delivery=delivery))
    run.do(Acknowledged(alarm_id=alarm_id, by="anna", note="gesehen 已知"))
    records = outbox(run)
    sink.write(records[:2])
    sink.write(records)
    sink.write(records)
    detail = await store.alarm(alarm_id)
    assert detail.alarm.state is AlarmState.ACKNOWLEDGED
    assert [(s.trigger, s.by, s.note) for s in detail.history] == [
        ("raise", "system", ""),
        ("acknowledge", "anna", "gesehen 已知"),
    ]
    (told,) = detail.deliveries
    assert (told.outcome, told.attempts) == (DeliveryOutcome.DELIVERED, attempts)
    assert told.reason.value == "raised"
    with pytest.raises(NotFoundError):
        await store.alarm("alarm-unknown")


async def test_alarms_are_filtered_sorted_paged_and_counted(
    store: SqlAlarms, sink: SqlRecordSink
) -> None:
    low = make_rule("low", severity=Severity.LOW, priority=5)
    run = AlarmCycles(make_rule(), low, resources=3)
    for id_ in run.ids:
        run.set(id_, power_kw=100.0)
        run.run(40)
    begin_at = run.alarm("r2").raised_at
    run.do(Acknowledged(alarm_id=run.alarm("r1").id, by="anna", note=""))
    run.set("r1", power_kw=0.0)
    run.run()
    sink.write(outbox(run))

    async def found(sort: str = "", **wanted: object) -> list[tuple[str, str]]:
        request = PageRequest(limit=2, sort=sort)
        items = []
        while True:
            page = await store.alarms(msgspec.convert(wanted, AlarmFilter), request)
            items += page.items
            if page.next_cursor is None:
                return [(alarm.rule_id, alarm.subject_id) for alarm in items]
            request = msgspec.structs.replace(request, cursor=page.next_cursor)

    assert [s for _, s in await found()] == ["r3", "r3", "r2", "r2", "r1", "r1"]
    assert [rule for rule, _ in await found("severity")] == ["hot"] * 3 + ["low"] * 3
    assert await found(standing=False) == [("hot", "r1")]
    assert await found(state="returned") == [("low", "r1")]
    assert len(await found(subject_id="r2")) == 2
    assert len(await found(rule_id="low", from_at=begin_at)) == 2
    assert len(await found(to_at=begin_at)) == 2
    assert len(await found(severity="low")) == 3
    counts = await store.counts(None)
    assert (counts.standing, counts.unacknowledged, counts.grouped) == (5, 5, 0)
    assert counts.by_severity == {"high": 2, "low": 3}


async def test_members_of_a_group_are_counted_apart_and_found_by_it(
    store: SqlAlarms, sink: SqlRecordSink
) -> None:
    run = AlarmCycles(make_rule(), resources=8)
    run.set(*run.ids, power_kw=100.0)
    run.run(10)
    sink.write(outbox(run))
    counts = await store.counts(None)
    assert (counts.standing, counts.grouped) == (1, 8)
    assert (await store.counts(["r1", "r2"])).grouped == 2
    part = AlarmFilter(within=["r1"])
    assert len((await store.alarms(part, PageRequest())).items) == 1
    group_id = run.alarm("group:hot").id
    page = await store.alarms(AlarmFilter(group_id=group_id), PageRequest(limit=200))
    assert len(page.items) == 8


async def test_a_record_that_is_no_alarm_does_not_stop_the_others(
    store: SqlAlarms, sink: SqlRecordSink
) -> None:
    run = AlarmCycles(make_rule())
    run.set("r1", power_kw=100.0)
    run.run()
    broken = OutboxRecord(actor_id="alarms", seq=1, kind="alarm", at=NOW, data={"id": 7})
    sink.write([broken, *outbox(run, first_seq=2)])
    assert (await store.alarm(run.alarm().id)).alarm.active

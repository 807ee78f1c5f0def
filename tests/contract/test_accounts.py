"""Accounts, sessions and keys keep their promises on every database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from alembic import command
from sqlalchemy import select, text

from cluster.storage.database import Database
from cluster.storage.engine import migrate, migration_config, open_engine, reading, writing
from cluster.storage.tables.accounts import USERS
from controllers.kernel.errors import ConflictError, NotFoundError, StaleVersionError
from controllers.kernel.timebase import ManualClock
from controllers.ports.accounts import AccountChange, ApiKey, Session
from controllers.ports.acts import Act
from controllers.ports.pages import PageRequest
from tests.support.accounts import AccountStores, account_stores, make_account

NOW = datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=UTC)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


@pytest.fixture
async def stores(database_url: str, clock: ManualClock) -> AsyncIterator[AccountStores]:
    # Generous: the servers share two cores with the tests.
    database = Database(database_url, clock, answer_within_s=20.0)
    yield account_stores(database)
    await asyncio.to_thread(database.close)


def act(subject: str, by: str = "cli") -> Act:
    return Act(principal=by, action="user.change", subject=subject, data={})


async def add(stores: AccountStores, username: str, *roles: str) -> None:
    account = make_account(username, roles or ["admin"], NOW)
    await stores["accounts"].add(act(username), account, "hash")


async def change(stores: AccountStores, username: str, version: int, by: str = "cli") -> None:
    wanted = AccountChange(disabled=True)
    await stores["accounts"].change(act(username, by), username, version, wanted)


async def open_session(stores: AccountStores, id_: str, username: str = "anna") -> None:
    session = Session(
        id=id_,
        username=username,
        created_at=NOW,
        last_used_at=NOW,
        expires_at=NOW + timedelta(hours=12),
        address="192.0.2.1",
        user_agent="test",
    )
    await stores["sessions"].open(act(id_), session, f"hash of {id_}")


async def test_an_account_is_stored_whole_and_its_name_is_taken_once(stores: AccountStores) -> None:
    account = make_account("anna", ["operator", "trader"], NOW, scope=["site"])
    await stores["accounts"].add(act("anna"), account, "hash")
    assert await stores["accounts"].account("anna") == account
    with pytest.raises(ConflictError):
        await stores["accounts"].add(act("anna"), account, "other")
    credentials = await stores["accounts"].credentials("anna")
    assert credentials is not None
    assert credentials.password_hash == "hash"  # noqa: S105  # of nothing
    assert await stores["accounts"].credentials("Anna") is None
    with pytest.raises(NotFoundError):
        await stores["accounts"].account("ben")


async def test_the_whole_park_and_a_part_are_told_apart(stores: AccountStores) -> None:
    await add(stores, "anna", "operator")
    accounts = stores["accounts"]
    part = await accounts.change(act("anna"), "anna", 1, AccountChange(roles=["trader"]))
    assert part.value.scope is None
    for version, scope in ((2, ["site"]), (3, None)):
        await accounts.change(act("anna"), "anna", version, AccountChange(scope=scope))
        assert (await accounts.account("anna")).scope == scope


async def test_the_last_administrator_stays(stores: AccountStores) -> None:
    await add(stores, "anna")
    await add(stores, "ben", "operator")
    for wanted in (
        AccountChange(disabled=True),
        AccountChange(roles=["operator"]),
        AccountChange(scope=["site"]),
    ):
        with pytest.raises(ConflictError, match="last administrator"):
            await stores["accounts"].change(act("anna"), "anna", 1, wanted)
    await change(stores, "ben", 1)


async def test_two_administrators_cannot_close_each_other_in_one_moment(
    stores: AccountStores,
) -> None:
    await add(stores, "anna")
    await add(stores, "ben")
    results = await asyncio.gather(
        change(stores, "anna", 1, by="ben"),
        change(stores, "ben", 1, by="anna"),
        return_exceptions=True,
    )
    assert sorted(type(r).__name__ for r in results) == ["ConflictError", "NoneType"]


async def test_of_two_changes_of_one_version_one_succeeds(stores: AccountStores) -> None:
    await add(stores, "anna")
    await add(stores, "ben")
    results = await asyncio.gather(
        *(change(stores, "ben", 1) for _ in range(3)), return_exceptions=True
    )
    assert [r for r in results if r is not None and not isinstance(r, StaleVersionError)] == []
    assert results.count(None) == 1


async def test_the_picture_holds_what_the_gate_needs_and_its_version_rises(
    stores: AccountStores, clock: ManualClock
) -> None:
    version = await stores["accounts"].version()
    await add(stores, "anna")
    await open_session(stores, "s1")
    await open_session(stores, "s2")
    await stores["sessions"].end(act("anna"), "anna", "s1")
    for name, days in (("k1", 30), ("k2", 30), ("k3", 1)):
        key = ApiKey(
            id=name,
            name=name,
            owner="anna",
            roles=["admin"],
            scope=None,
            created_at=NOW,
            expires_at=NOW + timedelta(days=days),
        )
        await stores["keys"].add(act(name), key, f"hash of {name}")
    await stores["keys"].revoke(act("k2"), "anna", "k2")
    clock.advance(timedelta(days=1))
    picture = await stores["accounts"].picture(NOW)
    assert picture.version == await stores["accounts"].version() > version
    assert picture.accounts["anna"].roles == ["admin"]
    assert picture.ended_sessions == {"s1"}
    assert {id_: k.secret_hash for id_, k in picture.keys.items()} == {"k1": "hash of k1"}
    assert (await stores["accounts"].picture(NOW + timedelta(seconds=1))).ended_sessions == set()


async def test_a_refresh_token_works_once_whoever_is_first(stores: AccountStores) -> None:
    await add(stores, "anna")
    await open_session(stores, "s1")
    sessions = stores["sessions"]
    rotated = await asyncio.gather(*(sessions.rotate("hash of s1", f"next {n}") for n in range(3)))
    assert sum(r.session is not None and not r.reused for r in rotated) == 1
    for n in range(3):
        assert (await sessions.rotate(f"next {n}", "later")).session is None
    page = await sessions.sessions("anna", PageRequest())
    assert [s.ended_why for s in page.items] == ["refresh token reused"]


async def test_accounts_survive_migration_down_and_up(
    database_url: str, stores: AccountStores
) -> None:
    await add(stores, "anna", "operator")
    await open_session(stores, "s1")
    engine = open_engine(database_url, statement_s=60.0)
    try:
        with writing(engine) as connection:
            command.downgrade(migration_config(connection), "0004")
        with reading(engine) as connection:
            row = connection.execute(text("SELECT * FROM users")).mappings().one()
            assert set(row) == {"username", "password_hash", "roles", "disabled", "created_at"}
        migrate(engine)
        with reading(engine) as connection:
            users = connection.execute(select(USERS)).mappings().one()
        assert (users["version"], users["scope"], users["changed_at"]) == (1, None, NOW)
        assert not users["must_change_password"]
    finally:
        engine.dispose()

"""Accounts for tests, in a real database, without the cost of hashing a password for each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TypedDict

import msgspec
from argon2 import PasswordHasher
from sqlalchemy import insert

from cluster.storage.api_keys import SqlApiKeys
from cluster.storage.approvals import SqlApprovals
from cluster.storage.database import Database
from cluster.storage.lockouts import RedisLockouts
from cluster.storage.quotas import LimitsQuotas
from cluster.storage.sessions import SqlSessions
from cluster.storage.tables.accounts import USERS
from cluster.storage.users import SqlAccounts
from controllers.ports.accounts import Account

PASSWORD = "correct horse battery staple"  # noqa: S105  # of accounts of tests only
# A hash says itself how much work it takes to verify.
PASSWORD_HASH = PasswordHasher(time_cost=1, memory_cost=64).hash(PASSWORD)


class AccountStores(TypedDict):
    """The stores of accounts, as the API is handed them."""

    accounts: SqlAccounts
    sessions: SqlSessions
    keys: SqlApiKeys
    approvals: SqlApprovals
    quotas: LimitsQuotas
    lockouts: RedisLockouts


def account_stores(database: Database) -> AccountStores:
    """Return all of them over one database."""
    return AccountStores(
        accounts=SqlAccounts(database),
        sessions=SqlSessions(database),
        keys=SqlApiKeys(database),
        approvals=SqlApprovals(database),
        quotas=LimitsQuotas(None, database.clock),
        lockouts=RedisLockouts(None, n_free=5, max_wait_s=300.0),
    )


def make_account(
    username: str,
    roles: Sequence[str],
    now: datetime,
    *,
    scope: list[str] | None = None,
    disabled: bool = False,
) -> Account:
    """Return an account."""
    return Account(
        username=username,
        roles=list(roles),
        scope=scope,
        disabled=disabled,
        created_at=now,
        changed_at=now,
    )


async def insert_accounts(database: Database, accounts: Iterable[Account]) -> None:
    """Put accounts with the password ``PASSWORD`` into a database."""
    rows = [{**msgspec.structs.asdict(a), "password_hash": PASSWORD_HASH} for a in accounts]
    await database.write(lambda group: group.connection.execute(insert(USERS), rows))

"""Accounts, written by the command line at set-up; the API only reads them."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection, Engine, func, insert, select

from cluster.storage.audit import AuditFact, append
from cluster.storage.engine import reading, writing
from cluster.storage.tables.accounts import USERS
from controllers.kernel.errors import ConflictError
from controllers.kernel.timebase import Clock
from controllers.ports.operations import User


def add_user(engine: Engine, user: User, *, by: str, clock: Clock) -> None:
    """Add an account, with its audit entry.

    Args:
        engine: a migrated database.
        user: the account.
        by: who adds it, for the audit log.
        clock: gives the instant of the entry.

    Raises:
        ConflictError: the name is taken.
        StorageUnavailableError: nothing was written.
    """
    now = clock.now()
    with writing(engine) as connection:
        if find_user(connection, user.username) is not None:
            raise ConflictError("the name is taken; choose another", current=user.username)
        row = {**msgspec.structs.asdict(user), "created_at": now}
        connection.execute(insert(USERS), row)
        data: dict[str, object] = {"roles": user.roles}
        fact = AuditFact(at=now, principal=by, action="user.add", subject=user.username, data=data)
        append(connection, [fact])


def n_users(engine: Engine) -> int:
    """Return how many accounts there are."""
    with reading(engine) as connection:
        return int(connection.execute(select(func.count()).select_from(USERS)).scalar_one())


def find_user(connection: Connection, username: str) -> User | None:
    """Return an account."""
    query = select(*[USERS.c[name] for name in User.__struct_fields__])
    row = connection.execute(query.where(USERS.c.username == username)).mappings().one_or_none()
    return None if row is None else User(**row)

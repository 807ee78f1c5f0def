"""The SessionStore on SQL: refresh tokens rotate, and one used twice ends its session."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec
from sqlalchemy import Connection, delete, insert, select, update

from cluster.storage.database import Database, Group
from cluster.storage.paging import page_of
from cluster.storage.tables.accounts import ACCOUNTS_VERSION, REFRESH_TOKENS, SESSIONS
from controllers.kernel.errors import NotFoundError
from controllers.ports.accounts import Rotated, Session
from controllers.ports.acts import Act, Done
from controllers.ports.pages import Page, PageRequest

_MAX_OPEN = 20
"""Open sessions per account; the oldest makes room."""
_KEPT = timedelta(days=90)
_S = SESSIONS.c
_T = REFRESH_TOKENS.c


class SqlSessions:
    """A SessionStore on a migrated database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open(self, act: Act, session: Session, token_hash: str) -> None:
        """Store a new session with its first refresh token; the oldest beyond a few ends."""
        now = self._database.clock.now()

        def work(connection: Connection) -> None:
            _forget_old(connection, session.username, now)
            standing = connection.execute(
                select(_S.id)
                .where(_S.username == session.username, _S.ended_at.is_(None), _S.expires_at > now)
                .order_by(_S.created_at.desc(), _S.id.desc())
            ).scalars()
            for surplus in list(standing)[_MAX_OPEN - 1 :]:
                end_sessions(connection, session.username, now, "too many", session_id=surplus)
            connection.execute(insert(SESSIONS), msgspec.structs.asdict(session))
            _add_token(connection, session.id, token_hash, now)

        await self._database.act(act, work, type(None))

    async def rotate(self, token_hash: str, next_hash: str) -> Rotated:
        """Replace a refresh token by the next one, once."""
        now = self._database.clock.now()

        def write(group: Group) -> Rotated:
            connection = group.connection
            # Locked: of two that offer the same token in the same moment, one is the second.
            offered = select(REFRESH_TOKENS).where(_T.token_hash == token_hash).with_for_update()
            token = connection.execute(offered).mappings().one_or_none()
            if token is None:
                return Rotated(session=None)
            query = select(SESSIONS).where(_S.id == token["session_id"])
            session = Session(**connection.execute(query).mappings().one())
            if session.ended_at is not None or session.expires_at <= now:
                return Rotated(session=None)
            if token["used_at"] is not None:
                end_sessions(
                    connection, session.username, now, "refresh token reused", session_id=session.id
                )
                data = {"used_at": token["used_at"].isoformat()}
                group.audit(session.username, "session.reuse", session.id, data)
                return Rotated(session=session, reused=True)
            mark = update(REFRESH_TOKENS).where(_T.token_hash == token_hash).values(used_at=now)
            connection.execute(mark)
            connection.execute(update(SESSIONS).where(_S.id == session.id).values(last_used_at=now))
            _add_token(connection, session.id, next_hash, now)
            return Rotated(session=msgspec.structs.replace(session, last_used_at=now))

        return await self._database.write(write)

    async def end(self, act: Act, username: str, session_id: str | None) -> Done[int]:
        """End one session of an account, or all; returns how many were open."""
        now = self._database.clock.now()

        def work(connection: Connection) -> int:
            if session_id is not None:
                known = select(_S.id).where(_S.id == session_id, _S.username == username)
                if connection.execute(known).first() is None:
                    raise NotFoundError("session", session_id)
            why = "logged out" if act.principal == username else "ended by another"
            return end_sessions(connection, username, now, why, session_id=session_id)

        return await self._database.act(act, work, int)

    async def sessions(self, username: str, request: PageRequest) -> Page[Session]:
        """Return the sessions of an account, newest first, ended ones included."""
        return await self._database.read(
            lambda connection: page_of(
                connection,
                select(SESSIONS).where(_S.username == username),
                request,
                sorts={"created_at": _S.created_at},
                default_sort="-created_at",
                id_column=_S.id,
                build=lambda row: Session(**row),
            )
        )


def end_sessions(
    connection: Connection,
    username: str,
    now: datetime,
    why: str,
    *,
    session_id: str | None = None,
) -> int:
    """End open sessions of an account, all or one; returns how many there were."""
    change = update(SESSIONS).where(_S.username == username, _S.ended_at.is_(None))
    if session_id is not None:
        change = change.where(_S.id == session_id)
    n_ended = connection.execute(change.values(ended_at=now, ended_why=why)).rowcount
    if n_ended:
        raise_version(connection)
    return n_ended


def raise_version(connection: Connection) -> None:
    """Let every process know that accounts, keys or sessions have changed."""
    change = update(ACCOUNTS_VERSION).values(version=ACCOUNTS_VERSION.c.version + 1)
    connection.execute(change)


def _add_token(connection: Connection, session_id: str, token_hash: str, now: datetime) -> None:
    row = {"token_hash": token_hash, "session_id": session_id, "issued_at": now, "used_at": None}
    connection.execute(insert(REFRESH_TOKENS), row)


def _forget_old(connection: Connection, username: str, now: datetime) -> None:
    old = list(
        connection.execute(
            select(_S.id).where(_S.username == username, _S.expires_at < now - _KEPT).limit(200)
        ).scalars()
    )
    if old:
        connection.execute(delete(REFRESH_TOKENS).where(_T.session_id.in_(old)))
        connection.execute(delete(SESSIONS).where(_S.id.in_(old)))

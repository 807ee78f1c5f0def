"""The audit chain: every entry's digest covers the digest before it, so an edit shows.

The head row holds the last sequence number and digest; a writer locks it first, so that entries of
several processes form one chain.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, RowMapping, insert, select, update

from cluster.storage.tables.operations import AUDIT_HEAD, AUDIT_LOG
from controllers.kernel.timebase import require_utc
from controllers.kernel.wire import Wire
from controllers.ports.operations import AuditEntry

_GENESIS = "0" * 64
_PORTION_ROWS = 1000
_LOCK_HEAD = select(AUDIT_HEAD.c.seq, AUDIT_HEAD.c.digest).with_for_update()
_encoder = msgspec.json.Encoder(order="sorted")


class AuditFact(Wire):
    """Who did what to which subject."""

    at: datetime
    principal: str
    action: str
    subject: str
    data: dict[str, object]


def append(connection: Connection, facts: Iterable[AuditFact]) -> None:
    """Append facts to the chain, in one locked step."""
    seq, digest = connection.execute(_LOCK_HEAD).one()
    rows = []
    for seq, fact in enumerate(facts, start=seq + 1):  # noqa: B020 - counting on from the head
        data = _encoder.encode(fact.data).decode()
        row = {**msgspec.structs.asdict(fact), "seq": seq, "data": data}
        digest = _chained(digest, row)
        rows.append({**row, "digest": digest})
    if rows:
        connection.execute(insert(AUDIT_LOG), rows)
        connection.execute(update(AUDIT_HEAD).values(seq=seq, digest=digest))


def _chained(previous: str, row: Mapping[str, Any]) -> str:
    covered = [row["seq"], require_utc("at", row["at"]).isoformat()]
    covered += [row[name] for name in ("principal", "action", "subject", "data")]
    return hashlib.sha256(_encoder.encode([previous, *covered])).hexdigest()


def entry_of(row: RowMapping) -> AuditEntry:
    """Return a stored row as an entry."""
    return AuditEntry(**{**row, "data": msgspec.json.decode(row["data"])})


def all_entries(connection: Connection) -> Iterator[AuditEntry]:
    """Yield every entry, oldest first."""
    return map(entry_of, _rows(connection))


def first_broken(connection: Connection) -> int | None:
    """Return the sequence number at which the chain breaks, or None when it is whole.

    An entry that was changed, added, or taken out is found, the last one too.
    """
    digest, seq = _GENESIS, 0
    for row in _rows(connection):
        seq += 1
        digest = _chained(digest, {**row, "seq": seq})
        if row["seq"] != seq or row["digest"] != digest:
            return seq
    head = connection.execute(select(AUDIT_HEAD)).mappings().one()
    return None if (head["seq"], head["digest"]) == (seq, digest) else seq + 1


def _rows(connection: Connection) -> Iterator[RowMapping]:
    # In portions: no driver need hold the whole log, and no statement takes long.
    portion = select(AUDIT_LOG).order_by(AUDIT_LOG.c.seq).limit(_PORTION_ROWS)
    rows = connection.execute(portion).mappings().all()
    while rows:
        yield from rows
        after = AUDIT_LOG.c.seq > rows[-1]["seq"]
        rows = connection.execute(portion.where(after)).mappings().all()

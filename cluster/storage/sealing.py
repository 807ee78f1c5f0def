"""Seals every stored secret anew, with whatever key the box seals with now."""

from __future__ import annotations

from sqlalchemy import Engine, Table, bindparam, select, update

from cluster.storage.audit import AuditFact, append
from cluster.storage.engine import writing
from cluster.storage.tables import METADATA
from cluster.storage.tables.base import Sealed
from controllers.kernel.timebase import Clock
from controllers.ports.secrets import SecretBox


def reseal_all(engine: Engine, box: SecretBox, clock: Clock, *, by: str = "cli") -> int:
    """Open and seal every value of every sealed column, all or none; returns how many.

    Args:
        engine: a migrated database.
        box: opens with any of its keys, seals with the newest.
        clock: gives the instant of the audit entry.
        by: who asked, for the audit log.

    Raises:
        SealBrokenError: a value cannot be opened; nothing was changed.
        StorageUnavailableError: nothing was changed.
    """
    n_secrets = 0
    with writing(engine) as connection:
        for table, name in sealed_columns():
            keys = list(table.primary_key.columns)
            column = table.c[name]
            rows = connection.execute(select(*keys, column).where(column.is_not(None))).all()
            matches = [key == bindparam(f"key_{i}") for i, key in enumerate(keys)]
            change = update(table).where(*matches).values({name: bindparam("sealed")})
            for *values, sealed in rows:
                where = {f"key_{i}": value for i, value in enumerate(values)}
                connection.execute(change, {**where, "sealed": box.seal(box.open(sealed))})
            n_secrets += len(rows)
        data: dict[str, object] = {"n_secrets": n_secrets}
        fact = AuditFact(
            at=clock.now(), principal=by, action="secrets.rotate", subject="secrets", data=data
        )
        append(connection, [fact])
    return n_secrets


def sealed_columns() -> list[tuple[Table, str]]:
    """Return every column that holds sealed secrets, as table and name."""
    return [
        (table, column.name)
        for table in METADATA.sorted_tables
        for column in table.columns
        if isinstance(column.type, Sealed)
    ]

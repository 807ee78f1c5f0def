"""Migrations go up and down, step by step and with rows in every table, on every database."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Connection,
    Date,
    DateTime,
    Engine,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    String,
    Table,
    func,
    insert,
    inspect,
    select,
)
from sqlalchemy.dialects.mysql import TINYINT

from cluster.storage.engine import migrate, migrating, migration_config, open_engine, reading
from cluster.storage.tables import METADATA
from controllers.kernel.errors import StorageUnavailableError

N_ROWS = 2


@pytest.fixture
def engine(empty_database_url: str) -> Iterator[Engine]:
    engine = open_engine(empty_database_url)
    yield engine
    engine.dispose()


def revisions() -> list[str]:
    """Return every revision, the first one first."""
    engine = open_engine("sqlite://")
    with reading(engine) as connection:
        scripts = ScriptDirectory.from_config(migration_config(connection))
    engine.dispose()
    return [script.revision for script in scripts.walk_revisions()][::-1]


def value_of(column: Column[object], n: int) -> object:
    """Return what a column holds in row n; the same for the same type, so that keys fit."""
    kinds: list[tuple[type, object]] = [
        (Boolean, n == 1),
        (TINYINT, n == 1),
        (DateTime, datetime(2026, 1, n, tzinfo=UTC)),
        (Date, date(2026, 1, n)),
        (JSON, [n]),
        (Integer, n),
        (Numeric, 0.5 + n),
        (Float, 0.5 + n),
        (LargeBinary, b"%d" % n),
        # Valid JSON too, which is a string to MariaDB.
        (String, str(n)),
    ]
    return next(value for kind, value in kinds if isinstance(column.type, kind))


def row_of(connection: Connection, table: Table, n: int) -> dict[str, object]:
    """Return row n of a table; where it refers to another table, to a row that is there."""
    row = {column.name: value_of(column, n) for column in table.columns}
    for key in table.foreign_key_constraints:
        names = [element.column.name for element in key.elements]
        parents = connection.execute(select(key.referred_table).order_by(*names)).mappings().all()
        if parents:
            parent = parents[(n - 1) % len(parents)]
            row |= dict(zip(key.column_keys, (parent[name] for name in names), strict=True))
    return row


def fill(connection: Connection) -> None:
    """Put rows into every table that has none."""
    tables = MetaData()
    tables.reflect(connection)
    for table in tables.sorted_tables:
        if connection.execute(select(func.count()).select_from(table)).scalar_one() == 0:
            rows = [row_of(connection, table, n) for n in range(1, N_ROWS + 1)]
            connection.execute(insert(table), rows)


def counts(connection: Connection) -> dict[str, int]:
    """Return how many rows each table has."""
    tables = MetaData()
    tables.reflect(connection)
    return {
        table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
        for table in tables.sorted_tables
    }


def test_every_step_up_keeps_the_rows_that_were_there(engine: Engine) -> None:
    for revision in revisions():
        with migrating(engine) as connection:
            before = counts(connection)
            command.upgrade(migration_config(connection), revision)
        with migrating(engine) as connection:
            after = counts(connection)
            assert {name: after[name] for name in before if name in after} == before
            fill(connection)
    with reading(engine) as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
        assert min(counts(connection).values()) >= 1


def test_every_step_down_works_with_rows_and_up_again(engine: Engine) -> None:
    migrate(engine)
    with migrating(engine) as connection:
        fill(connection)
    for _ in revisions():
        with migrating(engine) as connection:
            command.downgrade(migration_config(connection), "-1")
    assert set(inspect(engine).get_table_names()) == {"alembic_version"}
    migrate(engine)
    with reading(engine) as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []


def test_migrating_again_changes_nothing(engine: Engine) -> None:
    migrate(engine)
    with migrating(engine) as connection:
        fill(connection)
        before = counts(connection)
    migrate(engine)
    with reading(engine) as connection:
        assert counts(connection) == before


def delete_a_parent(engine: Engine) -> None:
    with migrating(engine) as connection:
        fill(connection)
        connection.exec_driver_sql("DELETE FROM parks")


def test_rows_left_without_their_parent_stop_a_migration(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'parkgrid.sqlite'}")
    migrate(engine)
    with pytest.raises(StorageUnavailableError, match="belongs to none in parks"):
        delete_a_parent(engine)
    with reading(engine) as connection:
        assert counts(connection)["vpp_resources"] == 0
    engine.dispose()

"""Migrations go up and down, step by step and with rows in every table, on every database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import (
    Connection,
    Engine,
    MetaData,
    func,
    inspect,
    select,
)

from cluster.storage.engine import (
    migrate,
    migrating,
    migration_config,
    open_engine,
    reading,
    revisions,
)
from cluster.storage.tables import METADATA
from controllers.kernel.errors import StorageUnavailableError
from tests.support.rows import fill


@pytest.fixture
def engine(empty_database_url: str) -> Iterator[Engine]:
    engine = open_engine(empty_database_url)
    yield engine
    engine.dispose()


def counts(connection: Connection) -> dict[str, int]:
    """Return how many rows each table has."""
    tables = MetaData()
    tables.reflect(connection)
    return {
        table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
        for table in tables.sorted_tables
    }


def test_every_step_up_keeps_the_rows_that_were_there(engine: Engine) -> None:
    for revision in reversed(revisions()):
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

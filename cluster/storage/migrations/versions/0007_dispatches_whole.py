"""Dispatches are listed from their table alone, and final delivery reports are kept beside them."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0007"
down_revision = "0006"

_TABLE = "vpp_dispatches"
_MYSQL = ("mysql", "mariadb")
_INSTANT = sa.DateTime(timezone=True).with_variant(mysql.DATETIME(fsp=6), *_MYSQL)
_TEXT = sa.Text().with_variant(mysql.LONGTEXT(), *_MYSQL)
_ADDED: dict[str, Any] = {
    "reason": _TEXT,
    "priority": sa.Integer(),
    "tolerance_kw": sa.Double(),
    "issued_at": _INSTANT,
}
# What rows of before did not say: the last note for the reason, the rank of the market, and for
# the issue the earliest instant they name.
_FILL = """
UPDATE vpp_dispatches SET reason = note, priority = 5, tolerance_kw = 0,
    issued_at = CASE WHEN start_at < recorded_at THEN start_at ELSE recorded_at END
"""
_INDEXED = (("aggregation_id", "issued_at"), ("issued_at",), ("start_at",))


def upgrade() -> None:
    """Add the columns, fill them, and create the table of reports."""
    for name, type_ in _ADDED.items():
        op.add_column(_TABLE, sa.Column(name, type_))
    op.add_column(_TABLE, sa.Column("ended_at", _INSTANT))
    op.execute(_FILL)
    with op.batch_alter_table(_TABLE) as batch:
        for name, type_ in _ADDED.items():
            batch.alter_column(name, existing_type=type_, nullable=False)
    _order_by_the_byte("C")
    for columns in _INDEXED:
        op.create_index(f"ix_{_TABLE}_{'_'.join(columns)}", _TABLE, list(columns))
    op.create_table(
        "dispatch_reports",
        sa.Column("dispatch_id", sa.String(128), nullable=False),
        sa.Column("record_seq", sa.BigInteger(), nullable=False),
        sa.Column("report", _TEXT, nullable=False),
        sa.PrimaryKeyConstraint("dispatch_id", name=op.f("pk_dispatch_reports")),
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_table("dispatch_reports")
    for columns in _INDEXED:
        op.drop_index(f"ix_{_TABLE}_{'_'.join(columns)}", table_name=_TABLE)
    _order_by_the_byte("default")
    with op.batch_alter_table(_TABLE) as batch:
        for name in (*_ADDED, "ended_at"):
            batch.drop_column(name)


def _order_by_the_byte(collation: str) -> None:
    """Let PostgreSQL order ids as the others do: pages merge its rows with live dispatches."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(f'ALTER TABLE {_TABLE} ALTER COLUMN id TYPE VARCHAR(128) COLLATE "{collation}"')

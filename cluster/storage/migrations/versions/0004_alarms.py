"""Alarms: rules, channels, what was raised, its steps, and the delivery of notices."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0004"
down_revision = "0003"

INSTANT = sa.DateTime(timezone=True).with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
LONG_TEXT = sa.Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")
ID = sa.String(length=64)
PRINCIPAL = sa.String(length=128)
WORD = sa.String(length=24)


def upgrade() -> None:
    """Create the tables and their indexes."""
    setup = op.create_table(
        "alarm_setup",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_alarm_setup"),
    )
    op.bulk_insert(setup, [{"id": 1, "version": 0}])
    op.create_table(
        "alarm_rules",
        sa.Column("id", ID, nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("definition", sa.JSON(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("changed_at", INSTANT, nullable=False),
        sa.Column("changed_by", PRINCIPAL, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_alarm_rules"),
    )
    op.create_table(
        "alarm_channels",
        sa.Column("id", ID, nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("definition", sa.JSON(), nullable=False),
        sa.Column("sealed_secret", LONG_TEXT),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("changed_at", INSTANT, nullable=False),
        sa.Column("changed_by", PRINCIPAL, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_alarm_channels"),
    )
    op.create_table(
        "alarms",
        sa.Column("id", ID, nullable=False),
        sa.Column("rule_id", ID, nullable=False),
        sa.Column("subject_id", sa.String(length=80), nullable=False),
        sa.Column("group_id", ID),
        sa.Column("severity", WORD, nullable=False),
        sa.Column("severity_level", sa.Integer(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("state", WORD, nullable=False),
        sa.Column("is_standing", sa.Boolean(), nullable=False),
        sa.Column("raised_at", INSTANT, nullable=False),
        sa.Column("changed_at", INSTANT, nullable=False),
        sa.Column("alarm", sa.JSON(), nullable=False),
        sa.Column("record_seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_alarms"),
    )
    for columns in _ALARM_INDEXES:
        op.create_index(f"ix_alarms_{'_'.join(columns)}", "alarms", columns)
    op.create_table(
        "alarm_steps",
        sa.Column("alarm_id", ID, nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("step", WORD, nullable=False),
        sa.Column("state", WORD, nullable=False),
        sa.Column("severity", WORD, nullable=False),
        sa.Column("principal", PRINCIPAL, nullable=False),
        sa.Column("note", LONG_TEXT, nullable=False),
        sa.PrimaryKeyConstraint("alarm_id", "seq", name="pk_alarm_steps"),
    )
    op.create_table(
        "alarm_deliveries",
        sa.Column("notice_id", ID, nullable=False),
        sa.Column("alarm_id", ID, nullable=False),
        sa.Column("channel_id", ID, nullable=False),
        sa.Column("reason", WORD, nullable=False),
        sa.Column("outcome", WORD, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("finished_at", INSTANT, nullable=False),
        sa.Column("attempts", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("notice_id", name="pk_alarm_deliveries"),
    )
    op.create_index(
        "ix_alarm_deliveries_alarm_id_created_at", "alarm_deliveries", ["alarm_id", "created_at"]
    )


def downgrade() -> None:
    """Drop the tables with everything in them."""
    for table in (
        "alarm_deliveries",
        "alarm_steps",
        "alarms",
        "alarm_channels",
        "alarm_rules",
        "alarm_setup",
    ):
        op.drop_table(table)


_ALARM_INDEXES = (
    ["raised_at", "id"],
    ["is_standing", "raised_at"],
    ["subject_id", "raised_at"],
    ["rule_id", "raised_at"],
)

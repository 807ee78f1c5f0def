"""Devices: registration, accounts, configuration, commands, maintenance and what they reported."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0002"
down_revision = "0001"

INSTANT = sa.DateTime(timezone=True).with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
LONG_TEXT = sa.Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")
ID = sa.String(length=64)
PRINCIPAL = sa.String(length=128)


def upgrade() -> None:
    """Create the tables and their indexes."""
    revision_table = op.create_table(
        "device_revision",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_device_revision"),
    )
    op.bulk_insert(revision_table, [{"id": 1, "revision": 0}])
    op.create_table(
        "devices",
        sa.Column("id", ID, nullable=False),
        sa.Column("resource_id", ID, nullable=False),
        sa.Column("holds_resource_id", ID),
        sa.Column("maker", sa.String(length=120), nullable=False),
        sa.Column("model", sa.String(length=120), nullable=False),
        sa.Column("serial", sa.String(length=120), nullable=False),
        sa.Column("protocol_note", LONG_TEXT, nullable=False),
        sa.Column("firmware_target", sa.String(length=64)),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("provisional", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("registered_by", PRINCIPAL, nullable=False),
        sa.Column("registered_at", INSTANT, nullable=False),
        sa.Column("changed_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_devices"),
        sa.UniqueConstraint("holds_resource_id", name="uq_devices_holds_resource_id"),
    )
    op.create_index("ix_devices_resource_id", "devices", ["resource_id"])
    op.create_index("ix_devices_maker", "devices", ["maker"])
    op.create_table(
        "device_credentials",
        sa.Column("id", ID, nullable=False),
        sa.Column("device_id", ID, nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("password_hash", sa.String(length=255)),
        sa.Column("created_by", PRINCIPAL, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("valid_until", INSTANT),
        sa.Column("revoked_at", INSTANT),
        _of_device("device_credentials"),
        sa.PrimaryKeyConstraint("id", name="pk_device_credentials"),
        sa.UniqueConstraint("name", name="uq_device_credentials_name"),
    )
    op.create_index("ix_device_credentials_device_id", "device_credentials", ["device_id"])
    op.create_table(
        "device_configurations",
        sa.Column("device_id", ID, nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.Column("note", sa.String(length=500), nullable=False),
        sa.Column("restores", sa.Integer()),
        sa.Column("created_by", PRINCIPAL, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        _of_device("device_configurations"),
        sa.PrimaryKeyConstraint("device_id", "version", name="pk_device_configurations"),
    )
    _create_upkeep()
    _create_reports()


def _create_upkeep() -> None:
    op.create_table(
        "device_commands",
        sa.Column("id", ID, nullable=False),
        sa.Column("device_id", ID, nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("is_open", sa.Boolean(), nullable=False),
        sa.Column("issued_by", PRINCIPAL, nullable=False),
        sa.Column("issued_at", INSTANT, nullable=False),
        sa.Column("expires_at", INSTANT, nullable=False),
        sa.Column("sent_at", INSTANT),
        sa.Column("acknowledged_at", INSTANT),
        sa.Column("ended_at", INSTANT),
        sa.Column("detail", sa.String(length=500), nullable=False),
        _of_device("device_commands"),
        sa.PrimaryKeyConstraint("id", name="pk_device_commands"),
    )
    op.create_index(
        "ix_device_commands_device_id_issued_at", "device_commands", ["device_id", "issued_at"]
    )
    op.create_index("ix_device_commands_is_open", "device_commands", ["is_open"])
    op.create_table(
        "maintenance_windows",
        sa.Column("id", ID, nullable=False),
        sa.Column("device_id", ID, nullable=False),
        sa.Column("resource_id", ID, nullable=False),
        sa.Column("start_at", INSTANT, nullable=False),
        sa.Column("end_at", INSTANT, nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("is_open", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("planned_by", PRINCIPAL, nullable=False),
        sa.Column("planned_at", INSTANT, nullable=False),
        sa.Column("opened_at", INSTANT),
        sa.Column("ended_at", INSTANT),
        _of_device("maintenance_windows"),
        sa.PrimaryKeyConstraint("id", name="pk_maintenance_windows"),
    )
    op.create_index(
        "ix_maintenance_windows_device_id_start_at",
        "maintenance_windows",
        ["device_id", "start_at"],
    )
    op.create_index("ix_maintenance_windows_start_at", "maintenance_windows", ["start_at"])
    op.create_index("ix_maintenance_windows_is_open", "maintenance_windows", ["is_open"])
    op.create_table(
        "work_log",
        sa.Column("id", ID, nullable=False),
        sa.Column("device_id", ID, nullable=False),
        sa.Column("window_id", ID),
        sa.Column("text", LONG_TEXT, nullable=False),
        sa.Column("written_by", PRINCIPAL, nullable=False),
        sa.Column("written_at", INSTANT, nullable=False),
        _of_device("work_log"),
        sa.PrimaryKeyConstraint("id", name="pk_work_log"),
    )
    op.create_index("ix_work_log_device_id_written_at", "work_log", ["device_id", "written_at"])


def _create_reports() -> None:
    op.create_table(
        "device_reports",
        sa.Column("device_id", ID, nullable=False),
        sa.Column("mode", sa.String(length=16), nullable=False),
        sa.Column("boot_id", sa.String(length=64), nullable=False),
        sa.Column("detail", sa.String(length=500), nullable=False),
        sa.Column("firmware", sa.String(length=64)),
        sa.Column("configuration_version", sa.Integer()),
        sa.Column("heard_at", INSTANT, nullable=False),
        _of_device("device_reports"),
        sa.PrimaryKeyConstraint("device_id", name="pk_device_reports"),
    )
    op.create_table(
        "firmware_history",
        sa.Column("id", ID, nullable=False),
        sa.Column("device_id", ID, nullable=False),
        sa.Column("previous", sa.String(length=64)),
        sa.Column("firmware", sa.String(length=64), nullable=False),
        sa.Column("noticed_at", INSTANT, nullable=False),
        _of_device("firmware_history"),
        sa.PrimaryKeyConstraint("id", name="pk_firmware_history"),
    )
    op.create_index(
        "ix_firmware_history_device_id_noticed_at", "firmware_history", ["device_id", "noticed_at"]
    )
    op.create_table(
        "device_connectivity",
        sa.Column("device_id", ID, nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("watched_s", sa.Double(), nullable=False),
        sa.Column("online_s", sa.Double(), nullable=False),
        sa.Column("n_disconnects", sa.Integer(), nullable=False),
        sa.Column("n_messages", sa.BigInteger(), nullable=False),
        sa.Column("n_gaps", sa.Integer(), nullable=False),
        sa.Column("longest_gap_s", sa.Double(), nullable=False),
        sa.Column("last_seen_at", INSTANT),
        _of_device("device_connectivity"),
        sa.PrimaryKeyConstraint("device_id", "day", name="pk_device_connectivity"),
    )


def _of_device(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["device_id"], ["devices.id"], name=f"fk_{table}_devices")


def downgrade() -> None:
    """Drop the tables with everything in them."""
    # With a table go its indexes; MariaDB lets none go that a foreign key needs.
    for table in (
        "device_connectivity",
        "firmware_history",
        "device_reports",
        "work_log",
        "maintenance_windows",
        "device_commands",
        "device_configurations",
        "device_credentials",
        "devices",
        "device_revision",
    ):
        op.drop_table(table)

"""Devices: registration, accounts, configuration, commands, maintenance and what they reported."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Date,
    Double,
    ForeignKeyConstraint,
    Index,
    Integer,
    String,
    Table,
    UniqueConstraint,
)

from cluster.storage.tables.base import ID, LONG_TEXT, METADATA, PRINCIPAL, UtcInstant

_LABEL = String(120)
_DEVICE = ["devices.id"]

# One row: what others compare to see that something here has changed. Whoever changes devices
# raises it first, so that changes of several processes come one after the other.
DEVICE_REVISION = Table(
    "device_revision",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("revision", BigInteger, nullable=False),
)

DEVICES = Table(
    "devices",
    METADATA,
    Column("id", ID, primary_key=True),
    Column("resource_id", ID, nullable=False),
    # The resource while the device is active, else null: at most one active device each.
    Column("holds_resource_id", ID),
    Column("maker", _LABEL, nullable=False),
    Column("model", _LABEL, nullable=False),
    Column("serial", _LABEL, nullable=False),
    Column("protocol_note", LONG_TEXT, nullable=False),
    Column("firmware_target", String(64)),
    Column("state", String(16), nullable=False),
    Column("provisional", Boolean, nullable=False),
    Column("version", Integer, nullable=False),
    Column("registered_by", PRINCIPAL, nullable=False),
    Column("registered_at", UtcInstant, nullable=False),
    Column("changed_at", UtcInstant, nullable=False),
    UniqueConstraint("holds_resource_id", name="uq_devices_holds_resource_id"),
    Index(None, "resource_id"),
    Index(None, "maker"),
)

DEVICE_CREDENTIALS = Table(
    "device_credentials",
    METADATA,
    Column("id", ID, primary_key=True),
    Column("device_id", ID, nullable=False),
    Column("name", String(80), nullable=False),
    # As the broker's password file has it; erased when the account has ended.
    Column("password_hash", String(255)),
    Column("created_by", PRINCIPAL, nullable=False),
    Column("created_at", UtcInstant, nullable=False),
    Column("valid_until", UtcInstant),
    Column("revoked_at", UtcInstant),
    UniqueConstraint("name", name="uq_device_credentials_name"),
    ForeignKeyConstraint(["device_id"], _DEVICE),
    Index(None, "device_id"),
)

DEVICE_CONFIGURATIONS = Table(
    "device_configurations",
    METADATA,
    Column("device_id", ID, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("settings", JSON, nullable=False),
    Column("note", String(500), nullable=False),
    Column("restores", Integer),
    Column("created_by", PRINCIPAL, nullable=False),
    Column("created_at", UtcInstant, nullable=False),
    ForeignKeyConstraint(["device_id"], _DEVICE),
)

DEVICE_COMMANDS = Table(
    "device_commands",
    METADATA,
    Column("id", ID, primary_key=True),
    Column("device_id", ID, nullable=False),
    Column("kind", String(32), nullable=False),
    Column("reason", String(500), nullable=False),
    Column("state", String(16), nullable=False),
    # True until it has come to an end; what the sender looks for.
    Column("is_open", Boolean, nullable=False),
    Column("issued_by", PRINCIPAL, nullable=False),
    Column("issued_at", UtcInstant, nullable=False),
    Column("expires_at", UtcInstant, nullable=False),
    Column("sent_at", UtcInstant),
    Column("acknowledged_at", UtcInstant),
    Column("ended_at", UtcInstant),
    Column("detail", String(500), nullable=False),
    ForeignKeyConstraint(["device_id"], _DEVICE),
    Index(None, "device_id", "issued_at"),
    Index(None, "is_open"),
)

MAINTENANCE_WINDOWS = Table(
    "maintenance_windows",
    METADATA,
    Column("id", ID, primary_key=True),
    Column("device_id", ID, nullable=False),
    Column("resource_id", ID, nullable=False),
    Column("start_at", UtcInstant, nullable=False),
    Column("end_at", UtcInstant, nullable=False),
    Column("reason", String(500), nullable=False),
    Column("state", String(16), nullable=False),
    # True until the resource has been told of the end; what the follower looks for.
    Column("is_open", Boolean, nullable=False),
    Column("version", Integer, nullable=False),
    Column("planned_by", PRINCIPAL, nullable=False),
    Column("planned_at", UtcInstant, nullable=False),
    Column("opened_at", UtcInstant),
    Column("ended_at", UtcInstant),
    ForeignKeyConstraint(["device_id"], _DEVICE),
    Index(None, "device_id", "start_at"),
    Index(None, "start_at"),
    Index(None, "is_open"),
)

WORK_LOG = Table(
    "work_log",
    METADATA,
    Column("id", ID, primary_key=True),
    Column("device_id", ID, nullable=False),
    Column("window_id", ID),
    Column("text", LONG_TEXT, nullable=False),
    Column("written_by", PRINCIPAL, nullable=False),
    Column("written_at", UtcInstant, nullable=False),
    ForeignKeyConstraint(["device_id"], _DEVICE),
    Index(None, "device_id", "written_at"),
)

# What a device last said of itself; written by machines only, so it has no version.
DEVICE_REPORTS = Table(
    "device_reports",
    METADATA,
    Column("device_id", ID, primary_key=True),
    Column("mode", String(16), nullable=False),
    Column("boot_id", String(64), nullable=False),
    Column("detail", String(500), nullable=False),
    Column("firmware", String(64)),
    Column("configuration_version", Integer),
    Column("heard_at", UtcInstant, nullable=False),
    ForeignKeyConstraint(["device_id"], _DEVICE),
)

FIRMWARE_HISTORY = Table(
    "firmware_history",
    METADATA,
    Column("id", ID, primary_key=True),
    Column("device_id", ID, nullable=False),
    Column("previous", String(64)),
    Column("firmware", String(64), nullable=False),
    Column("noticed_at", UtcInstant, nullable=False),
    ForeignKeyConstraint(["device_id"], _DEVICE),
    Index(None, "device_id", "noticed_at"),
)

DEVICE_CONNECTIVITY = Table(
    "device_connectivity",
    METADATA,
    Column("device_id", ID, primary_key=True),
    # UTC.
    Column("day", Date, primary_key=True),
    Column("watched_s", Double, nullable=False),
    Column("online_s", Double, nullable=False),
    Column("n_disconnects", Integer, nullable=False),
    Column("n_messages", BigInteger, nullable=False),
    Column("n_gaps", Integer, nullable=False),
    Column("longest_gap_s", Double, nullable=False),
    Column("last_seen_at", UtcInstant),
    ForeignKeyConstraint(["device_id"], _DEVICE),
)

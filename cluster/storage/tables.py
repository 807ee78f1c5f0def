"""The SQL tables, portable between SQLite, PostgreSQL and MariaDB; migrations create the same.

Names of the ``vpp_*`` tables are those the operators' other systems already use. Instants are kept
in UTC to the microsecond. Numbers carry their unit in the column's name.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Double,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
)
from sqlalchemy.dialects import mysql


class UtcInstant(TypeDecorator[datetime]):
    """An aware UTC instant, whatever the database thinks of time zones."""

    impl = DateTime(timezone=True).with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Turn to UTC; a naive instant is a mistake of the caller.

        Raises:
            ValueError: the instant is naive.
        """
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a stored instant must carry a time zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give back what SQLite and MariaDB drop."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


ID = String(64)
PRINCIPAL = String(128)
# MariaDB's TEXT ends at 64 kB.
LONG_TEXT = Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")

METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
    }
)

PARKS = Table(
    "parks",
    METADATA,
    Column("id", ID, primary_key=True),
    Column("name", String(120), nullable=False),
    Column("timezone", String(64), nullable=False),
    Column("currency", String(3), nullable=False),
    Column("tariff", JSON, nullable=False),
    Column("valid_from", UtcInstant),
    # Rises with every change of any park.
    Column("version", Integer, nullable=False),
    # True for the one park this installation runs.
    Column("is_wanted", Boolean, nullable=False),
    Column("changed_at", UtcInstant, nullable=False),
)

RESOURCES = Table(
    "vpp_resources",
    METADATA,
    Column("park_id", ID, primary_key=True),
    Column("id", ID, primary_key=True),
    # Order in the park file, here and below.
    Column("position", Integer, nullable=False),
    Column("name", String(120), nullable=False),
    Column("kind", String(64), nullable=False),
    Column("parameters", JSON, nullable=False),
    Column("consumption_positive", Boolean, nullable=False),
    Column("fallback", String(16), nullable=False),
    Column("fallback_limit_kw", Double),
    Column("latitude_deg", Double),
    Column("longitude_deg", Double),
    ForeignKeyConstraint(["park_id"], ["parks.id"]),
)

AGGREGATIONS = Table(
    "vpp_aggregations",
    METADATA,
    Column("park_id", ID, primary_key=True),
    Column("id", ID, primary_key=True),
    Column("position", Integer, nullable=False),
    Column("name", String(120), nullable=False),
    Column("period_s", Double, nullable=False),
    Column("max_import_kw", Double),
    Column("max_export_kw", Double),
    Column("tolerance_frac", Double, nullable=False),
    Column("tolerance_kw", Double, nullable=False),
    ForeignKeyConstraint(["park_id"], ["parks.id"]),
)

AGGREGATION_RESOURCES = Table(
    "vpp_aggregation_resources",
    METADATA,
    Column("park_id", ID, primary_key=True),
    Column("aggregation_id", ID, primary_key=True),
    Column("position", Integer, primary_key=True),
    # A resource or a nested aggregation.
    Column("member_id", ID, nullable=False),
    ForeignKeyConstraint(
        ["park_id", "aggregation_id"], ["vpp_aggregations.park_id", "vpp_aggregations.id"]
    ),
)

USERS = Table(
    "users",
    METADATA,
    Column("username", PRINCIPAL, primary_key=True),
    Column("password_hash", String(255), nullable=False),
    Column("roles", JSON, nullable=False),
    Column("disabled", Boolean, nullable=False),
    Column("created_at", UtcInstant, nullable=False),
)

AUDIT_LOG = Table(
    "audit_log",
    METADATA,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("at", UtcInstant, nullable=False),
    Column("principal", PRINCIPAL, nullable=False),
    Column("action", String(64), nullable=False),
    Column("subject", String(255), nullable=False),
    # Text, not JSON: the digest covers these very bytes.
    Column("data", LONG_TEXT, nullable=False),
    Column("digest", String(64), nullable=False),
    Index(None, "subject", "seq"),
)

AUDIT_HEAD = Table(
    "audit_head",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, nullable=False),
    Column("digest", String(64), nullable=False),
)

IDEMPOTENCY_KEYS = Table(
    "idempotency_keys",
    METADATA,
    Column("principal", PRINCIPAL, primary_key=True),
    Column("key", PRINCIPAL, primary_key=True),
    Column("fingerprint", String(128), nullable=False),
    Column("subject_id", String(255), nullable=False),
    Column("status", Integer),
    Column("response", LONG_TEXT),
    Column("created_at", UtcInstant, nullable=False),
)

DISPATCHES = Table(
    "vpp_dispatches",
    METADATA,
    Column("id", PRINCIPAL, primary_key=True),
    Column("aggregation_id", ID, nullable=False),
    Column("target_kw", Double, nullable=False),
    Column("start_at", UtcInstant, nullable=False),
    Column("end_at", UtcInstant, nullable=False),
    Column("ramp_kw_per_min", Double),
    Column("issued_by", PRINCIPAL, nullable=False),
    Column("version", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("note", LONG_TEXT, nullable=False),
    Column("recorded_at", UtcInstant, nullable=False),
    # Last outbox record folded in.
    Column("record_seq", BigInteger, nullable=False),
    Index(None, "aggregation_id", "start_at"),
)

COMMAND_RECORDS = Table(
    "command_records",
    METADATA,
    Column("actor_id", ID, primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", String(64), nullable=False),
    Column("at", UtcInstant, nullable=False),
    Column("data", JSON, nullable=False),
    Index(None, "at"),
)

WANTED_KILLS = Table(
    "wanted_kills",
    METADATA,
    Column("resource_id", ID, primary_key=True),
    Column("principal", PRINCIPAL, nullable=False),
    Column("wanted_at", UtcInstant, nullable=False),
)

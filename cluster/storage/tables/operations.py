"""What was done: audit chain, idempotency keys, dispatches, records of actors."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Double,
    Index,
    Integer,
    String,
    Table,
)

from cluster.storage.tables.base import ID, LONG_TEXT, METADATA, PRINCIPAL, UtcInstant

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
    Index(None, "principal", "seq"),
    Index(None, "action", "seq"),
    Index(None, "at"),
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
    Index(None, "created_at"),
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
    Column("reason", LONG_TEXT, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("tolerance_kw", Double, nullable=False),
    Column("issued_at", UtcInstant, nullable=False),
    Column("ended_at", UtcInstant),
    Column("recorded_at", UtcInstant, nullable=False),
    # Last outbox record folded in.
    Column("record_seq", BigInteger, nullable=False),
    Index(None, "aggregation_id", "start_at"),
    Index(None, "aggregation_id", "issued_at"),
    Index(None, "issued_at"),
    Index(None, "start_at"),
)

DISPATCH_REPORTS = Table(
    "dispatch_reports",
    METADATA,
    Column("dispatch_id", PRINCIPAL, primary_key=True),
    Column("record_seq", BigInteger, nullable=False),
    # Text, not JSON: it is read whole or not at all.
    Column("report", LONG_TEXT, nullable=False),
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

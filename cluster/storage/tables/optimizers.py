"""Optimizers that people deployed, and how their plans did."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKeyConstraint,
    Index,
    Integer,
    String,
    Table,
)

from cluster.storage.tables.base import ID, LONG_TEXT, METADATA, PRINCIPAL, UtcInstant

# One row; actors look whether it has risen.
OPTIMIZER_REVISION = Table(
    "optimizer_revision",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("revision", BigInteger, nullable=False),
)

OPTIMIZERS = Table(
    "optimizers",
    METADATA,
    Column("id", ID, primary_key=True),
    Column("name", ID, nullable=False),
    Column("file_name", String(120), nullable=False),
    Column("environment", ID),
    Column("sha256", String(64), nullable=False),
    Column("n_bytes", Integer, nullable=False),
    Column("note", String(500), nullable=False),
    Column("state", String(16), nullable=False),
    Column("replaced", ID),
    Column("reason", String(500), nullable=False),
    Column("version", Integer, nullable=False),
    Column("deployed_at", UtcInstant, nullable=False),
    Column("deployed_by", PRINCIPAL, nullable=False),
    Column("changed_at", UtcInstant, nullable=False),
    Column("changed_by", PRINCIPAL, nullable=False),
    # Base 64: bytes that every database and every backup holds alike.
    Column("content", LONG_TEXT, nullable=False),
    Index(None, "state"),
)

OPTIMIZER_SCORES = Table(
    "optimizer_scores",
    METADATA,
    Column("id", ID, primary_key=True),
    Column("optimizer_id", ID, nullable=False),
    Column("at", UtcInstant, nullable=False),
    Column("promoted", Boolean, nullable=False),
    Column("dispatched", Boolean, nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("reason", String(500), nullable=False),
    Column("solve_s", Double, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("cost", Double),
    Column("result", Double),
    Column("n_breaches", Integer),
    Column("incumbent", ID, nullable=False),
    Column("incumbent_cost", Double),
    Column("incumbent_result", Double),
    Column("incumbent_n_breaches", Integer),
    ForeignKeyConstraint(["optimizer_id"], ["optimizers.id"]),
    Index(None, "optimizer_id", "at"),
    Index(None, "at"),
)

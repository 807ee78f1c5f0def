"""Accounts."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    String,
    Table,
)

from cluster.storage.tables.base import METADATA, PRINCIPAL, UtcInstant

USERS = Table(
    "users",
    METADATA,
    Column("username", PRINCIPAL, primary_key=True),
    Column("password_hash", String(255), nullable=False),
    Column("roles", JSON, nullable=False),
    Column("disabled", Boolean, nullable=False),
    Column("created_at", UtcInstant, nullable=False),
)

"""Accounts, their sessions and API keys."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Index,
    Integer,
    String,
    Table,
)

from cluster.storage.tables.base import ID, METADATA, PRINCIPAL, UtcInstant

_SHA256 = String(64)

USERS = Table(
    "users",
    METADATA,
    Column("username", PRINCIPAL, primary_key=True),
    Column("password_hash", String(255), nullable=False),
    Column("roles", JSON, nullable=False),
    Column("disabled", Boolean, nullable=False),
    Column("created_at", UtcInstant, nullable=False),
    # Null: the whole park. JSON's own null would be a second way to say so.
    Column("scope", JSON(none_as_null=True)),
    Column("must_change_password", Boolean, nullable=False),
    Column("version", Integer, nullable=False),
    Column("changed_at", UtcInstant, nullable=False),
)

SESSIONS = Table(
    "sessions",
    METADATA,
    Column("id", ID, primary_key=True),
    Column("username", PRINCIPAL, nullable=False),
    Column("created_at", UtcInstant, nullable=False),
    Column("last_used_at", UtcInstant, nullable=False),
    Column("expires_at", UtcInstant, nullable=False),
    Column("address", String(64), nullable=False),
    Column("user_agent", String(200), nullable=False),
    Column("ended_at", UtcInstant),
    Column("ended_why", String(32)),
    Index(None, "username", "created_at"),
    Index(None, "ended_at"),
)

REFRESH_TOKENS = Table(
    "refresh_tokens",
    METADATA,
    Column("token_hash", _SHA256, primary_key=True),
    Column("session_id", ID, nullable=False),
    Column("issued_at", UtcInstant, nullable=False),
    # Null: not yet.
    Column("used_at", UtcInstant),
    Index(None, "session_id"),
)

API_KEYS = Table(
    "api_keys",
    METADATA,
    Column("id", ID, primary_key=True),
    Column("name", String(64), nullable=False),
    Column("owner", PRINCIPAL, nullable=False),
    Column("secret_hash", _SHA256, nullable=False),
    Column("roles", JSON, nullable=False),
    Column("scope", JSON(none_as_null=True)),
    Column("created_at", UtcInstant, nullable=False),
    Column("expires_at", UtcInstant, nullable=False),
    Column("last_used_at", UtcInstant),
    Column("revoked_at", UtcInstant),
    Index(None, "owner", "created_at"),
    Index(None, "revoked_at"),
)

ACCOUNTS_VERSION = Table(
    "accounts_version",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("version", Integer, nullable=False),
)

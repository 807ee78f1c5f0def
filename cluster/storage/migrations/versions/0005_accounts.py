"""Accounts: scope and versions, sessions, refresh tokens, API keys, approvals, audit indexes."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0005"
down_revision = "0004"

INSTANT = sa.DateTime(timezone=True).with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
LONG_TEXT = sa.Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")

_ADDED: dict[str, Any] = {
    "must_change_password": sa.Boolean(),
    "version": sa.Integer(),
    "changed_at": INSTANT,
}
_AUDIT_INDEXES = {
    "ix_audit_log_at": ["at"],
    "ix_audit_log_principal_seq": ["principal", "seq"],
    "ix_audit_log_action_seq": ["action", "seq"],
}


def upgrade() -> None:
    """Add the columns and create the tables."""
    op.add_column("users", sa.Column("scope", sa.JSON()))
    for name, type_ in _ADDED.items():
        op.add_column("users", sa.Column(name, type_))
    users = sa.table("users", *map(sa.column, (*_ADDED, "created_at")))
    op.execute(
        sa.update(users).values(
            must_change_password=sa.false(), version=1, changed_at=users.c.created_at
        )
    )
    with op.batch_alter_table("users") as batch:
        for name, type_ in _ADDED.items():
            batch.alter_column(name, existing_type=type_, nullable=False)
    accounts_version = op.create_table(
        "accounts_version",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_accounts_version"),
    )
    op.bulk_insert(accounts_version, [{"id": 1, "version": 1}])
    op.create_table(
        "sessions",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("username", sa.String(length=128), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("last_used_at", INSTANT, nullable=False),
        sa.Column("expires_at", INSTANT, nullable=False),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("user_agent", sa.String(length=200), nullable=False),
        sa.Column("ended_at", INSTANT),
        sa.Column("ended_why", sa.String(length=32)),
        sa.PrimaryKeyConstraint("id", name="pk_sessions"),
    )
    op.create_index("ix_sessions_username_created_at", "sessions", ["username", "created_at"])
    op.create_index("ix_sessions_ended_at", "sessions", ["ended_at"])
    op.create_table(
        "refresh_tokens",
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("session_id", sa.String(length=64), nullable=False),
        sa.Column("issued_at", INSTANT, nullable=False),
        sa.Column("used_at", INSTANT),
        sa.PrimaryKeyConstraint("token_hash", name="pk_refresh_tokens"),
    )
    op.create_index("ix_refresh_tokens_session_id", "refresh_tokens", ["session_id"])
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("owner", sa.String(length=128), nullable=False),
        sa.Column("secret_hash", sa.String(length=64), nullable=False),
        sa.Column("roles", sa.JSON(), nullable=False),
        sa.Column("scope", sa.JSON()),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("expires_at", INSTANT, nullable=False),
        sa.Column("last_used_at", INSTANT),
        sa.Column("revoked_at", INSTANT),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
    )
    op.create_index("ix_api_keys_owner_created_at", "api_keys", ["owner", "created_at"])
    op.create_index("ix_api_keys_revoked_at", "api_keys", ["revoked_at"])
    _create_approvals()
    for name, columns in _AUDIT_INDEXES.items():
        op.create_index(name, "audit_log", columns)


def _create_approvals() -> None:
    op.create_table(
        "approvals",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("operation", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(length=255), nullable=False),
        sa.Column("payload", LONG_TEXT, nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("requested_by", sa.String(length=128), nullable=False),
        sa.Column("requester", sa.String(length=128), nullable=False),
        sa.Column("requested_at", INSTANT, nullable=False),
        sa.Column("expires_at", INSTANT, nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("decided_by", sa.String(length=128)),
        sa.Column("decided_at", INSTANT),
        sa.Column("decision_reason", sa.String(length=500)),
        sa.Column("outcome", LONG_TEXT),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_approvals"),
    )
    op.create_index("ix_approvals_requested_at_id", "approvals", ["requested_at", "id"])
    op.create_index("ix_approvals_state_requested_at", "approvals", ["state", "requested_at"])


def downgrade() -> None:
    """Drop the tables and the columns; accounts stay, with their roles and passwords."""
    for name in _AUDIT_INDEXES:
        op.drop_index(name, table_name="audit_log")
    for name in ("approvals", "api_keys", "refresh_tokens", "sessions", "accounts_version"):
        op.drop_table(name)
    with op.batch_alter_table("users") as batch:
        for column in ("scope", *_ADDED):
            batch.drop_column(column)

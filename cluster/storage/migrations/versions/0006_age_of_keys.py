"""Idempotency keys are found by age, so that old ones can be forgotten."""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"

_INDEX = "ix_idempotency_keys_created_at"


def upgrade() -> None:
    """Create the index."""
    op.create_index(_INDEX, "idempotency_keys", ["created_at"])


def downgrade() -> None:
    """Drop the index."""
    op.drop_index(_INDEX, table_name="idempotency_keys")

"""Acts that wait for a second person."""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, String, Table

from cluster.storage.tables.base import ID, LONG_TEXT, METADATA, PRINCIPAL, UtcInstant

APPROVALS = Table(
    "approvals",
    METADATA,
    Column("id", ID, primary_key=True),
    Column("kind", String(64), nullable=False),
    Column("operation", String(64), nullable=False),
    Column("subject", String(255), nullable=False),
    # Text: the very bytes that will be carried out.
    Column("payload", LONG_TEXT, nullable=False),
    Column("reason", String(500), nullable=False),
    Column("requested_by", PRINCIPAL, nullable=False),
    # The person behind the principal, who may have asked through an API key.
    Column("requester", PRINCIPAL, nullable=False),
    Column("requested_at", UtcInstant, nullable=False),
    Column("expires_at", UtcInstant, nullable=False),
    Column("state", String(16), nullable=False),
    Column("decided_by", PRINCIPAL),
    Column("decided_at", UtcInstant),
    Column("decision_reason", String(500)),
    # What came of it, once carried out.
    Column("outcome", LONG_TEXT),
    Column("version", Integer, nullable=False),
    Index(None, "requested_at", "id"),
    Index(None, "state", "requested_at"),
)

"""Alarms: rules, channels, what was raised, every step of it, and what became of notices."""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, Boolean, Column, Index, Integer, String, Table

from cluster.storage.tables.base import ID, LONG_TEXT, METADATA, PRINCIPAL, Sealed, UtcInstant

_WORD = String(24)
# A group's subject is its rule with a prefix.
_SUBJECT = String(80)

ALARM_SETUP = Table(
    "alarm_setup",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    # Rises with every change of a rule or channel.
    Column("version", BigInteger, nullable=False),
)

ALARM_RULES = Table(
    "alarm_rules",
    METADATA,
    Column("id", ID, primary_key=True),
    Column("name", String(120), nullable=False),
    Column("definition", JSON, nullable=False),
    Column("version", Integer, nullable=False),
    Column("changed_at", UtcInstant, nullable=False),
    Column("changed_by", PRINCIPAL, nullable=False),
)

ALARM_CHANNELS = Table(
    "alarm_channels",
    METADATA,
    Column("id", ID, primary_key=True),
    Column("name", String(120), nullable=False),
    Column("definition", JSON, nullable=False),
    Column("sealed_secret", Sealed),
    Column("version", Integer, nullable=False),
    Column("changed_at", UtcInstant, nullable=False),
    Column("changed_by", PRINCIPAL, nullable=False),
)

ALARMS = Table(
    "alarms",
    METADATA,
    Column("id", ID, primary_key=True),
    Column("rule_id", ID, nullable=False),
    Column("subject_id", _SUBJECT, nullable=False),
    Column("group_id", ID),
    Column("severity", _WORD, nullable=False),
    # 0 is the gravest, so that lists can be sorted by it.
    Column("severity_level", Integer, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("state", _WORD, nullable=False),
    Column("is_standing", Boolean, nullable=False),
    Column("raised_at", UtcInstant, nullable=False),
    Column("changed_at", UtcInstant, nullable=False),
    Column("alarm", JSON, nullable=False),
    # Last outbox record folded in.
    Column("record_seq", BigInteger, nullable=False),
    Index(None, "raised_at", "id"),
    Index(None, "is_standing", "raised_at"),
    Index(None, "subject_id", "raised_at"),
    Index(None, "rule_id", "raised_at"),
)

ALARM_STEPS = Table(
    "alarm_steps",
    METADATA,
    Column("alarm_id", ID, primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("at", UtcInstant, nullable=False),
    Column("step", _WORD, nullable=False),
    Column("state", _WORD, nullable=False),
    Column("severity", _WORD, nullable=False),
    Column("principal", PRINCIPAL, nullable=False),
    Column("note", LONG_TEXT, nullable=False),
)

ALARM_DELIVERIES = Table(
    "alarm_deliveries",
    METADATA,
    Column("notice_id", ID, primary_key=True),
    Column("alarm_id", ID, nullable=False),
    Column("channel_id", ID, nullable=False),
    Column("reason", _WORD, nullable=False),
    Column("outcome", _WORD, nullable=False),
    Column("created_at", UtcInstant, nullable=False),
    Column("finished_at", UtcInstant, nullable=False),
    Column("attempts", JSON, nullable=False),
    Index(None, "alarm_id", "created_at"),
)

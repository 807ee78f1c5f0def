"""The first tables: park, users, audit, idempotency, dispatches, records, wanted kills."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0001"
down_revision = None

INSTANT = sa.DateTime(timezone=True).with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
LONG_TEXT = sa.Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")


def upgrade() -> None:
    """Create the tables and their indexes."""
    audit_head = op.create_table(
        "audit_head",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit_head"),
    )
    # What the first entry of the audit chain follows.
    op.bulk_insert(audit_head, [{"id": 1, "seq": 0, "digest": "0" * 64}])
    op.create_table(
        "audit_log",
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("principal", sa.String(length=128), nullable=False),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(length=255), nullable=False),
        sa.Column("data", LONG_TEXT, nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_audit_log"),
    )
    op.create_index("ix_audit_log_subject_seq", "audit_log", ["subject", "seq"])
    op.create_table(
        "command_records",
        sa.Column("actor_id", sa.String(length=64), nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("actor_id", "seq", name="pk_command_records"),
    )
    op.create_index("ix_command_records_at", "command_records", ["at"])
    op.create_table(
        "idempotency_keys",
        sa.Column("principal", sa.String(length=128), nullable=False),
        sa.Column("key", sa.String(length=128), nullable=False),
        sa.Column("fingerprint", sa.String(length=128), nullable=False),
        sa.Column("subject_id", sa.String(length=255), nullable=False),
        sa.Column("status", sa.Integer()),
        sa.Column("response", LONG_TEXT),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("principal", "key", name="pk_idempotency_keys"),
    )
    op.create_table(
        "parks",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("timezone", sa.String(length=64), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("tariff", sa.JSON(), nullable=False),
        sa.Column("valid_from", INSTANT),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("is_wanted", sa.Boolean(), nullable=False),
        sa.Column("changed_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_parks"),
    )
    op.create_table(
        "users",
        sa.Column("username", sa.String(length=128), nullable=False),
        sa.Column("password_hash", sa.String(length=255), nullable=False),
        sa.Column("roles", sa.JSON(), nullable=False),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("username", name="pk_users"),
    )
    op.create_table(
        "vpp_dispatches",
        sa.Column("id", sa.String(length=128), nullable=False),
        sa.Column("aggregation_id", sa.String(length=64), nullable=False),
        sa.Column("target_kw", sa.Double(), nullable=False),
        sa.Column("start_at", INSTANT, nullable=False),
        sa.Column("end_at", INSTANT, nullable=False),
        sa.Column("ramp_kw_per_min", sa.Double()),
        sa.Column("issued_by", sa.String(length=128), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("note", LONG_TEXT, nullable=False),
        sa.Column("recorded_at", INSTANT, nullable=False),
        sa.Column("record_seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_vpp_dispatches"),
    )
    op.create_index(
        "ix_vpp_dispatches_aggregation_id_start_at",
        "vpp_dispatches",
        ["aggregation_id", "start_at"],
    )
    op.create_table(
        "wanted_kills",
        sa.Column("resource_id", sa.String(length=64), nullable=False),
        sa.Column("principal", sa.String(length=128), nullable=False),
        sa.Column("wanted_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("resource_id", name="pk_wanted_kills"),
    )
    op.create_table(
        "vpp_aggregations",
        sa.Column("park_id", sa.String(length=64), nullable=False),
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("period_s", sa.Double(), nullable=False),
        sa.Column("max_import_kw", sa.Double()),
        sa.Column("max_export_kw", sa.Double()),
        sa.Column("tolerance_frac", sa.Double(), nullable=False),
        sa.Column("tolerance_kw", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["park_id"], ["parks.id"], name="fk_vpp_aggregations_parks"),
        sa.PrimaryKeyConstraint("park_id", "id", name="pk_vpp_aggregations"),
    )
    op.create_table(
        "vpp_resources",
        sa.Column("park_id", sa.String(length=64), nullable=False),
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("parameters", sa.JSON(), nullable=False),
        sa.Column("consumption_positive", sa.Boolean(), nullable=False),
        sa.Column("fallback", sa.String(length=16), nullable=False),
        sa.Column("fallback_limit_kw", sa.Double()),
        sa.Column("latitude_deg", sa.Double()),
        sa.Column("longitude_deg", sa.Double()),
        sa.ForeignKeyConstraint(["park_id"], ["parks.id"], name="fk_vpp_resources_parks"),
        sa.PrimaryKeyConstraint("park_id", "id", name="pk_vpp_resources"),
    )
    op.create_table(
        "vpp_aggregation_resources",
        sa.Column("park_id", sa.String(length=64), nullable=False),
        sa.Column("aggregation_id", sa.String(length=64), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("member_id", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["park_id", "aggregation_id"],
            ["vpp_aggregations.park_id", "vpp_aggregations.id"],
            name="fk_vpp_aggregation_resources_vpp_aggregations",
        ),
        sa.PrimaryKeyConstraint(
            "park_id", "aggregation_id", "position", name="pk_vpp_aggregation_resources"
        ),
    )


def downgrade() -> None:
    """Drop the tables with everything in them."""
    op.drop_table("vpp_aggregation_resources")
    op.drop_table("vpp_resources")
    op.drop_table("vpp_aggregations")
    op.drop_table("wanted_kills")
    op.drop_index("ix_vpp_dispatches_aggregation_id_start_at", table_name="vpp_dispatches")
    op.drop_table("vpp_dispatches")
    op.drop_table("users")
    op.drop_table("parks")
    op.drop_table("idempotency_keys")
    op.drop_index("ix_command_records_at", table_name="command_records")
    op.drop_table("command_records")
    op.drop_index("ix_audit_log_subject_seq", table_name="audit_log")
    op.drop_table("audit_log")
    op.drop_table("audit_head")

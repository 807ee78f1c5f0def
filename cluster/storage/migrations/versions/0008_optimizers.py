"""Optimizers that people deploy, and the scores of their plans."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0008"
down_revision = "0007"

INSTANT = sa.DateTime(timezone=True).with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
LONG_TEXT = sa.Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")
ID = sa.String(length=64)
PRINCIPAL = sa.String(length=128)
WORD = sa.String(length=16)
SENTENCE = sa.String(length=500)


def upgrade() -> None:
    """Create the tables and their indexes."""
    revision_table = op.create_table(
        "optimizer_revision",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_optimizer_revision"),
    )
    op.bulk_insert(revision_table, [{"id": 1, "revision": 0}])
    op.create_table(
        "optimizers",
        sa.Column("id", ID, nullable=False),
        sa.Column("name", ID, nullable=False),
        sa.Column("file_name", sa.String(length=120), nullable=False),
        sa.Column("environment", ID),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("n_bytes", sa.Integer(), nullable=False),
        sa.Column("note", SENTENCE, nullable=False),
        sa.Column("state", WORD, nullable=False),
        sa.Column("replaced", ID),
        sa.Column("reason", SENTENCE, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("deployed_at", INSTANT, nullable=False),
        sa.Column("deployed_by", PRINCIPAL, nullable=False),
        sa.Column("changed_at", INSTANT, nullable=False),
        sa.Column("changed_by", PRINCIPAL, nullable=False),
        sa.Column("content", LONG_TEXT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_optimizers"),
    )
    op.create_index("ix_optimizers_state", "optimizers", ["state"])
    op.create_table(
        "optimizer_scores",
        sa.Column("id", ID, nullable=False),
        sa.Column("optimizer_id", ID, nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("promoted", sa.Boolean(), nullable=False),
        sa.Column("dispatched", sa.Boolean(), nullable=False),
        sa.Column("outcome", WORD, nullable=False),
        sa.Column("reason", SENTENCE, nullable=False),
        sa.Column("solve_s", sa.Double(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("cost", sa.Double()),
        sa.Column("result", sa.Double()),
        sa.Column("n_breaches", sa.Integer()),
        sa.Column("incumbent", ID, nullable=False),
        sa.Column("incumbent_cost", sa.Double()),
        sa.Column("incumbent_result", sa.Double()),
        sa.Column("incumbent_n_breaches", sa.Integer()),
        sa.PrimaryKeyConstraint("id", name="pk_optimizer_scores"),
        sa.ForeignKeyConstraint(
            ["optimizer_id"], ["optimizers.id"], name="fk_optimizer_scores_optimizers"
        ),
    )
    op.create_index(
        "ix_optimizer_scores_optimizer_id_at", "optimizer_scores", ["optimizer_id", "at"]
    )
    op.create_index("ix_optimizer_scores_at", "optimizer_scores", ["at"])


def downgrade() -> None:
    """Drop them."""
    for table in ("optimizer_scores", "optimizers", "optimizer_revision"):
        op.drop_table(table)

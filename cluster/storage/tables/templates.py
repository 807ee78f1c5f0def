"""Resource templates: versions, validations, and who uses which."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    String,
    Table,
)

from cluster.storage.tables.base import ID, LONG_TEXT, METADATA, PRINCIPAL, UtcInstant

RESOURCE_TEMPLATES = Table(
    "vpp_resource_templates",
    METADATA,
    Column("id", ID, primary_key=True),
    Column("kind", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    # The newest; its name and content are repeated in vpp_template_versions.
    Column("version", Integer, nullable=False),
    Column("name", String(120), nullable=False),
    Column("description", LONG_TEXT, nullable=False),
    Column("parameters", JSON, nullable=False),
    Column("created_at", UtcInstant, nullable=False),
    Column("created_by", PRINCIPAL, nullable=False),
    Column("updated_at", UtcInstant, nullable=False),
    Index(None, "kind", "name"),
)

TEMPLATE_VERSIONS = Table(
    "vpp_template_versions",
    METADATA,
    Column("template_id", ID, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("name", String(120), nullable=False),
    Column("description", LONG_TEXT, nullable=False),
    Column("parameters", JSON, nullable=False),
    Column("note", String(500), nullable=False),
    Column("created_at", UtcInstant, nullable=False),
    Column("created_by", PRINCIPAL, nullable=False),
    ForeignKeyConstraint(["template_id"], ["vpp_resource_templates.id"]),
)

TEMPLATE_VALIDATIONS = Table(
    "vpp_template_validations",
    METADATA,
    Column("id", ID, primary_key=True),
    Column("template_id", ID, nullable=False),
    Column("version", Integer, nullable=False),
    Column("configuration", JSON, nullable=False),
    Column("valid", Boolean, nullable=False),
    Column("problems", JSON, nullable=False),
    Column("complete_values", JSON, nullable=False),
    Column("validated_at", UtcInstant, nullable=False),
    Column("validated_by", PRINCIPAL, nullable=False),
    ForeignKeyConstraint(["template_id"], ["vpp_resource_templates.id"]),
    Index(None, "template_id", "validated_at"),
)

TEMPLATE_USAGE = Table(
    "vpp_template_usage",
    METADATA,
    Column("park_id", ID, primary_key=True),
    Column("resource_id", ID, primary_key=True),
    Column("template_id", ID, nullable=False),
    Column("version", Integer, nullable=False),
    Column("used_since", UtcInstant, nullable=False),
    # When the resource was retired.
    Column("released_at", UtcInstant),
    ForeignKeyConstraint(["template_id"], ["vpp_resource_templates.id"]),
    Index(None, "template_id", "version"),
)

"""Resource templates with starters, the state of resources and aggregations, conflicts."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0003"
down_revision = "0002"

INSTANT = sa.DateTime(timezone=True).with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
LONG_TEXT = sa.Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")
ID = sa.String(length=64)
PRINCIPAL = sa.String(length=128)

# When the starters were written; a migration has no clock.
_MADE_AT = datetime(2026, 1, 1, tzinfo=UTC)
_METER = "Meter class 0.5 S as in IEC 62053-22."

_STARTERS: list[dict[str, Any]] = [
    {
        "id": "starter-pv",
        "kind": "pv",
        "name": "PV roof · 屋顶光伏",
        "description": "Industrial flat roof, tilted 15 degrees to the south; curtailable by its"
        f" inverters. Give rated_kw. {_METER}",
        "parameters": [
            {"name": "rated_kw", "low": 5.0, "high": 10000.0},
            {"name": "tilt_deg", "default": 15.0},
            {"name": "azimuth_deg", "default": 180.0},
        ],
    },
    {
        "id": "starter-wind",
        "kind": "wind",
        "name": "Wind turbine · 风机",
        "description": "Cut-in 3, rated 11.4, cut-out 25 m/s and a hub at 90 m: the NREL 5 MW"
        f" reference turbine (NREL/TP-500-38060, 2009). {_METER}",
        "parameters": [
            {"name": "rated_kw", "default": 5000.0, "low": 50.0, "high": 20000.0},
            {"name": "hub_height_m", "default": 90.0},
            {"name": "cut_in_m_s", "default": 3.0},
            {"name": "rated_m_s", "default": 11.4},
            {"name": "cut_out_m_s", "default": 25.0},
        ],
    },
    {
        "id": "starter-battery",
        "kind": "battery",
        "name": "Lithium battery, two hours · 两小时锂电储能",
        "description": "Round trip of 85 % at the terminals (0.922 each way), as in NREL's Annual"
        f" Technology Baseline 2023, utility-scale batteries. {_METER}",
        "parameters": [
            {"name": "capacity_kwh", "default": 1000.0, "low": 50.0, "high": 100000.0},
            {"name": "max_charge_kw", "default": 500.0, "low": 10.0, "high": 50000.0},
            {"name": "max_discharge_kw", "default": 500.0, "low": 10.0, "high": 50000.0},
            {"name": "charge_efficiency_frac", "default": 0.922, "low": 0.85},
            {"name": "discharge_efficiency_frac", "default": 0.922, "low": 0.85},
            {"name": "soc_min_frac", "default": 0.1, "low": 0.05},
            {"name": "soc_max_frac", "default": 0.9, "high": 0.95},
            {"name": "cycle_budget_per_day", "default": 1.0, "high": 3.0},
        ],
    },
    {
        "id": "starter-ev-station",
        "kind": "ev_station",
        "name": "Charging station, 22 kW plugs · 22 千瓦充电站",
        "description": "Ten three-phase plugs of 6 to 32 A at 230 V, the range of IEC 61851-1"
        f" (4.14 to 22.08 kW), behind a feeder of 110 kW. {_METER}",
        "parameters": [
            {"name": "n_plugs", "default": 10, "low": 1.0, "high": 200.0},
            {"name": "max_charge_kw", "default": 110.0, "low": 4.14, "high": 5000.0},
            {"name": "plug_max_charge_kw", "default": 22.0, "low": 4.14, "high": 22.08},
            {"name": "plug_min_charge_kw", "default": 4.14, "low": 4.14},
        ],
    },
    {
        "id": "starter-flexible-load",
        "kind": "flexible_load",
        "name": "Office building · 办公楼",
        "description": "Heating and cooling shift within 20 to 26 degrees Celsius, category II of"
        f" EN 16798-1. Give rated_kw. {_METER}",
        "parameters": [
            {"name": "rated_kw", "low": 10.0, "high": 20000.0},
            {"name": "flexible_frac", "default": 0.3, "high": 0.6},
            {"name": "comfort_low_c", "default": 20.0, "low": 16.0},
            {"name": "comfort_high_c", "default": 26.0, "high": 28.0},
        ],
    },
    {
        "id": "starter-chp",
        "kind": "chp",
        "name": "Gas engine with heat · 燃气内燃机热电联产",
        "description": "Reciprocating engine down to half load; 1.3 kW of heat per kW, within the"
        " one to two that the EPA Catalog of CHP Technologies (2017) gives for 0.1 to 1 MW."
        f" {_METER}",
        "parameters": [
            {"name": "min_kw", "default": 125.0, "low": 10.0, "high": 10000.0},
            {"name": "max_kw", "default": 250.0, "low": 20.0, "high": 20000.0},
            {"name": "heat_ratio", "default": 1.3, "low": 0.8, "high": 2.0},
            {"name": "min_up_min", "default": 30.0},
            {"name": "min_down_min", "default": 30.0},
        ],
    },
    {
        "id": "starter-heat-pump",
        "kind": "heat_pump",
        "name": "Heat pump with water tank · 带水箱的热泵",
        "description": "A seasonal performance of 3.2, the least for low-temperature heat pumps"
        f" under Regulation (EU) 813/2013 (125 %). Give rated_kw and store_kwh. {_METER}",
        "parameters": [
            {"name": "rated_kw", "low": 1.0, "high": 5000.0},
            {"name": "store_kwh", "low": 1.0, "high": 100000.0},
            {"name": "cop", "default": 3.2, "low": 2.0, "high": 6.0},
        ],
    },
    {
        "id": "starter-fleet",
        "kind": "fleet",
        "name": "Domestic heat pumps · 户用热泵群",
        "description": "Heat pumps of 2 kW with 10 kWh of heat store; performance as in"
        " starter-heat-pump. Give n_devices.",
        "parameters": [
            {"name": "device_kind", "default": "heat_pump", "choices": ["heat_pump"]},
            {"name": "device_kw", "default": 2.0, "low": 0.3, "high": 20.0},
            {"name": "store_kwh", "default": 10.0, "low": 1.0, "high": 200.0},
            {"name": "efficiency", "default": 3.2, "low": 2.0, "high": 6.0},
        ],
    },
]


def _state_columns() -> list[sa.Column[Any]]:
    # What stands already came from a park file: in operation, in its first version.
    epoch = "1970-01-01 00:00:00"
    return [
        sa.Column("status", sa.String(length=16), nullable=False, server_default="active"),
        sa.Column("version", sa.Integer(), nullable=False, server_default="1"),
        sa.Column("changed_in", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("created_at", INSTANT, nullable=False, server_default=epoch),
        sa.Column("changed_at", INSTANT, nullable=False, server_default=epoch),
        sa.Column("retired_at", INSTANT),
    ]


def _resource_columns() -> list[sa.Column[Any]]:
    return [
        sa.Column("geometry", sa.JSON(none_as_null=True)),
        sa.Column("height_m", sa.Double()),
        sa.Column("base_m", sa.Double()),
        sa.Column("template_id", ID),
        sa.Column("template_version", sa.Integer()),
    ]


def upgrade() -> None:
    """Create the tables, add the starters and the new columns."""
    _create_templates()
    _create_findings()
    op.add_column("parks", sa.Column("file_digest", sa.String(length=64)))
    op.add_column("parks", sa.Column("n_edits", sa.Integer(), nullable=False, server_default="0"))
    for column in (*_resource_columns(), *_state_columns()):
        op.add_column("vpp_resources", column)
    for column in _state_columns():
        op.add_column("vpp_aggregations", column)
    for table, name in _INDEXES:
        op.create_index(f"ix_{table}_park_id_{name}", table, ["park_id", name])


_INDEXES = (
    ("vpp_resources", "changed_in"),
    ("vpp_aggregations", "changed_in"),
    ("vpp_aggregation_resources", "member_id"),
)


def _create_templates() -> None:
    templates = op.create_table(
        "vpp_resource_templates",
        sa.Column("id", ID, nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("description", LONG_TEXT, nullable=False),
        sa.Column("parameters", sa.JSON(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("created_by", PRINCIPAL, nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_vpp_resource_templates"),
    )
    op.create_index(
        "ix_vpp_resource_templates_kind_name", "vpp_resource_templates", ["kind", "name"]
    )
    versions = op.create_table(
        "vpp_template_versions",
        sa.Column("template_id", ID, nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("description", LONG_TEXT, nullable=False),
        sa.Column("parameters", sa.JSON(), nullable=False),
        sa.Column("note", sa.String(length=500), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("created_by", PRINCIPAL, nullable=False),
        sa.ForeignKeyConstraint(
            ["template_id"],
            ["vpp_resource_templates.id"],
            name="fk_vpp_template_versions_vpp_resource_templates",
        ),
        sa.PrimaryKeyConstraint("template_id", "version", name="pk_vpp_template_versions"),
    )
    op.create_table(
        "vpp_template_validations",
        sa.Column("id", ID, nullable=False),
        sa.Column("template_id", ID, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("configuration", sa.JSON(), nullable=False),
        sa.Column("valid", sa.Boolean(), nullable=False),
        sa.Column("problems", sa.JSON(), nullable=False),
        sa.Column("complete_values", sa.JSON(), nullable=False),
        sa.Column("validated_at", INSTANT, nullable=False),
        sa.Column("validated_by", PRINCIPAL, nullable=False),
        sa.ForeignKeyConstraint(
            ["template_id"],
            ["vpp_resource_templates.id"],
            name="fk_vpp_template_validations_vpp_resource_templates",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_vpp_template_validations"),
    )
    op.create_index(
        "ix_vpp_template_validations_template_id_validated_at",
        "vpp_template_validations",
        ["template_id", "validated_at"],
    )
    op.create_table(
        "vpp_template_usage",
        sa.Column("park_id", ID, nullable=False),
        sa.Column("resource_id", ID, nullable=False),
        sa.Column("template_id", ID, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("used_since", INSTANT, nullable=False),
        sa.Column("released_at", INSTANT),
        sa.ForeignKeyConstraint(
            ["template_id"],
            ["vpp_resource_templates.id"],
            name="fk_vpp_template_usage_vpp_resource_templates",
        ),
        sa.PrimaryKeyConstraint("park_id", "resource_id", name="pk_vpp_template_usage"),
    )
    op.create_index(
        "ix_vpp_template_usage_template_id_version",
        "vpp_template_usage",
        ["template_id", "version"],
    )
    made = {"created_at": _MADE_AT, "created_by": "parkgrid"}
    op.bulk_insert(
        templates,
        [
            {**starter, **made, "state": "active", "version": 1, "updated_at": _MADE_AT}
            for starter in _STARTERS
        ],
    )
    op.bulk_insert(
        versions,
        [
            {
                "template_id": starter["id"],
                "version": 1,
                "note": "starter",
                **{name: starter[name] for name in ("name", "description", "parameters")},
                **made,
            }
            for starter in _STARTERS
        ],
    )


def _create_findings() -> None:
    op.create_table(
        "vpp_aggregation_conflicts",
        sa.Column("id", ID, nullable=False),
        sa.Column("park_id", ID, nullable=False),
        sa.Column("aggregation_id", ID, nullable=False),
        sa.Column("rule_name", sa.String(length=32), nullable=False),
        sa.Column("severity", sa.String(length=16), nullable=False),
        sa.Column("subject", PRINCIPAL, nullable=False),
        sa.Column("explanation", LONG_TEXT, nullable=False),
        sa.Column("resolution", LONG_TEXT, nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("found_at", INSTANT, nullable=False),
        sa.Column("seen_at", INSTANT, nullable=False),
        sa.Column("resolved_at", INSTANT),
        sa.PrimaryKeyConstraint("id", name="pk_vpp_aggregation_conflicts"),
    )
    op.create_index(
        "ix_vpp_aggregation_conflicts_park_id_aggregation_id_state",
        "vpp_aggregation_conflicts",
        ["park_id", "aggregation_id", "state"],
    )
    power = ("power", "sigma", "rated", "min", "max", "reserve_up", "reserve_down", "shortfall")
    op.create_table(
        "vpp_aggregation_realtime",
        sa.Column("aggregation_id", ID, nullable=False),
        sa.Column("published_at", INSTANT, nullable=False),
        *(sa.Column(f"{name}_kw", sa.Double(), nullable=False) for name in power),
        sa.Column("coverage_frac", sa.Double(), nullable=False),
        sa.Column("energy_up_kwh", sa.Double(), nullable=False),
        sa.Column("energy_down_kwh", sa.Double(), nullable=False),
        sa.Column("target_kw", sa.Double()),
        sa.Column("instruction_id", PRINCIPAL),
        sa.Column("quality", sa.String(length=16), nullable=False),
        sa.Column("health", sa.String(length=16), nullable=False),
        sa.Column("n_members", sa.Integer(), nullable=False),
        sa.Column("n_fresh", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("aggregation_id", name="pk_vpp_aggregation_realtime"),
    )


def downgrade() -> None:
    """Drop it all; resources and aggregations that were retired or inactive go with it."""
    names = ("status", "version", "changed_in", "created_at", "changed_at", "retired_at")
    for table, column in _INDEXES:
        op.drop_index(f"ix_{table}_park_id_{column}", table_name=table)
    op.execute(
        "DELETE FROM vpp_aggregation_resources WHERE aggregation_id IN"
        " (SELECT id FROM vpp_aggregations WHERE status <> 'active')"
        " OR member_id IN (SELECT id FROM vpp_aggregations WHERE status <> 'active')"
    )
    for table in ("vpp_aggregations", "vpp_resources"):
        op.execute(f"DELETE FROM {table} WHERE status <> 'active'")  # noqa: S608 - our own name
    # In place: SQLite would empty the tables that refer to one that is made anew.
    for name in names:
        op.drop_column("vpp_aggregations", name)
    for name in (*names, "geometry", "height_m", "base_m", "template_id", "template_version"):
        op.drop_column("vpp_resources", name)
    for name in ("n_edits", "file_digest"):
        op.drop_column("parks", name)
    op.drop_table("vpp_aggregation_realtime")
    op.drop_table("vpp_aggregation_conflicts")
    op.drop_table("vpp_template_usage")
    op.drop_table("vpp_template_validations")
    op.drop_table("vpp_template_versions")
    op.drop_table("vpp_resource_templates")

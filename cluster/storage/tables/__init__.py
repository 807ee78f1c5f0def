"""The SQL tables, portable between SQLite, PostgreSQL and MariaDB; migrations create the same.

Names of the ``vpp_*`` tables are those the operators' other systems already use.
"""

from cluster.storage.tables import (
    accounts,
    aggregations,
    alarms,
    approvals,
    devices,
    operations,
    optimizers,
    park,
    templates,
)
from cluster.storage.tables.base import METADATA

__all__ = [
    "METADATA",
    "accounts",
    "aggregations",
    "alarms",
    "approvals",
    "devices",
    "operations",
    "optimizers",
    "park",
    "templates",
]

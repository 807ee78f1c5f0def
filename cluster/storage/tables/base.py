"""What all tables are made of: metadata, naming, and column types portable between databases.

Instants are kept in UTC to the microsecond. Numbers carry their unit in the column's name.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import DateTime, Dialect, MetaData, String, Text, TypeDecorator
from sqlalchemy.dialects import mysql


class UtcInstant(TypeDecorator[datetime]):
    """An aware UTC instant, whatever the database thinks of time zones."""

    impl = DateTime(timezone=True).with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Turn to UTC; a naive instant is a mistake of the caller.

        Raises:
            ValueError: the instant is naive.
        """
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a stored instant must carry a time zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give back what SQLite and MariaDB drop."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


ID = String(64)
PRINCIPAL = String(128)
# MariaDB's TEXT ends at 64 kB.
LONG_TEXT = Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")


class Sealed(TypeDecorator[str]):
    """A secret as a SecretBox sealed it; rotation of the keys finds every column of this type.

    Sealing and opening is the store's own act: the column holds what it is given.
    """

    impl = LONG_TEXT
    cache_ok = True


METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
    }
)

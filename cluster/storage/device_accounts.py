"""The accounts of devices as the broker's keeper needs them: who gets in, and until when.

A resource that nobody registered a device for gets a provisional one at the first start of its
park, with a password drawn beside the broker, so that a park file is enough to begin with.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec
from sqlalchemy import Connection, insert, select, update

from cluster.broker_access import (
    Credentials,
    DeviceAccess,
    check_password,
    device_username,
    hash_password,
)
from cluster.storage.audit import AuditFact, append
from cluster.storage.devices import device_row, raise_revision, valid_at
from cluster.storage.engine import open_engine, reading, writing
from cluster.storage.tables.devices import DEVICE_CREDENTIALS, DEVICE_REVISION, DEVICES
from controllers.devices.registration import Account, Device, DeviceState, account_name
from controllers.kernel.ids import IdSource
from controllers.kernel.timebase import Clock
from controllers.park import ParkDefinition

FIRST_START = "first start"
"""The principal of what nobody asked for by name."""


class SqlDeviceAccounts:
    """Accounts of devices on a migrated database.

    Every method raises StorageUnavailableError when the database does not answer.
    """

    def __init__(self, url: str, clock: Clock, ids: IdSource) -> None:
        self._engine = open_engine(url)
        self._clock = clock
        self._ids = ids

    def revision(self) -> int:
        """Return a number that rises with every change of a device."""
        with reading(self._engine) as connection:
            query = select(DEVICE_REVISION.c.revision)
            return int(connection.execute(query).scalar_one())

    def provisional(self, park: ParkDefinition) -> list[str]:
        """Return the resources whose device has, or is to get, a password drawn by the broker."""
        with reading(self._engine) as connection:
            query = select(DEVICES.c.id, DEVICES.c.resource_id, DEVICES.c.provisional)
            rows = connection.execute(query).all()
        taken = {row.id for row in rows} | {row.resource_id for row in rows}
        ours = {row.id for row in rows if row.provisional}
        return [r.id for r in park.resources if r.id in ours or r.id not in taken]

    def adopt(self, drawn: Mapping[str, Credentials]) -> None:
        """Make the accounts drawn by the broker known, each to a provisional device.

        Args:
            drawn: by resource; of those that ``provisional`` named.
        """
        with writing(self._engine) as connection:
            digests = {
                row.device_id: row.password_hash
                for row in connection.execute(select(DEVICE_CREDENTIALS)).all()
                if row.device_id in drawn
            }
            facts = []
            for id_, credentials in drawn.items():
                known = digests.get(id_)
                if known is None:
                    facts.append(self._add(connection, id_, credentials.password))
                elif not check_password(credentials.password, known):
                    # Its line was taken out of the file to have another password drawn.
                    digest = hash_password(credentials.password)
                    of_device = DEVICE_CREDENTIALS.c.device_id == id_
                    connection.execute(
                        update(DEVICE_CREDENTIALS).where(of_device).values(password_hash=digest)
                    )
                    facts.append(self._fact("device.rotate", id_))
            if facts:
                raise_revision(connection)
                append(connection, facts)

    def access(self, park: ParkDefinition) -> tuple[list[DeviceAccess], datetime | None]:
        """Return who gets in now, and when that changes without anybody's doing."""
        resources = {resource.id for resource in park.resources}
        accounts = DEVICE_CREDENTIALS.c
        query = (
            select(DEVICES.c.resource_id, accounts.name, accounts.password_hash)
            .add_columns(accounts.valid_until)
            .join_from(DEVICES, DEVICE_CREDENTIALS, accounts.device_id == DEVICES.c.id)
            .where(DEVICES.c.state == str(DeviceState.ACTIVE), valid_at(self._clock.now()))
            .order_by(accounts.name)
        )
        with reading(self._engine) as connection:
            rows = [row for row in connection.execute(query) if row.resource_id in resources]
        ends = [row.valid_until for row in rows if row.valid_until is not None]
        admitted = [
            DeviceAccess(
                username=device_username(park.id, row.name),
                resource_id=row.resource_id,
                password_hash=row.password_hash,
            )
            for row in rows
        ]
        return admitted, min(ends, default=None)

    def close(self) -> None:
        """Release files."""
        self._engine.dispose()

    def _add(self, connection: Connection, id_: str, password: str) -> AuditFact:
        now = self._clock.now()
        device = Device(
            id=id_,
            resource_id=id_,
            provisional=True,
            registered_by=FIRST_START,
            registered_at=now,
            changed_at=now,
        )
        account = Account(
            id=self._ids.new("account"),
            device_id=id_,
            name=account_name(id_, 1),
            created_by=FIRST_START,
            created_at=now,
        )
        connection.execute(insert(DEVICES), device_row(device))
        row = {**msgspec.structs.asdict(account), "password_hash": hash_password(password)}
        connection.execute(insert(DEVICE_CREDENTIALS), row)
        return self._fact("device.register", id_)

    def _fact(self, action: str, device_id: str) -> AuditFact:
        return AuditFact(
            at=self._clock.now(),
            principal=FIRST_START,
            action=action,
            subject=device_id,
            data={"provisional": True},
        )

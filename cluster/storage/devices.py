"""The DeviceStore on SQL: registration, accounts, and what devices reported of themselves.

Passwords are drawn here and leave once, with the answer of the act that made them; the database
and the idempotency record hold only what the broker checks them with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    RowMapping,
    Select,
    Update,
    and_,
    func,
    insert,
    or_,
    select,
    update,
)

from cluster.broker_access import draw_password, hash_password
from cluster.storage.database import Database
from cluster.storage.paging import page_of
from cluster.storage.tables.devices import (
    DEVICE_CONFIGURATIONS,
    DEVICE_CREDENTIALS,
    DEVICE_REPORTS,
    DEVICE_REVISION,
    DEVICES,
    FIRMWARE_HISTORY,
)
from controllers.devices.registration import (
    Account,
    Device,
    DeviceChange,
    DeviceState,
    Issued,
    account_name,
    after_rotation,
    is_valid,
    require_active,
)
from controllers.devices.reports import DeviceReport, FirmwareChange, KnownDevice
from controllers.kernel.errors import ConflictError, NotFoundError, StaleVersionError
from controllers.kernel.ids import IdSource
from controllers.ports.acts import Act, Done
from controllers.ports.devices import DeviceFilter
from controllers.ports.pages import Page, PageRequest

_DEVICE_COLUMNS = [DEVICES.c[name] for name in Device.__struct_fields__]
_ACCOUNT_COLUMNS = [DEVICE_CREDENTIALS.c[name] for name in Account.__struct_fields__]
_REPORT_COLUMNS = [
    DEVICE_REPORTS.c[name].label(f"report_{name}") for name in DeviceReport.__struct_fields__
]
_RAISE = update(DEVICE_REVISION).values(revision=DEVICE_REVISION.c.revision + 1)


class SqlDevices:
    """A DeviceStore on a migrated database."""

    def __init__(self, database: Database, ids: IdSource) -> None:
        self._database = database
        self._ids = ids

    async def register(self, act: Act, device: Device) -> Done[Issued]:
        """Register a device with its first account; takes the place of a provisional one."""
        return await self._issue(act, lambda c, digest: self._register(c, device, digest))

    async def update(
        self, act: Act, device_id: str, version: int, change: DeviceChange
    ) -> Done[Device]:
        """Change what people noted of a device."""
        given = {
            name: value
            for name, value in msgspec.structs.asdict(change).items()
            if value is not msgspec.UNSET
        }

        def work(connection: Connection) -> Device:
            raise_revision(connection)
            standing = _expect(connection, device_id, version)
            return self._put(connection, msgspec.structs.replace(standing, **given))

        return await self._database.act(act, work, Device)

    async def retire(self, act: Act, device_id: str, version: int) -> Done[Device]:
        """Take a device out for good and revoke its accounts."""

        def work(connection: Connection) -> Device:
            raise_revision(connection)
            return self._retire(connection, _expect(connection, device_id, version))

        return await self._database.act(act, work, Device)

    async def device(self, device_id: str) -> KnownDevice:
        """Return one device."""

        def read(connection: Connection) -> KnownDevice:
            row = (
                connection.execute(_known_devices().where(DEVICES.c.id == device_id))
                .mappings()
                .one_or_none()
            )
            if row is None:
                raise NotFoundError("device", device_id)
            return _known(row)

        return await self._database.read(read)

    async def devices(self, wanted: DeviceFilter, request: PageRequest) -> Page[KnownDevice]:
        """Return devices by id."""
        query = _known_devices().where(*_conditions(wanted))
        return await self._database.read(
            lambda connection: page_of(
                connection,
                query,
                request,
                sorts={"id": DEVICES.c.id, "registered_at": DEVICES.c.registered_at},
                default_sort="id",
                id_column=DEVICES.c.id,
                build=_known,
            ),
            old_will_do=True,
        )

    async def rotate(self, act: Act, device_id: str, overlap_s: float) -> Done[Issued]:
        """Make a new account; the ones before end now or after an overlap."""

        def make(connection: Connection, digest: str) -> Issued:
            standing = find_device(connection, device_id)
            require_active(standing)
            self._end_accounts(connection, device_id, overlap_s)
            if standing.provisional:
                standing = self._put(
                    connection, msgspec.structs.replace(standing, provisional=False)
                )
            return self._add_account(connection, standing, act.principal, digest)

        return await self._issue(act, make)

    async def revoke(self, act: Act, device_id: str, account_id: str) -> Done[Account]:
        """End an account now; repeating it changes nothing."""

        def work(connection: Connection) -> Account:
            raise_revision(connection)
            found = [a for a in find_accounts(connection, device_id) if a.id == account_id]
            if not found:
                raise NotFoundError("account", account_id)
            if found[0].revoked_at is not None:
                return found[0]
            return self._revoke(connection, found[0])

        return await self._database.act(act, work, Account)

    async def accounts(self, device_id: str) -> list[Account]:
        """Return all accounts a device ever had, newest first."""
        return await self._database.read(
            lambda connection: find_accounts(connection, device_id), old_will_do=True
        )

    async def firmware_history(self, device_id: str, request: PageRequest) -> Page[FirmwareChange]:
        """Return the changes of firmware a device reported, newest first."""
        changes = FIRMWARE_HISTORY.c

        def read(connection: Connection) -> Page[FirmwareChange]:
            find_device(connection, device_id)
            return page_of(
                connection,
                select(FIRMWARE_HISTORY).where(changes.device_id == device_id),
                request,
                sorts={"noticed_at": changes.noticed_at},
                default_sort="-noticed_at",
                id_column=changes.id,
                build=lambda row: FirmwareChange(**row),
            )

        return await self._database.read(read, old_will_do=True)

    async def _issue(self, act: Act, make: Callable[[Connection, str], Issued]) -> Done[Issued]:
        password = draw_password()
        digest = hash_password(password)

        def work(connection: Connection) -> Issued:
            raise_revision(connection)
            return make(connection, digest)

        done = await self._database.act(act, work, Issued)
        if done.replayed:
            return done
        return Done(value=msgspec.structs.replace(done.value, password=password))

    def _register(self, connection: Connection, device: Device, digest: str) -> Issued:
        standing = holder_of(connection, device.resource_id)
        if standing is not None and not standing.provisional:
            message = f"device {standing.id!r} stands behind the resource; retire it first"
            raise ConflictError(message, current=standing.id)
        if standing is not None:
            self._end_accounts(connection, standing.id, 0.0)
        if standing is not None and standing.id == device.id:
            device = msgspec.structs.replace(device, version=standing.version)
            return self._add_account(
                connection, self._put(connection, device), device.registered_by, digest
            )
        if standing is not None:
            self._retire(connection, standing)
        used = select(DEVICES.c.state).where(DEVICES.c.id == device.id)
        state = connection.execute(used).scalar_one_or_none()
        if state is not None:
            message = f"the id {device.id!r} was used before; choose another"
            raise ConflictError(message, current=state)
        connection.execute(insert(DEVICES), device_row(device))
        return self._add_account(connection, device, device.registered_by, digest)

    def _put(self, connection: Connection, device: Device) -> Device:
        device = msgspec.structs.replace(
            device, version=device.version + 1, changed_at=self._database.clock.now()
        )
        connection.execute(
            update(DEVICES).where(DEVICES.c.id == device.id).values(device_row(device))
        )
        return device

    def _retire(self, connection: Connection, device: Device) -> Device:
        self._end_accounts(connection, device.id, 0.0)
        retired = msgspec.structs.replace(device, state=DeviceState.RETIRED, provisional=False)
        return self._put(connection, retired)

    def _add_account(self, connection: Connection, device: Device, by: str, digest: str) -> Issued:
        of_device = DEVICE_CREDENTIALS.c.device_id == device.id
        count = select(func.count()).select_from(DEVICE_CREDENTIALS).where(of_device)
        account = Account(
            id=self._ids.new("account"),
            device_id=device.id,
            name=account_name(device.id, int(connection.execute(count).scalar_one()) + 1),
            created_by=by,
            created_at=self._database.clock.now(),
        )
        row = {**msgspec.structs.asdict(account), "password_hash": digest}
        connection.execute(insert(DEVICE_CREDENTIALS), row)
        return Issued(device=device, account=account)

    def _end_accounts(self, connection: Connection, device_id: str, overlap_s: float) -> None:
        now = self._database.clock.now()
        # Of several that are still valid, only the newest deserves the overlap.
        patience_s = overlap_s
        for account in find_accounts(connection, device_id):
            if is_valid(account, now):
                ending = after_rotation(account, now, patience_s)
                patience_s = 0.0
                if ending.revoked_at is not None:
                    self._revoke(connection, account)
                else:
                    values = {"valid_until": ending.valid_until}
                    connection.execute(_change_account(account.id).values(values))

    def _revoke(self, connection: Connection, account: Account) -> Account:
        revoked = msgspec.structs.replace(account, revoked_at=self._database.clock.now())
        values = {"revoked_at": revoked.revoked_at, "password_hash": None}
        connection.execute(_change_account(account.id).values(values))
        return revoked


def raise_revision(connection: Connection) -> None:
    """Tell followers that devices have changed; holds off other writers until the commit."""
    connection.execute(_RAISE)


def find_device(connection: Connection, device_id: str) -> Device:
    """Return a device.

    Raises:
        NotFoundError: none of that id was ever registered.
    """
    query = select(*_DEVICE_COLUMNS).where(DEVICES.c.id == device_id)
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        raise NotFoundError("device", device_id)
    return device_of(row)


def holder_of(connection: Connection, resource_id: str) -> Device | None:
    """Return the active device behind a resource."""
    query = select(*_DEVICE_COLUMNS).where(DEVICES.c.holds_resource_id == resource_id)
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else device_of(row)


def find_accounts(connection: Connection, device_id: str) -> list[Account]:
    """Return all accounts of a device, newest first.

    Raises:
        NotFoundError: no such device.
    """
    find_device(connection, device_id)
    columns = DEVICE_CREDENTIALS.c
    query = select(*_ACCOUNT_COLUMNS).where(columns.device_id == device_id)
    ordered = query.order_by(columns.created_at.desc(), columns.id.desc())
    return [Account(**row) for row in connection.execute(ordered).mappings()]


def device_row(device: Device) -> dict[str, Any]:
    """Return a device as a row."""
    active = device.state is DeviceState.ACTIVE
    return {
        **msgspec.structs.asdict(device),
        "state": str(device.state),
        "holds_resource_id": device.resource_id if active else None,
    }


def device_of(row: RowMapping) -> Device:
    """Return a row as a device."""
    fields = {name: row[name] for name in Device.__struct_fields__}
    return Device(**{**fields, "state": DeviceState(fields["state"])})


def _expect(connection: Connection, device_id: str, version: int) -> Device:
    standing = find_device(connection, device_id)
    if standing.version != version:
        raise StaleVersionError("the device", standing.version)
    require_active(standing)
    return standing


def _change_account(account_id: str) -> Update:
    return update(DEVICE_CREDENTIALS).where(DEVICE_CREDENTIALS.c.id == account_id)


def _known_devices() -> Select[Any]:
    newest = (
        select(func.coalesce(func.max(DEVICE_CONFIGURATIONS.c.version), 0))
        .where(DEVICE_CONFIGURATIONS.c.device_id == DEVICES.c.id)
        .correlate(DEVICES)
        .scalar_subquery()
        .label("wanted_configuration")
    )
    joined = DEVICES.outerjoin(DEVICE_REPORTS, DEVICE_REPORTS.c.device_id == DEVICES.c.id)
    return select(*_DEVICE_COLUMNS, newest, *_REPORT_COLUMNS).select_from(joined)


def _conditions(wanted: DeviceFilter) -> Iterable[ColumnElement[bool]]:
    if wanted.state is not None:
        yield DEVICES.c.state == str(wanted.state)
    if wanted.resource_id is not None:
        yield DEVICES.c.resource_id == wanted.resource_id
    if wanted.within is not None:
        yield DEVICES.c.resource_id.in_(wanted.within)
    if wanted.maker is not None:
        yield DEVICES.c.maker == wanted.maker
    if wanted.outdated is not None:
        target, firmware = DEVICES.c.firmware_target, DEVICE_REPORTS.c.firmware
        behind = and_(target.is_not(None), or_(firmware.is_(None), firmware != target))
        yield behind if wanted.outdated else or_(target.is_(None), firmware == target)


def _known(row: RowMapping) -> KnownDevice:
    report = None
    if row["report_device_id"] is not None:
        fields = {name: row[f"report_{name}"] for name in DeviceReport.__struct_fields__}
        report = msgspec.convert(fields, DeviceReport)
    return KnownDevice(
        device=device_of(row), configuration_version=row["wanted_configuration"], report=report
    )


def valid_at(now: datetime) -> ColumnElement[bool]:
    """Return the condition under which an account lets somebody in."""
    columns = DEVICE_CREDENTIALS.c
    in_time = or_(columns.valid_until.is_(None), columns.valid_until > now)
    return and_(columns.revoked_at.is_(None), in_time, columns.password_hash.is_not(None))

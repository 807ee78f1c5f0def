"""Who may do what on the broker: accounts, passwords and access rules, written for the broker.

Both brokers read the same two files, in Mosquitto's formats, so that they cannot disagree. A device
may write its own telemetry, ack, status, results and backfill and read its own commands,
configuration and requests; the inner account may do everything under ``parkgrid/``; nobody sees
``$SYS``. The database says which accounts there are; the credentials file beside the two has the
passwords that were drawn here: our own, and those of devices that nobody has registered yet.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from controllers.control.contract import topic
from controllers.kernel.errors import ConfigError, DomainError
from controllers.kernel.wire import Wire, decode

_DEVICE_WRITES = ("telemetry", "ack", "status", "result", "backfill")
_DEVICE_READS = ("command", "config", "manage")
_SECRET_BYTES = 24
_SALT_BYTES = 12
_HASH_ITERATIONS = 101
"""Mosquitto's own default; the secrets are random and need no stretching."""
_MAX_FILE_BYTES = 16 * 2**20

CREDENTIALS_FILE = "credentials.json"
PASSWORD_FILE = "passwords"  # noqa: S105 - a file name
ACCESS_FILE = "access"


class Credentials(Wire):
    """One account of the broker."""

    username: str
    password: str

    def __repr__(self) -> str:
        """Render without the password."""
        return f"Credentials({self.username})"


class Accounts(Wire):
    """The accounts whose passwords were drawn here."""

    inner: Credentials
    devices: dict[str, Credentials]
    """By device id."""


class DeviceAccess(Wire):
    """One account of a device as the broker needs it."""

    username: str
    resource_id: str
    """Its topics carry this id."""
    password_hash: str


def device_username(site: str, account_name: str) -> str:
    """Return the user name of a device's account."""
    return f"{site}.{account_name}"


def first_access(accounts: Accounts) -> list[DeviceAccess]:
    """Return what the accounts drawn here give access to: each device to its own resource."""
    return [
        DeviceAccess(
            username=credentials.username,
            resource_id=device_id,
            password_hash=hash_password(credentials.password),
        )
        for device_id, credentials in accounts.devices.items()
    ]


def ensure_accounts(folder: Path, site: str, device_ids: Sequence[str]) -> Accounts:
    """Return the accounts drawn here; passwords are drawn once and kept.

    Writes the credentials file, readable by the owner only. Devices no longer listed leave it.

    Raises:
        ConfigError: the credentials file is damaged.
    """
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    known = _load(folder / CREDENTIALS_FILE)
    accounts = Accounts(
        inner=known.inner if known else _draw("parkgrid-inner"),
        devices={id_: _kept(known, id_, device_username(site, id_)) for id_ in device_ids},
    )
    if accounts != known:
        pretty = msgspec.json.format(msgspec.json.encode(accounts)).decode()
        write_private(folder / CREDENTIALS_FILE, pretty + "\n")
    return accounts


def write_access(
    folder: Path, site: str, inner: Credentials, devices: Sequence[DeviceAccess]
) -> None:
    """Replace password file and access rules, each at once, readable by the owner only."""
    passwords = {inner.username: hash_password(inner.password)}
    passwords |= {device.username: device.password_hash for device in devices}
    lines = [f"{username}:{digest}" for username, digest in passwords.items()]
    write_private(folder / ACCESS_FILE, access_rules(inner, site, devices))
    write_private(folder / PASSWORD_FILE, "\n".join(lines) + "\n")


def access_rules(inner: Credentials, site: str, devices: Sequence[DeviceAccess]) -> str:
    """Return the access rules in Mosquitto's format."""
    lines = [f"user {inner.username}", "topic readwrite parkgrid/#"]
    for device in devices:
        lines += ["", f"user {device.username}"]
        own = device.resource_id
        lines += [f"topic write {topic(site, own, leaf)}" for leaf in _DEVICE_WRITES]
        lines += [f"topic read {topic(site, own, leaf)}" for leaf in _DEVICE_READS]
    return "\n".join(lines) + "\n"


@dataclass(frozen=True, slots=True)
class AccessList:
    """The two files, read back, for a broker that does not read them itself."""

    hashes: dict[str, str]
    rules: dict[str, list[tuple[str, str]]]
    """By user: ``read``, ``write`` or ``readwrite``, and a topic filter."""

    @classmethod
    def load(cls, folder: Path) -> AccessList:
        """Read the password file and the access rules of a folder."""
        pairs = (line.split(":", 1) for line in _lines(folder / PASSWORD_FILE))
        hashes = dict(pairs)
        rules: dict[str, list[tuple[str, str]]] = {}
        user = ""
        for line in _lines(folder / ACCESS_FILE):
            word, _, rest = line.partition(" ")
            if word == "user":
                user = rest
                rules[user] = []
            else:
                access, _, topic_filter = rest.partition(" ")
                rules[user].append((access, topic_filter))
        return cls(hashes, rules)

    def knows(self, username: str | None, password: str | None) -> bool:
        """Tell whether the password is that of the user."""
        digest = self.hashes.get(username or "")
        return digest is not None and check_password(password or "", digest)

    def allows(self, username: str | None, access: str, name: str) -> bool:
        """Tell whether a user may ``read`` or ``write`` a topic."""
        return any(
            access in granted and matches(topic_filter, name)
            for granted, topic_filter in self.rules.get(username or "", [])
        )


def matches(topic_filter: str, name: str) -> bool:
    """Tell whether a topic name matches a filter; wildcards never match a leading ``$``."""
    wanted, given = topic_filter.split("/"), name.split("/")
    if name.startswith("$") and wanted[0] in ("+", "#"):
        return False
    for i, level in enumerate(wanted):
        if level == "#":
            return True
        if i >= len(given) or level not in ("+", given[i]):
            return False
    return len(wanted) == len(given)


def draw_password() -> str:
    """Return a password nobody can guess."""
    return secrets.token_urlsafe(_SECRET_BYTES)


def hash_password(password: str) -> str:
    """Return a salted hash as Mosquitto 2 writes it."""
    salt = secrets.token_bytes(_SALT_BYTES)
    return _digest(password, salt, _HASH_ITERATIONS)


def check_password(password: str, digest: str) -> bool:
    """Tell whether a hash is that of a password."""
    _, _, iterations, salt, _ = digest.split("$")
    again = _digest(password, base64.b64decode(salt), int(iterations))
    return hmac.compare_digest(again, digest)


def _digest(password: str, salt: bytes, iterations: int) -> str:
    key = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, iterations)
    texts = [base64.b64encode(part).decode() for part in (salt, key)]
    return f"$7${iterations}${texts[0]}${texts[1]}"


def write_private(path: Path, text: str) -> None:
    """Replace a file at once by one that only its owner can read."""
    draft = path.with_name(path.name + ".tmp")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    draft.replace(path)


def _lines(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if line]


def _load(path: Path) -> Accounts | None:
    try:
        return decode(path.read_bytes(), Accounts, max_bytes=_MAX_FILE_BYTES)
    except FileNotFoundError:
        return None
    except DomainError as error:
        remedy = "restore it, or delete it and hand the new passwords to the devices"
        raise ConfigError(str(path), [f"{error.field}: {error.rule}; {remedy}"]) from error


def _draw(username: str) -> Credentials:
    return Credentials(username=username, password=draw_password())


def _kept(known: Accounts | None, device_id: str, username: str) -> Credentials:
    kept = known.devices.get(device_id) if known is not None else None
    return kept if kept is not None and kept.username == username else _draw(username)

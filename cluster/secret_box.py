"""The SecretBox over a key file: authenticated encryption, and keys that can be replaced live.

The file holds one key per line, the newest first; the first seals, every one opens. A process looks
at the file again whenever it has changed, so a rotation needs no restart. After a rotation the key
before stays for one more: a process that read the file a moment too early may have sealed with it.
"""

from __future__ import annotations

from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from cluster.broker_access import write_private
from controllers.kernel.errors import ConfigError, SealBrokenError

_N_KEPT = 2


def new_seal_key() -> str:
    """Return a key drawn at random."""
    return Fernet.generate_key().decode()


class FileSecretBox:
    """A SecretBox whose keys are in a file that only its owner can read.

    Args:
        path: of the key file; need not exist before the first use.

    Every method raises ConfigError when the file cannot be read or holds no usable keys.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int] | None = None
        self._fernet: MultiFernet | None = None

    def seal(self, secret: str) -> str:
        """Return the secret in a form that tells nothing without the key."""
        return self._keys().encrypt(secret.encode()).decode()

    def open(self, sealed: str) -> str:
        """Return the secret.

        Raises:
            SealBrokenError: changed since it was sealed, or no key is left that fits.
        """
        try:
            return self._keys().decrypt(sealed.encode()).decode()
        except (InvalidToken, UnicodeDecodeError) as error:
            raise SealBrokenError("a stored secret cannot be opened; set it again") from error

    def add_key(self) -> None:
        """Seal with a new key from now on; all others still open."""
        write_private(self._path, "\n".join([new_seal_key(), *self._lines()]) + "\n")

    def drop_old_keys(self) -> None:
        """Forget every key but the newest and the one before."""
        write_private(self._path, "\n".join(self._lines()[:_N_KEPT]) + "\n")

    def _keys(self) -> MultiFernet:
        try:
            status = self._path.stat()
        except OSError as error:
            raise self._unusable() from error
        # A replaced file has another inode even when the clock is too coarse to tell.
        seen = (status.st_ino, status.st_mtime_ns)
        if self._fernet is None or seen != self._seen:
            try:
                self._fernet = MultiFernet([Fernet(line) for line in self._lines()])
            except ValueError as error:
                raise self._unusable() from error
            self._seen = seen
        return self._fernet

    def _lines(self) -> list[str]:
        try:
            return self._path.read_text().split()
        except (OSError, UnicodeDecodeError) as error:
            raise self._unusable() from error

    def _unusable(self) -> ConfigError:
        remedy = "restore it from the backup that belongs to the database"
        return ConfigError(str(self._path), [f"{self._path}: holds no usable keys; {remedy}"])

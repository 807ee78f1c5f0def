"""The file of a backup: a ZIP archive whose last member tells what must be in the others."""

from __future__ import annotations

import hashlib
import os
import re
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO

import msgspec

from cluster.backup.rows import ColumnHead
from controllers.kernel.errors import ConfigError, DomainError
from controllers.kernel.wire import Wire, decode, encode

FORMAT = 1

_MANIFEST = "manifest.json"
_MAX_MANIFEST_BYTES = 16_777_216
_MAX_MEMBERS = 200_000
_NAME = re.compile(r"(?:tables|actors|secrets|broker)/[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}(?!\n)")
_CHUNK_BYTES = 1_048_576


class TableHead(Wire):
    """One table, in the order in which tables can be filled."""

    name: str
    columns: list[ColumnHead]
    n_rows: int


class Member(Wire):
    """One file in the archive."""

    name: str
    sha256: str


class Manifest(Wire):
    """What a backup holds, and what it was made from."""

    format: int
    made_at: datetime
    program: str
    """Version of Parkgrid."""
    revision: str
    """Of the tables."""
    tables: list[TableHead]
    members: list[Member]


class Writer:
    """Adds members to a new archive."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self.members: list[Member] = []

    def add(self, name: str, chunks: Iterable[bytes]) -> int:
        """Add a member and return how many chunks it was made of."""
        digest = hashlib.sha256()
        n_chunks = 0
        with self._archive.open(name, "w", force_zip64=True) as member:
            for chunk in chunks:
                digest.update(chunk)
                member.write(chunk)
                n_chunks += 1
        self.members.append(Member(name=name, sha256=digest.hexdigest()))
        return n_chunks

    def add_file(self, name: str, path: Path) -> None:
        """Add a file as it is."""
        with path.open("rb") as source:
            self.add(name, iter(lambda: source.read(_CHUNK_BYTES), b""))

    def finish(self, manifest: Manifest) -> None:
        """Add the manifest; nothing may follow."""
        self._archive.writestr(_MANIFEST, msgspec.json.format(encode(manifest)))


@contextmanager
def new_archive(path: Path) -> Iterator[Writer]:
    """Write an archive; it stands under its name only once it is whole and on the disk.

    Raises:
        ConfigError: there is a file of that name, or its folder does not take one.
    """
    part = path.with_name(f"{path.name}.part")
    if path.exists():
        raise ConfigError("backup", [f"{path}: there already; name another file"])
    try:
        descriptor = os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        problem = f"{part}: left by a backup that runs or was broken off; remove it if none runs"
        raise ConfigError("backup", [problem]) from None
    except OSError as error:
        raise ConfigError("backup", [f"{path}: {error.strerror}"]) from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
                yield Writer(archive)
            file.flush()
            os.fsync(file.fileno())
        # Unlike a rename, a link never takes the place of what has come in between.
        os.link(part, path)
    except FileExistsError:
        raise ConfigError("backup", [f"{path}: there already; name another file"]) from None
    except OSError as error:
        raise ConfigError("backup", [f"{path}: {error.strerror or error}"]) from error
    finally:
        part.unlink(missing_ok=True)


class Reader:
    """An archive that was found to be whole."""

    def __init__(self, archive: zipfile.ZipFile, manifest: Manifest) -> None:
        self._archive = archive
        self.manifest = manifest

    def names(self, folder: str) -> list[str]:
        """Return the members of a folder."""
        names = [member.name for member in self.manifest.members]
        return [name for name in names if name.startswith(f"{folder}/")]

    @contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        """Open a member for reading."""
        with self._archive.open(name) as member:
            yield member

    def extract(self, name: str, path: Path) -> None:
        """Write a member to a new file for its owner only."""
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "wb") as file, self.open(name) as member:
            while chunk := member.read(_CHUNK_BYTES):
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())


@contextmanager
def whole_archive(path: Path) -> Iterator[Reader]:
    """Open an archive, having compared every member with its digest.

    Raises:
        ConfigError: no backup, of another format, damaged or changed.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            manifest = _checked(path, archive)
            yield Reader(archive, manifest)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, EOFError) as error:
        raise _refused(path, "is damaged, or no backup") from error
    except OSError as error:
        raise ConfigError("restore", [f"{error.filename or path}: {error.strerror}"]) from error


def _checked(path: Path, archive: zipfile.ZipFile) -> Manifest:
    names = archive.namelist()
    if _MANIFEST not in names or len(names) > _MAX_MEMBERS:
        raise _refused(path, "is no backup, or was broken off")
    if archive.getinfo(_MANIFEST).file_size > _MAX_MANIFEST_BYTES:
        raise _refused(path, "has a manifest beyond all measure")
    body = archive.read(_MANIFEST)
    try:
        found = msgspec.json.decode(body, type=dict[str, object]).get("format")
        if found != FORMAT:
            raise _refused(path, f"is of format {found}; this program reads format {FORMAT}")
        manifest = decode(body, Manifest, max_bytes=_MAX_MANIFEST_BYTES)
    except (msgspec.DecodeError, DomainError) as error:
        raise _refused(path, "has a manifest that cannot be read") from error
    told = [member.name for member in manifest.members]
    if sorted(told) != sorted(set(names) - {_MANIFEST}) or len(told) != len(names) - 1:
        raise _refused(path, "does not hold what its manifest tells")
    for member in manifest.members:
        if not _NAME.fullmatch(member.name):
            raise _refused(path, "holds a file that belongs nowhere")
        if _digest(archive, member.name) != member.sha256:
            raise _refused(path, f"was changed or damaged: {member.name}")
    return manifest


def _digest(archive: zipfile.ZipFile, name: str) -> str:
    digest = hashlib.sha256()
    with archive.open(name) as member:
        while chunk := member.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _refused(path: Path, why: str) -> ConfigError:
    return ConfigError("restore", [f"{path}: {why}"])

"""Stored secrets tell nothing, notice changes, and survive the rotation of their key."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Column, MetaData, String, Table, insert, select

from cluster.secret_box import FileSecretBox, new_seal_key
from cluster.storage import sealing
from cluster.storage.engine import migrate, open_engine, reading, writing
from cluster.storage.tables.base import Sealed
from controllers.kernel.errors import ConfigError, SealBrokenError
from controllers.kernel.timebase import SystemClock

PLAIN = "a password for the mail server, 密码"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "seal"
    path.write_text(new_seal_key() + "\n")
    return path


def test_a_sealed_secret_tells_nothing_and_opens_again(path: Path) -> None:
    box = FileSecretBox(path)
    sealed = box.seal(PLAIN)
    assert "password" not in sealed
    assert box.seal(PLAIN) != sealed
    assert FileSecretBox(path).open(sealed) == PLAIN


@pytest.mark.parametrize("sealed", ["", "x", "é", "gAAAAA"])
def test_what_was_never_sealed_is_refused(path: Path, sealed: str) -> None:
    with pytest.raises(SealBrokenError):
        FileSecretBox(path).open(sealed)


def test_a_changed_secret_is_refused(path: Path) -> None:
    box = FileSecretBox(path)
    sealed = box.seal(PLAIN)
    middle = len(sealed) // 2
    other = "A" if sealed[middle] != "A" else "B"
    with pytest.raises(SealBrokenError):
        box.open(sealed[:middle] + other + sealed[middle + 1 :])


@pytest.mark.parametrize("content", ["", "not a key\n"])
def test_a_file_without_keys_is_named_but_not_shown(path: Path, content: str) -> None:
    path.write_text(content)
    with pytest.raises(ConfigError, match="no usable keys") as caught:
        FileSecretBox(path).seal(PLAIN)
    assert "not a key" not in str(caught.value)


def test_a_running_process_follows_a_rotation_and_the_second_rotation_ends_the_first_key(
    path: Path,
) -> None:
    running, rotating = FileSecretBox(path), FileSecretBox(path)
    old = running.seal(PLAIN)
    for _ in range(2):
        assert rotating.open(old) == PLAIN
        rotating.add_key()
        assert running.open(old) == PLAIN
        rotating.drop_old_keys()
    assert len(path.read_text().split()) == 2
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(SealBrokenError):
        running.open(old)
    assert rotating.open(running.seal(PLAIN)) == PLAIN


# --- everything stored

NOTES = Table(
    "notes",
    MetaData(),
    Column("owner", String(8), primary_key=True),
    Column("number", String(8), primary_key=True),
    Column("secret_sealed", Sealed),
)


def test_resealing_reaches_every_row_or_none(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'park.sqlite'}")
    migrate(engine)
    monkeypatch.setattr(sealing, "METADATA", NOTES.metadata)
    box = FileSecretBox(path)
    rows = [
        {"owner": "a", "number": str(n), "secret_sealed": box.seal(f"secret {n}") if n else None}
        for n in range(3)
    ]
    with writing(engine) as connection:
        NOTES.metadata.create_all(connection)
        connection.execute(insert(NOTES), rows)
    box.add_key()
    assert sealing.reseal_all(engine, box, SystemClock()) == 2
    newest = tmp_path / "newest"
    newest.write_text(path.read_text().split()[0])
    with reading(engine) as connection:
        stored = connection.execute(select(NOTES).order_by(NOTES.c.number)).all()
    assert stored[0].secret_sealed is None
    assert [FileSecretBox(newest).open(r.secret_sealed) for r in stored[1:]] == [
        "secret 1",
        "secret 2",
    ]

    with writing(engine) as connection:
        broken = {"owner": "b", "number": "9", "secret_sealed": "broken"}
        connection.execute(insert(NOTES), broken)
    with pytest.raises(SealBrokenError):
        sealing.reseal_all(engine, box, SystemClock())
    with reading(engine) as connection:
        assert connection.execute(select(NOTES).order_by(NOTES.c.number)).all()[:3] == stored
    engine.dispose()

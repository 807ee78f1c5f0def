"""The commands ``parkgrid backup`` and ``parkgrid restore``."""

from __future__ import annotations

from pathlib import Path

import typer

from cluster.backup.make import make_backup
from cluster.backup.restore import restore_backup
from cluster.bootstrap import database_url_of
from cluster.home import Home
from cluster.settings import Settings
from cluster.storage.engine import open_engine
from controllers.kernel.timebase import SystemClock


def backup(settings: Settings, path: Path) -> None:
    """Write a backup and say what it holds.

    Raises:
        ConfigError: see ``make_backup``.
        StorageUnavailableError: see ``make_backup``.
    """
    home = Home(settings.home)
    engine = open_engine(database_url_of(settings, home))
    try:
        make_backup(home, engine, path, SystemClock(), typer.echo)
    finally:
        engine.dispose()


def restore(settings: Settings, path: Path) -> None:
    """Bring a backup back and say what it held.

    Raises:
        ConfigError: see ``restore_backup``.
        ConflictError: see ``restore_backup``.
        StorageUnavailableError: see ``restore_backup``.
    """
    home = Home(settings.home)
    engine = open_engine(database_url_of(settings, home))
    try:
        restore_backup(home, engine, path, SystemClock(), typer.echo)
    finally:
        engine.dispose()

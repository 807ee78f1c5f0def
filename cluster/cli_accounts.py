"""The commands that work on the data directory: tokens, accounts, the audit chain."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer
from sqlalchemy import Engine, select

from cluster.accounts import create_user, mint_token
from cluster.bootstrap import database_url_of
from cluster.home import Home
from cluster.secret_box import FileSecretBox
from cluster.settings import Settings
from cluster.storage.audit import first_broken
from cluster.storage.engine import migrate, open_engine, reading
from cluster.storage.sealing import reseal_all
from cluster.storage.tables.operations import AUDIT_HEAD
from controllers.kernel.timebase import SystemClock


@contextmanager
def _database(settings: Settings) -> Iterator[tuple[Home, Engine]]:
    home = Home(settings.home)
    engine = open_engine(database_url_of(settings, home))
    try:
        migrate(engine)
        yield home, engine
    finally:
        engine.dispose()


def print_token(settings: Settings, username: str) -> None:
    """Print an access token of an account, and nothing else.

    Raises:
        NotFoundError: no such account.
    """
    with _database(settings) as (home, engine):
        token, _ = mint_token(engine, home.jwt_secret_file, username)
    typer.echo(token)


def add(settings: Settings, username: str, roles: list[str]) -> None:
    """Add an account, with the password from the terminal or from standard input.

    Raises:
        ConfigError: the roles or the password will not do.
        ConflictError: the name is taken.
    """
    if sys.stdin.isatty():
        password = getpass.getpass(f"Password for {username}: ")
    else:
        password = sys.stdin.readline().rstrip("\n")
    with _database(settings) as (_, engine):
        create_user(engine, username, password, roles)
    typer.echo(f"Added {username} ({', '.join(roles)})")


def check_audit(settings: Settings) -> None:
    """Verify the audit chain; exits with 1 where it is broken."""
    with _database(settings) as (_, engine), reading(engine) as connection:
        broken_at = first_broken(connection)
        n_entries = connection.execute(select(AUDIT_HEAD.c.seq)).scalar_one()
    if broken_at is not None:
        typer.echo(f"The audit chain is broken at entry {broken_at}", err=True)
        raise typer.Exit(1)
    typer.echo(f"The audit chain is whole: {n_entries} entries")


def rotate_seal_keys(settings: Settings) -> None:
    """Replace the key of the stored secrets and seal them all anew.

    Raises:
        SealBrokenError: a stored secret cannot be opened; nothing stored was changed.
        StorageUnavailableError: the database does not answer; nothing stored was changed.
    """
    with _database(settings) as (home, engine):
        box = FileSecretBox(home.seal_keys_file)
        # Until everything is sealed anew every old key stays: stopping half way loses nothing.
        box.add_key()
        n_secrets = reseal_all(engine, box, SystemClock())
        box.drop_old_keys()
    typer.echo(f"Sealed {n_secrets} stored secrets with a new key")

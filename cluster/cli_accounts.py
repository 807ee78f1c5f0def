"""The commands that work on the data directory: tokens, accounts, the audit chain."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from sqlalchemy import Engine, select

from cluster.accounts import LocalAccounts, local_accounts, mint_token
from cluster.bootstrap import database_url_of
from cluster.home import Home
from cluster.secret_box import FileSecretBox
from cluster.settings import Settings
from cluster.storage.audit import all_entries, first_broken
from cluster.storage.engine import migrate, open_engine, reading
from cluster.storage.sealing import reseal_all
from cluster.storage.tables.operations import AUDIT_HEAD
from controllers.kernel.timebase import SystemClock
from controllers.kernel.wire import encode
from controllers.ports.accounts import AccountChange


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
    with _database(settings) as (home, _):
        token, _ = mint_token(database_url_of(settings, home), home.jwt_secret_file, username)
    typer.echo(token)


def add(settings: Settings, username: str, roles: list[str], scope: list[str]) -> None:
    """Add an account, with the password from the terminal or from standard input.

    Raises:
        ConfigError: name, roles or password will not do.
        ConflictError: the name is taken.
    """
    password = _ask_password(username)
    with _accounts(settings) as accounts:
        accounts.add(username, password, roles, scope or None)
    typer.echo(f"Added {username} ({', '.join(roles)})")


def show(settings: Settings, *, as_json: bool) -> None:
    """Print all accounts, as a table or as JSON."""
    with _accounts(settings) as accounts:
        found = accounts.all()
    if as_json:
        typer.echo(msgspec.json.format(encode(found)))
        return
    table = Table(box=None, pad_edge=False)
    for column in ("name", "roles", "scope", "state", "changed"):
        table.add_column(column)
    for account in found:
        scope = "whole park" if account.scope is None else ", ".join(account.scope)
        state = "disabled" if account.disabled else "enabled"
        changed = account.changed_at.isoformat(sep=" ", timespec="seconds")
        table.add_row(account.username, ", ".join(account.roles), scope, state, changed)
    Console().print(table)


def change(settings: Settings, username: str, wanted: AccountChange) -> None:
    """Change roles, scope or state of an account.

    Raises:
        ConfigError: a role is unknown.
        NotFoundError: no such account.
        ConflictError: it is the last administrator.
    """
    with _accounts(settings) as accounts:
        account = accounts.change(username, wanted)
    state = "disabled" if account.disabled else ", ".join(account.roles)
    typer.echo(f"Changed {username} ({state})")


def set_password(settings: Settings, username: str) -> None:
    """Replace the password of an account and end its sessions.

    Raises:
        ConfigError: the password will not do.
        NotFoundError: no such account.
    """
    password = _ask_password(username)
    with _accounts(settings) as accounts:
        accounts.set_password(username, password)
    typer.echo(f"Changed the password of {username}; all its sessions have ended")


def _ask_password(username: str) -> str:
    if sys.stdin.isatty():
        return getpass.getpass(f"New password for {username}: ")
    return sys.stdin.readline().rstrip("\n")


@contextmanager
def _accounts(settings: Settings) -> Iterator[LocalAccounts]:
    with (
        _database(settings) as (home, _),
        local_accounts(database_url_of(settings, home)) as accounts,
    ):
        yield accounts


def check_audit(settings: Settings) -> None:
    """Verify the audit chain; exits with 1 where it is broken."""
    with _database(settings) as (_, engine), reading(engine) as connection:
        broken_at = first_broken(connection)
        n_entries = connection.execute(select(AUDIT_HEAD.c.seq)).scalar_one()
    if broken_at is not None:
        typer.echo(f"The audit chain is broken at entry {broken_at}", err=True)
        raise typer.Exit(1)
    typer.echo(f"The audit chain is whole: {n_entries} entries")


def export_audit(settings: Settings) -> None:
    """Print every entry of the audit log, oldest first, one JSON object per line."""
    with _database(settings) as (_, engine), reading(engine) as connection:
        for entry in all_entries(connection):
            typer.echo(encode(entry))


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

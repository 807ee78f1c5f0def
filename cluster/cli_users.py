"""The command line's ``user`` commands; each needs access to the data directory."""

from __future__ import annotations

from typing import Annotated

import typer

from cluster.cli_common import HomeOption, explained
from cluster.settings import load_settings
from controllers.ports.accounts import AccountChange

users = typer.Typer(help="Accounts of people and programs.", no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(help="Name of the account.")]
RoleOption = Annotated[list[str], typer.Option("--role", help="May be given several times.")]
ScopeOption = Annotated[
    list[str] | None,
    typer.Option("--scope", help="Aggregation it is confined to; several times. [default: all]"),
]


@users.command("add")
@explained
def add_user(
    username: NameArgument,
    role: RoleOption,
    scope: ScopeOption = None,
    home: HomeOption = None,
) -> None:
    """Add an account; asks for its password, or reads one line where there is no terminal."""
    from cluster.cli_accounts import add  # noqa: PLC0415

    add(load_settings(home=home), username, role, scope or [])


@users.command("list")
@explained
def list_users(
    home: HomeOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the accounts."""
    from cluster.cli_accounts import show  # noqa: PLC0415

    show(load_settings(home=home), as_json=as_json)


@users.command("roles")
@explained
def set_roles(
    username: NameArgument,
    role: RoleOption,
    scope: ScopeOption = None,
    home: HomeOption = None,
) -> None:
    """Give an account these roles and this scope instead of those it has."""
    from cluster.cli_accounts import change  # noqa: PLC0415

    wanted = AccountChange(roles=sorted(set(role)), scope=scope or None)
    change(load_settings(home=home), username, wanted)


@users.command("disable")
@explained
def disable_user(username: NameArgument, home: HomeOption = None) -> None:
    """Close an account and end its sessions; it keeps its name in the records."""
    from cluster.cli_accounts import change  # noqa: PLC0415

    change(load_settings(home=home), username, AccountChange(disabled=True))


@users.command("enable")
@explained
def enable_user(username: NameArgument, home: HomeOption = None) -> None:
    """Open a closed account again."""
    from cluster.cli_accounts import change  # noqa: PLC0415

    change(load_settings(home=home), username, AccountChange(disabled=False))


@users.command("password")
@explained
def set_password(username: NameArgument, home: HomeOption = None) -> None:
    """Replace a password and end the account's sessions; asks, or reads one line."""
    from cluster.cli_accounts import set_password as replace  # noqa: PLC0415

    replace(load_settings(home=home), username)

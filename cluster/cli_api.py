"""Commands over the API of a park, here or elsewhere: log in once, then read and operate.

Each command is one operation; its answer is a table, or with ``--json`` what the server sent.
"""

from __future__ import annotations

import getpass
import sys
from collections.abc import Callable
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from cluster.cli_common import explained
from cluster.cli_optimizer import deploy

Words = Annotated[
    list[str] | None,
    typer.Argument(help="Ids in the order of the path, then name=value for filters and fields."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print what the server sent.")]
Version = Annotated[
    int | None, typer.Option("--if-match", help="Version you saw, of what can be changed.")
]
Key = Annotated[str | None, typer.Option("--key", help="Idempotency key. [default: a new one]")]

# Group, verb: operation and what it does. All others are reached by ``parkgrid api``.
COMMANDS: dict[str, dict[str, tuple[str, str]]] = {
    "resources": {
        "list": ("list_resources", "List resources."),
        "show": ("get_resource", "Show a resource: RESOURCE."),
        "override": ("set_override", "Hold: RESOURCE target_kw= duration_s= reason="),
        "release-override": ("clear_override", "Let go of a resource: RESOURCE."),
    },
    "aggregations": {
        "list": ("list_aggregations", "List aggregations."),
        "show": ("get_aggregation", "Show an aggregation: AGGREGATION."),
    },
    "dispatch": {
        "create": ("dispatch", "Dispatch: AGGREGATION target_kw= duration_s= reason="),
        "list": ("list_dispatches", "List dispatches, newest first."),
        "show": ("get_dispatch", "Show the delivery report: DISPATCH."),
        "amend": ("amend_dispatch", "Change: DISPATCH target_kw= --if-match VERSION"),
        "cancel": ("cancel_dispatch", "End now: DISPATCH reason="),
    },
    "kill": {
        "resource": ("kill_resource", "Stop a resource: RESOURCE reason="),
        "aggregation": ("kill_aggregation", "Stop all below: AGGREGATION reason="),
        "park": ("kill_park", "Stop the park: reason="),
        "release-resource": ("release_resource", "Lift: RESOURCE reason="),
        "release-aggregation": ("release_aggregation", "Lift: AGGREGATION reason="),
        "release-park": ("release_park", "Lift: reason="),
    },
    "templates": {
        "list": ("list_templates", "List resource templates."),
        "show": ("get_template", "Show a template: TEMPLATE."),
        "versions": ("list_versions", "List its versions: TEMPLATE."),
        "usage": ("get_usage", "Show who uses it: TEMPLATE."),
        "validate": ("validate_configuration", "Check: TEMPLATE parameters={...}"),
    },
    "optimizer": {
        "list": ("list_optimizers", "List optimizers: state="),
        "show": ("get_optimizer", "Show an optimizer: OPTIMIZER."),
        "shadow": ("shadow_optimizer", "Judge it on live problems: OPTIMIZER reason="),
        "scores": ("list_optimizer_scores", "List how its plans did, newest first: OPTIMIZER."),
        "summary": ("summarize_optimizer", "Sum up how its plans did: OPTIMIZER."),
        "promote": ("promote_optimizer", "Dispatch it: OPTIMIZER reason= --if-match VERSION"),
        "rollback": ("roll_back_optimizer", "Take it out of force: OPTIMIZER reason="),
        "remove": ("remove_optimizer", "Remove it: OPTIMIZER --if-match VERSION"),
    },
    "alarms": {
        "list": ("list_alarms", "List alarms: state= severity= subject="),
        "show": ("get_alarm", "Show an alarm with its history: ALARM."),
        "acknowledge": ("acknowledge_alarm", "Acknowledge: ALARM note="),
        "shelve": ("shelve_alarm", "Shelve: ALARM duration_s= reason="),
        "clear": ("clear_alarm", "Clear: ALARM reason="),
        "rules": ("list_alarm_rules", "List the rules."),
    },
    "devices": {
        "list": ("list_devices", "List devices."),
        "show": ("get_device", "Show a device: DEVICE."),
        "register": ("register_device", "Register: resource_id="),
        "retire": ("retire_device", "Retire: DEVICE reason="),
        "rotate": ("rotate_credentials", "New credentials: DEVICE reason="),
    },
}


def add_to(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command("login")(explained(login))
    app.command("logout")(explained(logout))
    app.command("api")(explained(api))
    for group, verbs in COMMANDS.items():
        typer_group = typer.Typer(help=f"The park's {group}, over its API.", no_args_is_help=True)
        for verb, (operation_id, help_) in verbs.items():
            typer_group.command(verb, help=help_)(_command(operation_id))
        if group == "optimizer":
            typer_group.command("deploy")(explained(deploy))
        app.add_typer(typer_group, name=group)


def login(
    username: Annotated[str, typer.Argument(help="Name to log in with.")],
    url: Annotated[str, typer.Option(help="Of the park.")] = "http://127.0.0.1:8000",
) -> None:
    """Log in; later commands use the session until it ends, after one shift."""
    from cluster.client_session import log_in, session_file  # noqa: PLC0415

    if sys.stdin.isatty():
        password = getpass.getpass(f"Password for {username}: ")
    else:
        password = sys.stdin.readline().rstrip("\n")
    log_in(session_file(), url, username, password)
    typer.echo(f"Logged in as {username} at {url}")


def logout() -> None:
    """End the session."""
    from cluster.client_session import log_out, session_file  # noqa: PLC0415

    log_out(session_file())


def api(
    operation: Annotated[str, typer.Argument(help="operationId, as in `parkgrid openapi`.")],
    words: Words = None,
    as_json: AsJson = False,
    version: Version = None,
    key: Key = None,
) -> None:
    """Do any operation of the API."""
    _run(operation, words or [], as_json=as_json, version=version, key=key)


def _command(operation_id: str) -> Callable[..., None]:
    def command(
        words: Words = None, as_json: AsJson = False, version: Version = None, key: Key = None
    ) -> None:
        _run(operation_id, words or [], as_json=as_json, version=version, key=key)

    return explained(command)


def _run(
    operation_id: str, words: list[str], *, as_json: bool, version: int | None, key: str | None
) -> None:
    # A second of imports that the other commands do without.
    from cluster.api_words import request_of  # noqa: PLC0415
    from cluster.client_session import opened, session_file  # noqa: PLC0415
    from serve_apps.openapi import openapi_document  # noqa: PLC0415

    request = request_of(openapi_document(), operation_id, words)
    with opened(session_file()) as client:
        response = client.send(
            request.method,
            request.path,
            query=request.query,
            body=request.body,
            key=key,
            keyed=request.keyed,
            version=version,
        )
    if not response.headers.get("content-type", "").startswith("application/json"):
        typer.echo(response.content, nl=False)
    elif as_json:
        typer.echo(response.content)
    else:
        show(msgspec.json.decode(response.content), Console())


def show(answer: dict[str, Any], console: Console) -> None:
    """Print an answer: a list as a table, anything else as names and values."""
    rows = answer.get("items")
    if not isinstance(rows, list):
        table = Table(box=None, show_header=False, pad_edge=False)
        for name, value in _scalars(answer).items():
            table.add_row(name, value)
        console.print(table)
        return
    flat = [_scalars(row) for row in rows]
    # What is empty everywhere only takes room.
    columns = [
        n for n in dict.fromkeys(n for row in flat for n in row) if any(r.get(n) for r in flat)
    ]
    table = Table(*columns, box=None, pad_edge=False)
    for row in flat:
        table.add_row(*(row.get(column, "") for column in columns))
    console.print(table)
    if answer.get("next_cursor"):
        console.print(f"more: cursor={answer['next_cursor']}", soft_wrap=True)


def _scalars(value: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """Return what fits into a cell, one level of nesting spelled with a dot."""
    found: dict[str, str] = {}
    for name, item in value.items():
        if isinstance(item, dict):
            if not prefix:
                found |= _scalars(item, f"{name}.")
        elif isinstance(item, list):
            if all(not isinstance(part, dict | list) for part in item):
                found[prefix + name] = ", ".join(map(str, item))
        elif item is not None:
            found[prefix + name] = str(item)
    return found

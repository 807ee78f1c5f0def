"""The command line, ``parkgrid``: ``up``, ``status``, ``day``, ``user``, ``backup`` ...

Exit codes: 0 done, 1 not possible now (and why), 2 wrong arguments, settings or park file.
Settings come from options, else from ``PARKGRID_...`` variables, else from defaults.
"""

from __future__ import annotations

import functools
import json
import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from cluster.cli_api import add_to
from cluster.cli_common import HomeOption, explained
from cluster.cli_day import ManyValues, day
from cluster.cli_solve import bid, solve
from cluster.cli_users import users
from cluster.settings import load_settings

_STDOUT = 1

app = typer.Typer(
    help="Run a zero-carbon park as a virtual power plant.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_show_locals=False,
)
app.add_typer(users, name="user")
audits = typer.Typer(help="The log of who did what.", no_args_is_help=True)
app.add_typer(audits, name="audit")
stored_secrets = typer.Typer(help="Secrets that are stored sealed.", no_args_is_help=True)
app.add_typer(stored_secrets, name="secrets")


@app.command()
@explained
def up(
    park: Annotated[
        Path | None,
        typer.Option(help="Park file (YAML). [default: the last one; at first the demo park]"),
    ] = None,
    replace_park: Annotated[
        bool,
        typer.Option(
            "--replace-park", help="Take the park file even if it undoes edits over the API."
        ),
    ] = False,
    no_demo: Annotated[
        bool, typer.Option("--no-demo", help="Wait for real devices; simulate none.")
    ] = False,
    port: Annotated[
        int | None, typer.Option(min=1, max=65_535, help="Port of API and page. [default: 8000]")
    ] = None,
    home: HomeOption = None,
) -> None:
    """Start everything on this machine; Ctrl-C stops it, the next start resumes."""
    settings = load_settings(home=home, http_port=port, demo=False if no_demo else None)
    from cluster.bootstrap import run  # noqa: PLC0415 - the other commands start faster without

    # A descriptor of our own: what libraries print goes to a log, what we say goes here.
    with os.fdopen(os.dup(_STDOUT), "w", buffering=1) as terminal:
        say = functools.partial(print, file=terminal)
        run(settings, park, say, replace_park=replace_park)


@app.command()
@explained
def status(
    home: HomeOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the live state as JSON.")] = False,
) -> None:
    """Show the running park."""
    from cluster.cli_status import show_status  # noqa: PLC0415

    show_status(load_settings(home=home), as_json=as_json)


@app.command()
@explained
def park(home: HomeOption = None) -> None:
    """Print the wanted park as a park file, with what was edited over the API."""
    from cluster.cli_park import print_park  # noqa: PLC0415

    print_park(load_settings(home=home))


@app.command()
@explained
def token(
    username: Annotated[str, typer.Argument(help="A local account.")] = "operator",
    home: HomeOption = None,
) -> None:
    """Print a short-lived access token of a local account; needs access to the data directory."""
    from cluster.cli_accounts import print_token  # noqa: PLC0415

    print_token(load_settings(home=home), username)


@app.command()
@explained
def backup(
    file: Annotated[Path, typer.Argument(help="New file; it will hold secrets.")],
    home: HomeOption = None,
) -> None:
    """Back up database, actors and secrets into one file; the park may run."""
    from cluster.cli_backup import backup as run_backup  # noqa: PLC0415

    run_backup(load_settings(home=home), file)


@app.command()
@explained
def restore(
    file: Annotated[Path, typer.Argument(help="A file that `parkgrid backup` wrote.")],
    home: HomeOption = None,
) -> None:
    """Bring a backup back into a new data directory and an empty database, of any kind."""
    from cluster.cli_backup import restore as run_restore  # noqa: PLC0415

    run_restore(load_settings(home=home), file)


@app.command()
@explained
def history(
    subject: Annotated[str, typer.Argument(help="Id of a resource or an aggregation.")],
    *,
    from_: Annotated[
        str | None, typer.Option("--from", help="ISO 8601 with zone. [default: a day before --to]")
    ] = None,
    to: Annotated[str | None, typer.Option(help="ISO 8601 with zone. [default: now]")] = None,
    resolution: Annotated[str, typer.Option(help="1s to 1d, e.g. 15m.")] = "auto",
    signals: Annotated[
        str, typer.Option(help="Columns, separated by commas; docs/history.md has all.")
    ] = "power_kw,power_kw_min,power_kw_max,energy_kwh",
    as_: Annotated[
        Literal["csv", "json", "arrow"], typer.Option("--format", help="Form of the answer.")
    ] = "csv",
    out: Annotated[Path | None, typer.Option(help="File. [default: standard output]")] = None,
    home: HomeOption = None,
) -> None:
    """Export what a resource or an aggregation did, resampled exactly; the park may run."""
    from cluster.cli_history import export  # noqa: PLC0415

    export(
        load_settings(home=home),
        subject,
        span=(from_, to),
        resolution=resolution,
        signals=signals,
        format_=as_,
        out=out,
    )


@audits.command("verify")
@explained
def verify_audit(home: HomeOption = None) -> None:
    """Check the chain of the audit log; exit code 1 names the entry where it breaks."""
    from cluster.cli_accounts import check_audit  # noqa: PLC0415

    check_audit(load_settings(home=home))


@audits.command("export")
@explained
def export_audit(home: HomeOption = None) -> None:
    """Print every entry of the audit log, oldest first, one JSON object per line."""
    from cluster.cli_accounts import export_audit as export  # noqa: PLC0415

    export(load_settings(home=home))


@stored_secrets.command("rotate")
@explained
def rotate_secrets(home: HomeOption = None) -> None:
    """Draw a new key and seal every stored secret with it; a running park follows by itself."""
    from cluster.cli_accounts import rotate_seal_keys  # noqa: PLC0415

    rotate_seal_keys(load_settings(home=home))


add_to(app)
app.command(cls=ManyValues)(explained(day))
app.command()(explained(solve))
app.command()(explained(bid))


@app.command()
@explained
def openapi() -> None:
    """Print the OpenAPI document of the API; starts nothing."""
    from serve_apps.openapi import openapi_document  # noqa: PLC0415

    typer.echo(json.dumps(openapi_document(), indent=2, ensure_ascii=False))

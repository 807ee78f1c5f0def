"""The command ``parkgrid status``: the running park as a table, or as the API's JSON."""

from __future__ import annotations

import httpx
import msgspec
import typer
from rich.console import Console
from rich.table import Table

from cluster.accounts import OPERATOR, mint_token
from cluster.bootstrap import database_url_of
from cluster.home import Home, RunningPark
from cluster.settings import Settings
from controllers.kernel.errors import ActorUnavailableError, NotFoundError
from controllers.kernel.states import AggregateState, Health, ResourceState
from serve_apps.operations.views import LivePictureView

_ANSWER_LIMIT_S = 10.0
_COLOURS = {Health.OK: "green", Health.DEGRADED: "yellow", Health.FAILED: "red"}


def show_status(settings: Settings, *, as_json: bool) -> None:
    """Print the live state of the park that runs on a data directory.

    Raises:
        NotFoundError: none runs.
        ActorUnavailableError: its API does not answer.
    """
    home = Home(settings.home)
    running = home.running()
    if running is None:
        raise NotFoundError("running park", str(home.path))
    token, _ = mint_token(database_url_of(settings, home), home.jwt_secret_file, OPERATOR)
    body = _fetch(running, token)
    if as_json:
        typer.echo(body)
    else:
        _print(running, msgspec.json.decode(body, type=LivePictureView))


def _fetch(running: RunningPark, token: str) -> bytes:
    try:
        response = httpx.get(
            f"{running.url}/api/vpp/live",
            headers={"Authorization": f"Bearer {token}"},
            timeout=_ANSWER_LIMIT_S,
        )
        response.raise_for_status()
    except httpx.HTTPError as error:
        raise ActorUnavailableError(f"the API at {running.url} ({error})") from error
    return response.content


def _print(running: RunningPark, picture: LivePictureView) -> None:
    console = Console()
    feed = "up" if picture.connected else "down: the picture is ageing"
    console.print(
        f"[bold]{running.url}[/]  broker {running.broker_host}:{running.broker_port}  "
        f"process {running.pid}  live feed {feed}"
    )
    aggregates = _table("aggregate", "power kW", "target kW", "members", "coverage", "health", "")
    for aggregate in picture.aggregates:
        aggregates.add_row(*_aggregate_row(aggregate))
    resources = _table("resource", "power kW", "set-point kW", "kind", "control", "health", "")
    for resource in picture.resources:
        resources.add_row(*_resource_row(resource))
    console.print(aggregates)
    console.print(resources)


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column.endswith("kW") else "left")
    return table


def _aggregate_row(state: AggregateState) -> list[str]:
    return [
        state.id,
        _kw(state.power_kw),
        _kw(state.target_kw),
        f"{state.n_fresh}/{state.n_members}",
        f"{state.coverage_frac:.0%}",
        _light(state.health),
        state.detail,
    ]


def _resource_row(state: ResourceState) -> list[str]:
    return [
        state.id,
        _kw(state.power_kw),
        _kw(state.setpoint_kw),
        state.kind,
        "killed" if state.killed else f"{state.rung} by {state.holder or 'nobody'}",
        _light(state.health),
        state.detail,
    ]


def _kw(power_kw: float | None) -> str:
    return "-" if power_kw is None else f"{power_kw:+.1f}"


def _light(health: Health) -> str:
    return f"[{_COLOURS[health]}]{health}[/]"

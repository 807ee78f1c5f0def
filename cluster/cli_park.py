"""The command that prints the wanted park as a park file."""

from __future__ import annotations

from typing import Any

import msgspec
import typer
import yaml

from cluster.bootstrap import database_url_of
from cluster.home import Home
from cluster.settings import Settings
from cluster.storage.engine import migrate, open_engine
from cluster.storage.registry import open_registry
from controllers.kernel.errors import ConfigError, NotFoundError
from controllers.park import AggregateDefinition, ParkDefinition, ResourceDefinition


class _NoAliases(yaml.SafeDumper):
    """Writes out what occurs twice; a park file may not refer to other places."""

    def ignore_aliases(self, data: Any) -> bool:
        """Tell that nothing is to be referred to."""
        return True


def print_park(settings: Settings) -> None:
    """Print the park as it is wanted now, what was edited over the API included.

    Raises:
        ConfigError: no park was ever started here.
        StorageUnavailableError: the database does not answer.
    """
    url = database_url_of(settings, Home(settings.home))
    engine, registry = open_engine(url), open_registry(url)
    try:
        migrate(engine)
        typer.echo(park_text(registry.load()), nl=False)
    except NotFoundError as error:
        problem = f"{settings.home}: no park was started here yet; `parkgrid up` starts one"
        raise ConfigError("park", [problem]) from error
    finally:
        registry.close()
        engine.dispose()


def park_text(park: ParkDefinition) -> str:
    """Return a park as the text of a park file; what has its default is left out."""
    whole = msgspec.to_builtins(park)
    whole["resources"] = [_short(r, ResourceDefinition) for r in whole["resources"]]
    whole["aggregates"] = [_short(a, AggregateDefinition) for a in whole["aggregates"]]
    return yaml.dump(
        {name: value for name, value in whole.items() if value is not None},
        Dumper=_NoAliases,
        allow_unicode=True,
        sort_keys=False,
        width=100,
    )


def _short(fields: dict[str, Any], type_: type[msgspec.Struct]) -> dict[str, Any]:
    defaults = {field.name: field.default for field in msgspec.structs.fields(type_)}
    return {name: value for name, value in fields.items() if value != defaults[name]}

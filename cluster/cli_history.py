"""The command ``parkgrid history``: the past of one subject into a file or to standard output.

It reads the data directory itself, so the park may run or not; who may read the directory may read
its history.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import closing
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import typer

from cluster.bootstrap import database_url_of
from cluster.home import Home
from cluster.settings import Settings
from cluster.storage.history.opening import HistoryFolder
from cluster.storage.registry import open_registry
from controllers.history.buckets import check_columns
from controllers.history.grid import parse_resolution
from controllers.history.samples import AGGREGATE, RESOURCE, subject_of
from controllers.kernel.errors import ConfigError, DomainError, NotFoundError
from controllers.kernel.timebase import SystemClock, require_utc
from controllers.park import ParkDefinition
from controllers.ports.history import HistoryReader, HistorySettings
from serve_apps.history.formats import Format, encode_past
from serve_apps.history.query import ask, span_of


def export(
    settings: Settings,
    id_: str,
    *,
    span: tuple[str | None, str | None],
    resolution: str,
    signals: str,
    format_: Format,
    out: Path | None,
) -> None:
    """Write the history of a resource or an aggregation.

    Args:
        settings: name the data directory.
        id_: of the subject.
        span: ISO 8601 texts with zone; None takes the last day.
        resolution: as in the API.
        signals: as in the API.
        format_: as in the API.
        out: None writes to standard output.

    Raises:
        ConfigError: an argument will not do.
        NotFoundError: nobody has or had the id.
        StorageUnavailableError: history or database cannot be read.
    """
    home = Home(settings.home)
    kept = HistorySettings(
        raw_days=settings.history_raw_days, minute_days=settings.history_minute_days
    )
    clock = SystemClock()
    reader = HistoryFolder(home.history, kept, clock)
    with closing(open_registry(database_url_of(settings, home))) as registry:
        park = registry.load()

    async def answer() -> bytes:
        kind = await _kind_of(reader, park, id_)
        now = clock.now()
        past = await ask(
            reader,
            kind,
            id_,
            span=span_of(_instant("--from", span[0]), _instant("--to", span[1]), now),
            resolution_s=parse_resolution(resolution),
            names=check_columns(signals.split(",")),
            zone=ZoneInfo(park.timezone),
            now=now,
        )
        return encode_past(past, format_)

    try:
        body = asyncio.run(answer())
    except DomainError as error:
        raise ConfigError("arguments", [f"{error.field}: {error.rule}"]) from error
    if out is None:
        sys.stdout.buffer.write(body)
        return
    try:
        out.write_bytes(body)
    except OSError as error:
        raise ConfigError("--out", [f"{out}: {error.strerror}"]) from error
    typer.echo(f"Wrote {out} ({len(body)} bytes)")


async def _kind_of(reader: HistoryReader, park: ParkDefinition, id_: str) -> str:
    if park.resource(id_) is not None:
        return RESOURCE
    if park.aggregate(id_) is not None:
        return AGGREGATE
    for kind in (RESOURCE, AGGREGATE):
        if await reader.knows(subject_of(kind, id_)):
            return kind
    raise NotFoundError("resource or aggregation", id_)


def _instant(option: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return require_utc(option, datetime.fromisoformat(text))
    except ValueError as error:
        raise DomainError(option, text, "must be ISO 8601 with a time zone") from error

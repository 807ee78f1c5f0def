"""History and energy over HTTP."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import msgspec
from fastapi import APIRouter, Depends, Query
from starlette.responses import Response

from controllers.history.buckets import DEFAULT_COLUMNS, US_PER_S, check_columns
from controllers.history.carbon import factors_for, in_force
from controllers.history.grid import AUTO, parse_resolution
from controllers.history.samples import AGGREGATE, RESOURCE, subject_of
from controllers.kernel.errors import DomainError
from controllers.kernel.timebase import EPOCH
from controllers.kernel.wire import encode
from serve_apps.history.formats import DECIMALS, MEDIA_TYPES, Format, encode_past, rounded
from serve_apps.history.query import ask, ask_energy, span_of
from serve_apps.history.views import EnergyTotals, EnergyView, HistoryView
from serve_apps.operations.park import require_aggregate, require_resource
from serve_apps.web.answers import answers
from serve_apps.web.bodies import Instant
from serve_apps.web.deps import ApiDeps, Deps
from serve_apps.web.guard import GuardedRoute
from serve_apps.web.middleware import PREFIX
from serve_apps.web.permissions import Operation
from serve_apps.web.problems import refuse_field

router = APIRouter(prefix=PREFIX, tags=["history"], route_class=GuardedRoute)

From = Annotated[Instant | None, Query(alias="from", description="Default: a day before `to`.")]
To = Annotated[Instant | None, Query(description="Default: now.")]
Resolution = Annotated[
    str, Query(max_length=8, description="1s to 1d, e.g. 30s, 15m, 1h; 1d is a local day.")
]
Signals = Annotated[
    str, Query(max_length=600, description="Columns, separated by commas; docs/history.md has all.")
]
Kind = Annotated[Format, Query(description="json, csv, or arrow (an Arrow IPC stream).")]

_DEFAULT_SIGNALS = ",".join(DEFAULT_COLUMNS)


def _in_formats(declared: dict[str, Any]) -> dict[str, Any]:
    content = declared["responses"][200]["content"]
    for media_type in MEDIA_TYPES.values():
        content.setdefault(media_type.partition(";")[0], {"schema": {"type": "string"}})
    return declared


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What of a subject's history is asked for."""

    span: tuple[datetime | None, datetime | None]
    resolution: str
    signals: str
    format_: Format


async def _wanted(
    from_at: From = None,
    to: To = None,
    resolution: Resolution = AUTO,
    signals: Signals = _DEFAULT_SIGNALS,
    format: Kind = "json",
) -> _Wanted:
    return _Wanted((from_at, to), resolution, signals, format)


Wanted = Annotated[_Wanted, Depends(_wanted)]


@router.get(
    "/history/resources/{resource_id}",
    **_in_formats(answers(HistoryView, Operation.HISTORY_READ, 404, 422, 503)),
)
async def get_resource_history(resource_id: str, deps: Deps, wanted: Wanted) -> Response:
    """Return what a resource did, resampled exactly; a retired one is remembered."""
    if not await deps.history.knows(subject_of(RESOURCE, resource_id)):
        require_resource(deps.park(), resource_id)
    return await _past(deps, RESOURCE, resource_id, wanted)


@router.get(
    "/history/aggregations/{aggregation_id}",
    **_in_formats(answers(HistoryView, Operation.HISTORY_READ, 404, 422, 503)),
)
async def get_aggregation_history(aggregation_id: str, deps: Deps, wanted: Wanted) -> Response:
    """Return what an aggregation did, resampled exactly; a retired one is remembered."""
    if not await deps.history.knows(subject_of(AGGREGATE, aggregation_id)):
        require_aggregate(deps.park(), aggregation_id)
    return await _past(deps, AGGREGATE, aggregation_id, wanted)


@router.get("/energy/{aggregation_id}", **answers(EnergyView, Operation.ENERGY_READ, 404, 422, 503))
async def get_energy(
    aggregation_id: str,
    deps: Deps,
    from_at: From = None,
    to: To = None,
    resolution: Resolution = "15m",
) -> Response:
    """Return where an aggregation's energy came from and went, with peaks and carbon."""
    park = deps.park()
    require_aggregate(park, aggregation_id)
    now = deps.clock.now()
    factors = factors_for(park.timezone, deps.grid_factors)
    with _of_query():
        resolution_s = parse_resolution(resolution) or 900
        found = await ask_energy(
            deps.history,
            park,
            aggregation_id,
            span=span_of(from_at, to, now),
            resolution_s=resolution_s,
            factors=factors,
            now=now,
        )
    start_us = found.edges_us[:-1]
    view = EnergyView(
        id=aggregation_id,
        resolution_s=resolution_s,
        n=len(start_us),
        start_s=(start_us // US_PER_S).tolist(),
        columns={name: rounded(values) for name, values in found.columns.items()},
        by_kind={
            kind: {name: rounded(values) for name, values in columns.items()}
            for kind, columns in found.by_kind.items()
        },
        totals=msgspec.convert(
            {n: None if math.isnan(v) else round(v, DECIMALS) for n, v in found.totals.items()},
            EnergyTotals,
        ),
        peak_import_at=_instant(found.peak_import_at_us),
        peak_export_at=_instant(found.peak_export_at_us),
        factors=in_force(factors, start_us, ZoneInfo(park.timezone)),
    )
    return Response(await asyncio.to_thread(encode, view), media_type="application/json")


async def _past(deps: ApiDeps, kind: str, id_: str, wanted: _Wanted) -> Response:
    now = deps.clock.now()
    with _of_query():
        past = await ask(
            deps.history,
            kind,
            id_,
            span=span_of(*wanted.span, now),
            resolution_s=parse_resolution(wanted.resolution),
            names=check_columns(wanted.signals.split(",")),
            zone=ZoneInfo(deps.park().timezone),
            now=now,
        )
    # A year takes long enough for others to notice.
    body = await asyncio.to_thread(encode_past, past, wanted.format_)
    return Response(body, media_type=MEDIA_TYPES[wanted.format_])


@contextmanager
def _of_query() -> Iterator[None]:
    """Say of a refusal that it is about the query."""
    try:
        yield
    except DomainError as error:
        raise refuse_field(error.field, error.rule, value=error.value, place="query") from error


def _instant(at_us: int | None) -> datetime | None:
    return None if at_us is None else EPOCH + timedelta(microseconds=at_us)

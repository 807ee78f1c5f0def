"""Asks history for one subject, or for the energy of an aggregation, within bounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from controllers.history.buckets import US_PER_S, FloatArray, InstantArray, needed, read_off
from controllers.history.carbon import GridFactor, factor_at
from controllers.history.energy import QUARTER_S, STORED, Member, Monitored, kind_of, monitor
from controllers.history.grid import DAY_S, Grid, make_grid
from controllers.history.samples import AGGREGATE, RESOURCE, subject_of
from controllers.kernel.errors import DomainError
from controllers.park import ParkDefinition
from controllers.ports.history import HistoryReader
from controllers.supervision import leaf_resources

MAX_MEMBER_DAYS = 20_000
"""Resources times days of one question about energy."""
_ENERGY_COLUMNS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What history says of one subject."""

    id: str
    grid: Grid
    columns: Mapping[str, FloatArray]


async def ask(
    reader: HistoryReader,
    kind: str,
    id_: str,
    *,
    span: tuple[datetime, datetime],
    resolution_s: int | None,
    names: Sequence[str],
    zone: ZoneInfo,
    now: datetime,
) -> Past:
    """Return a subject's history.

    Args:
        reader: reads it.
        kind: of the subject, resource or aggregation.
        id_: of the subject.
        span: from and to.
        resolution_s: None chooses.
        names: columns of the answer.
        zone: of the park's days.
        now: nothing is known of what comes after.

    Raises:
        DomainError: span and resolution do not go together.
        StorageUnavailableError: history cannot be read.
    """
    grid = make_grid(
        *span,
        resolution_s,
        zone=zone,
        n_columns=len(names),
        detail_from=reader.settings.detail_from(now),
    )
    subject = subject_of(kind, id_)
    found = await reader.buckets([subject], grid.edges_us, needed(names), now)
    return Past(id=id_, grid=grid, columns=read_off(found[subject], names))


async def ask_energy(
    reader: HistoryReader,
    park: ParkDefinition,
    aggregation_id: str,
    *,
    span: tuple[datetime, datetime],
    resolution_s: int,
    factors: Sequence[GridFactor],
    now: datetime,
) -> Monitored:
    """Return the energy of an aggregation; arguments and errors as ``ask``."""
    zone = ZoneInfo(park.timezone)
    if resolution_s % QUARTER_S or DAY_S % resolution_s:
        rule = "must be 15m, 30m, 45m, 1h or another multiple of 15m that divides a day, or 1d"
        raise DomainError("resolution", f"{resolution_s}s", rule)
    grid = make_grid(
        *span,
        resolution_s,
        zone=zone,
        n_columns=_ENERGY_COLUMNS,
        detail_from=reader.settings.detail_from(now),
    )
    members = [r for r in park.resources if r.id in set(leaf_resources(park, aggregation_id))]
    n_days = (span[1] - span[0]) / timedelta(days=1)
    if len(members) * n_days > MAX_MEMBER_DAYS:
        most = MAX_MEMBER_DAYS // len(members)
        rule = f"must be within {most} days of from, for {len(members)} resources"
        raise DomainError("to", span[1].isoformat(), rule)
    quarters_us = _quarters(grid.edges_us)
    whole = subject_of(AGGREGATE, aggregation_id)
    subjects = {r.id: subject_of(RESOURCE, r.id) for r in members}
    found = await reader.buckets([whole, *subjects.values()], quarters_us, STORED, now)
    return monitor(
        found[whole],
        [Member(kind=kind_of(r), buckets=found[subjects[r.id]]) for r in members],
        grid.edges_us,
        factor_at(factors, quarters_us[:-1], zone),
    )


def _quarters(edges_us: InstantArray) -> InstantArray:
    step_us = QUARTER_S * US_PER_S
    return np.arange(edges_us[0], edges_us[-1] + step_us, step_us, dtype=np.int64)


def span_of(
    from_at: datetime | None, to_at: datetime | None, now: datetime
) -> tuple[datetime, datetime]:
    """Return the span that is asked for: by default the last day, up to now."""
    end_at = to_at or now
    start_at = from_at or end_at - timedelta(days=1)
    for name, instant in (("from", start_at), ("to", end_at)):
        # The calendar must not run out of years.
        if not 2000 <= instant.year <= 2200:
            raise DomainError(name, instant.isoformat(), "must lie between the years 2000 and 2200")
    return start_at, end_at

"""What history keeps of a live state: one sample per measurement, and signs of life in between.

A resource publishes at least once a second, also when its meter says nothing new. A new measurement
is a sample at the instant of measurement. Anything else is a *sign of life* at the instant of
publication: it repeats no reading, but tells that the last one still counts, or no longer does.
So a meter that reports twice a minute leaves no gaps, and a system that was down does.

Two samples of one subject at the same instant are the same sample: history keeps the one that came
live, then the one with the greatest ``(epoch, seq)``. That is why a sample may be handed in twice,
late and in any order.
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import NamedTuple

from controllers.control.contract import Backfill
from controllers.kernel.errors import DomainError
from controllers.kernel.states import AggregateState, Quality, ResourceState, Rung
from controllers.kernel.timebase import EPOCH

LIVE_HOLD_S = 5.0
"""States come every second; after so long without one the subject has fallen silent."""
MAX_HOLD_S = 900.0
"""Longest time for which one backfilled sample may stand: a quarter-hour meter."""
MAX_AHEAD_S = 5.0
"""A measurement further ahead of its receipt than this is refused."""

RESOURCE = "resource"
AGGREGATE = "aggregation"

_MICROSECOND = timedelta(microseconds=1)


def subject_of(kind: str, id_: str) -> str:
    """Return the name under which history keeps a resource or an aggregation."""
    return f"{kind}-{id_}"


def to_us(instant: datetime) -> int:
    """Return whole microseconds since 1970."""
    return (instant - EPOCH) // _MICROSECOND


class Sample(NamedTuple):
    """One row of history. A signal that was not measured is NaN."""

    subject: str
    at_us: int
    hold_s: float
    """The row counts until the next one, at most for so long."""
    is_live: bool
    """False for what was handed in afterwards."""
    is_repeat: bool
    """A sign of life: power, charge and registers are those of the last measurement."""
    epoch: int
    seq: int
    quality: str
    rung: str
    power_kw: float
    setpoint_kw: float = math.nan
    target_kw: float = math.nan
    soc_frac: float = math.nan
    """State of charge of a battery, level of a fleet's stores."""
    member_coverage_frac: float = math.nan
    """Of an aggregation: rated power with telemetry over all rated power."""
    exported_kwh: float = math.nan
    imported_kwh: float = math.nan
    """Registers since commissioning."""


class Intake:
    """Turns live states into samples, each once; remembers a few numbers per subject."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[int, int, datetime | None]] = {}
        self.n_repeated = 0
        """States that had been taken before, or came from a predecessor."""

    def resource(self, state: ResourceState) -> Sample | None:
        """Return the sample of a resource's state; None when it was taken before."""
        subject = subject_of(RESOURCE, state.id)
        before = self._advance(subject, state.epoch, state.seq, state.measured_at)
        if before is None:
            return None
        measured_at = state.measured_at
        is_new = measured_at is not None and measured_at not in before
        return Sample(
            subject=subject,
            at_us=to_us(measured_at if is_new and measured_at is not None else state.published_at),
            hold_s=LIVE_HOLD_S,
            is_live=True,
            is_repeat=not is_new,
            epoch=state.epoch,
            seq=state.seq,
            quality=state.quality,
            rung=state.rung,
            power_kw=state.power_kw if is_new else math.nan,
            setpoint_kw=_number(state.setpoint_kw),
            soc_frac=_number(_level(state.signals)) if is_new else math.nan,
            exported_kwh=state.exported_kwh if is_new else math.nan,
            imported_kwh=state.imported_kwh if is_new else math.nan,
        )

    def aggregate(self, state: AggregateState) -> Sample | None:
        """Return the sample of an aggregate's state; None when it was taken before."""
        subject = subject_of(AGGREGATE, state.id)
        if self._advance(subject, state.epoch, state.seq, None) is None:
            return None
        return Sample(
            subject=subject,
            at_us=to_us(state.published_at),
            hold_s=LIVE_HOLD_S,
            is_live=True,
            is_repeat=False,
            epoch=state.epoch,
            seq=state.seq,
            quality=state.quality,
            rung=state.rung,
            power_kw=state.power_kw,
            target_kw=_number(state.target_kw),
            member_coverage_frac=state.coverage_frac,
            exported_kwh=state.exported_kwh,
            imported_kwh=state.imported_kwh,
        )

    def _advance(
        self, subject: str, epoch: int, seq: int, measured_at: datetime | None
    ) -> tuple[datetime | None] | None:
        """Return the measurement before in a tuple, empty-handed for a state taken before."""
        last = self._last.get(subject)
        if last is not None and (epoch, seq) <= last[:2]:
            self.n_repeated += 1
            return None
        self._last[subject] = (epoch, seq, measured_at)
        return (None if last is None else last[2],)


def backfilled(
    resource_id: str, batch: Backfill, *, now: datetime, oldest_at: datetime, turned: bool
) -> list[Sample]:
    """Return the samples of a batch that a device sends after an outage.

    Args:
        resource_id: whose they are.
        batch: as received.
        now: receipt.
        oldest_at: what is older can no longer be taken.
        turned: the device counts drawn power as positive.

    Raises:
        DomainError: a sample is from the future or too old; none is taken.
    """
    sign = -1.0 if turned else 1.0
    samples = []
    for i, one in enumerate(batch.samples):
        field = f"samples[{i}].measured_at"
        if (one.measured_at - now).total_seconds() > MAX_AHEAD_S:
            raise DomainError(field, one.measured_at.isoformat(), "must not lie in the future")
        if one.measured_at < oldest_at:
            rule = f"must not be before {oldest_at.isoformat()}, where details end"
            raise DomainError(field, one.measured_at.isoformat(), rule)
        samples.append(
            Sample(
                subject=subject_of(RESOURCE, resource_id),
                at_us=to_us(one.measured_at),
                hold_s=batch.hold_s,
                is_live=False,
                is_repeat=False,
                epoch=0,
                seq=one.seq,
                quality=Quality.GOOD,
                # What ruled the device while nobody was listening is not known.
                rung=Rung.DEFAULT,
                power_kw=sign * one.power_kw,
                setpoint_kw=sign * _number(one.setpoint_kw),
                soc_frac=_number(_level(one.signals)),
                exported_kwh=_number(one.exported_kwh),
                imported_kwh=_number(one.imported_kwh),
            )
        )
    return samples


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _level(signals: dict[str, float]) -> float | None:
    return signals.get("soc_frac", signals.get("store_frac"))

"""Meters in whole counts, so that sums of parts and sums of intervals are exact.

A count is a hundredth of a watt-hour, the resolution of the registers in telemetry. The connection
is metered as the sum of all resources over each step: what one gives and another takes within the
step never crosses it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

from cluster.demo.dynamics import Registers

COUNTS_PER_KWH = 100_000


@dataclass(frozen=True, slots=True)
class Reading:
    """Two registers, or what they counted in an interval."""

    exported: int = 0
    imported: int = 0

    @classmethod
    def of(cls, registers: Registers) -> Self:
        """Read a device's registers."""
        exported, imported = registers.exported_kwh, registers.imported_kwh
        return cls(round(exported * COUNTS_PER_KWH), round(imported * COUNTS_PER_KWH))

    @property
    def net(self) -> int:
        """Injected minus drawn."""
        return self.exported - self.imported

    def __add__(self, other: Reading) -> Reading:
        return Reading(self.exported + other.exported, self.imported + other.imported)

    def __sub__(self, other: Reading) -> Reading:
        return Reading(self.exported - other.exported, self.imported - other.imported)


def kwh(counts: int) -> float:
    """Return counts as kWh; written in decimal it is the count, five digits behind the point."""
    return counts / COUNTS_PER_KWH


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """What all meters counted between two instants, and what was stored at the end."""

    start_at: datetime
    end_at: datetime
    connection: Reading
    resources: Mapping[str, Reading]
    stored_kwh: Mapping[str, float]

    @property
    def net_kw(self) -> float:
        """Mean power at the connection, injection positive."""
        return kwh(self.connection.net) * (timedelta(hours=1) / (self.end_at - self.start_at))


class ParkMeters:
    """The meters of one plant; read every step, summed up per interval.

    Args:
        registers: of every resource as they stand.
        start_at: of the first interval.
    """

    def __init__(self, registers: Mapping[str, Registers], start_at: datetime) -> None:
        self._last = {id_: Reading.of(r) for id_, r in registers.items()}
        self._opened = self._last
        self._opened_at = start_at
        self._connection = Reading()
        self._opened_connection = self._connection
        self.intervals: list[Interval] = []

    def read(self, registers: Mapping[str, Registers]) -> None:
        """Count a step."""
        now = {id_: Reading.of(r) for id_, r in registers.items()}
        net = sum((now[id_] - self._last[id_]).net for id_ in now)
        self._connection += Reading(max(net, 0), max(-net, 0))
        self._last = now

    def close(self, end_at: datetime, stored_kwh: Mapping[str, float]) -> None:
        """End the interval that is open, if any time has passed in it."""
        if end_at <= self._opened_at:
            return
        resources = {id_: self._last[id_] - self._opened[id_] for id_ in self._last}
        self.intervals.append(
            Interval(
                start_at=self._opened_at,
                end_at=end_at,
                connection=self._connection - self._opened_connection,
                resources=resources,
                stored_kwh=stored_kwh,
            )
        )
        self._opened, self._opened_at = self._last, end_at
        self._opened_connection = self._connection

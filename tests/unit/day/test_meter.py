"""Meters whose parts and intervals add up exactly, whatever flows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from cluster.day.meter import ParkMeters, Reading, kwh
from cluster.demo.dynamics import Registers

START = datetime(2025, 9, 30, tzinfo=UTC)
POWER_KW = st.floats(-5000.0, 5000.0, allow_nan=False)
STEPS = st.lists(st.tuples(POWER_KW, POWER_KW, POWER_KW), min_size=1, max_size=40)


def metered(steps: list[tuple[float, ...]], *, every: int) -> tuple[ParkMeters, list[Registers]]:
    """Run three devices and close an interval every few steps."""
    registers = [Registers(), Registers(), Registers()]
    by_id = {f"r{i}": r for i, r in enumerate(registers)}
    meters = ParkMeters(by_id, START)
    now = START
    for n, step in enumerate(steps, start=1):
        now += timedelta(seconds=60)
        for register, power_kw in zip(registers, step, strict=True):
            register.add(power_kw, 60.0)
        meters.read(by_id)
        if n % every == 0:
            meters.close(now, {})
    meters.close(now, {})
    return meters, registers


def decimal(counts: int) -> Decimal:
    """Return counts as a reader of the report would see them."""
    return Decimal(repr(kwh(counts)))


@given(steps=STEPS, every=st.integers(1, 15))
def test_resources_add_up_to_the_connection_in_every_interval(
    steps: list[tuple[float, ...]], every: int
) -> None:
    meters, _ = metered(steps, every=every)
    for interval in meters.intervals:
        parts = sum((decimal(r.net) for r in interval.resources.values()), Decimal(0))
        connection = interval.connection
        assert parts == decimal(connection.exported) - decimal(connection.imported)


@given(steps=STEPS, every=st.integers(1, 15))
def test_intervals_add_up_to_the_registers(steps: list[tuple[float, ...]], every: int) -> None:
    meters, registers = metered(steps, every=every)
    for i, register in enumerate(registers):
        total = sum((interval.resources[f"r{i}"] for interval in meters.intervals), Reading())
        assert total == Reading.of(register)


@given(steps=STEPS)
def test_what_is_metered_is_what_flowed(steps: list[tuple[float, ...]]) -> None:
    meters, _ = metered(steps, every=100)
    net_kwh = sum(sum(step) for step in steps) / 60.0
    assert abs(kwh(meters.intervals[0].connection.net) - net_kwh) < 1e-4 * len(steps)


def test_what_one_gives_and_another_takes_does_not_cross_the_connection() -> None:
    meters, _ = metered([(60.0, -60.0, 0.0), (60.0, 0.0, 0.0), (0.0, -120.0, 0.0)], every=3)
    (interval,) = meters.intervals
    assert interval.connection == Reading(exported=100_000, imported=200_000)
    assert interval.net_kw == -20.0


def test_no_interval_without_time() -> None:
    meters, _ = metered([(1.0, 1.0, 1.0)], every=1)
    meters.close(START + timedelta(seconds=60), {})
    assert len(meters.intervals) == 1

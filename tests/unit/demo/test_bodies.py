"""From a payload on the wire to the physics and back, in the device's own sign."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import pytest

from cluster.demo.body import SingleBody
from cluster.demo.dynamics import Surroundings, Weather
from cluster.demo.fleet import FleetBody
from cluster.demo.loads import HeatPumps
from cluster.demo.stores import Battery
from controllers.control.contract import (
    AckResult,
    Command,
    Fallback,
    FallbackKind,
    FleetCommand,
    FleetTelemetry,
    Telemetry,
)
from controllers.kernel.errors import DomainError
from controllers.kernel.wire import decode, encode

T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)
MILD = Weather(
    direct_w_per_m2=0.0,
    diffuse_w_per_m2=0.0,
    sun_elevation_deg=-10.0,
    sun_azimuth_deg=0.0,
    temperature_degc=5.0,
    wind_speed_m_per_s=0.0,
)


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def battery_body(*, consumption_positive: bool) -> SingleBody:
    battery = Battery(
        capacity_kwh=100.0,
        max_charge_kw=40.0,
        max_discharge_kw=60.0,
        charge_efficiency=0.95,
        discharge_efficiency=0.95,
        soc_min_frac=0.1,
        soc_max_frac=0.9,
        ramp_kw_per_min=6000.0,
        soc_frac=0.5,
    )
    return SingleBody(battery, consumption_positive=consumption_positive)


def command(seq: int, setpoint_kw: float | None, fallback: Fallback | None = None) -> Command:
    return Command(
        command_id=f"c{seq}",
        epoch=1,
        seq=seq,
        issued_at=T0,
        valid_from=T0,
        expires_at=at(1000),
        lifetime_s=30.0,
        setpoint_kw=setpoint_kw,
        fallback=fallback or Fallback(kind=FallbackKind.RELEASE),
    )


def live(body: SingleBody | FleetBody, from_s: int, to_s: int) -> None:
    rng = np.random.default_rng(1)
    for second in range(from_s + 1, to_s + 1):
        body.live(1.0, at(second), Surroundings(local_time=at(second), weather=MILD), rng)


def told(body: SingleBody, seconds: float) -> Telemetry:
    body.look()
    (payload,) = body.tell(1, at(seconds))
    return decode(payload, Telemetry)


@pytest.mark.parametrize("consumption_positive", [False, True])
def test_command_is_obeyed_and_read_back_in_the_devices_own_sign(
    consumption_positive: bool,
) -> None:
    body = battery_body(consumption_positive=consumption_positive)
    sign = -1.0 if consumption_positive else 1.0
    assert body.obey(encode(command(1, sign * 50.0)), T0).result is AckResult.ACCEPTED
    live(body, 0, 10)
    sample = told(body, 10)
    assert sample.power_kw == pytest.approx(sign * 50.0, abs=0.5)
    assert (sample.setpoint_kw, sample.command_id) == (sign * 50.0, "c1")
    assert sample.exported_kwh == pytest.approx(50.0 * 10 / 3600, rel=0.1)
    assert sample.imported_kwh == 0.0


@pytest.mark.parametrize(
    ("consumption_positive", "setpoint_kw", "result"),
    [
        (False, 60.0, AckResult.ACCEPTED),
        (False, -60.0, AckResult.REJECTED),
        (True, -60.0, AckResult.ACCEPTED),
        (True, 60.0, AckResult.REJECTED),
    ],
)
def test_range_is_judged_in_the_devices_own_sign(
    consumption_positive: bool, setpoint_kw: float, result: AckResult
) -> None:
    body = battery_body(consumption_positive=consumption_positive)
    assert body.obey(encode(command(1, setpoint_kw)), T0).result is result


@pytest.mark.parametrize(
    ("fallback", "power_kw", "setpoint_kw"),
    [
        (Fallback(kind=FallbackKind.HOLD), 30.0, 30.0),
        (Fallback(kind=FallbackKind.ZERO), 0.0, 0.0),
        (Fallback(kind=FallbackKind.RELEASE), 0.0, None),
        (Fallback(kind=FallbackKind.LIMIT, limit_kw=5.0), 0.0, None),
    ],
    ids=["hold", "zero", "release", "limit"],
)
def test_after_expiry_the_fallback_shows_and_the_command_is_gone(
    fallback: Fallback, power_kw: float, setpoint_kw: float | None
) -> None:
    body = battery_body(consumption_positive=False)
    body.obey(encode(command(1, 30.0, fallback)), T0)
    live(body, 0, 40)
    sample = told(body, 40)
    assert sample.power_kw == pytest.approx(power_kw, abs=0.5)
    assert (sample.setpoint_kw, sample.command_id) == (setpoint_kw, None)


def test_restart_forgets_the_command_but_not_the_order() -> None:
    body = battery_body(consumption_positive=False)
    body.obey(encode(command(5, 30.0)), T0)
    live(body, 0, 5)
    reborn = battery_body(consumption_positive=False)
    reborn.restore(body.dump())
    assert told(reborn, 6).command_id is None
    assert reborn.obey(encode(command(5, 30.0)), at(6)).result is AckResult.REJECTED
    assert reborn.obey(encode(command(6, 30.0)), at(6)).result is AckResult.ACCEPTED


@pytest.mark.parametrize("payload", [b"", b"{", b'{"schema":1}', b"[]", b"\xff"])
def test_payload_that_is_no_command_is_not_answered(payload: bytes) -> None:
    with pytest.raises(DomainError):
        battery_body(consumption_positive=False).obey(payload, T0)


N = 10


def fleet_body(*, consumption_positive: bool = False) -> FleetBody:
    pumps = HeatPumps.of(
        n_pumps=N,
        rated_kw=2.0,
        store_kwh=50.0,
        store_range_frac=(0.1, 0.9),
        rated_cop=3.0,
        rng=np.random.default_rng(2),
    )
    pumps.store_frac[:] = 0.5
    return FleetBody(pumps, consumption_positive=consumption_positive)


def fleet_command(
    seq: int,
    setpoints_kw: list[float] | None,
    *,
    first: int = 0,
    n_devices: int | None = None,
    fallback: Fallback | None = None,
) -> FleetCommand:
    return FleetCommand(
        command_id=f"f{seq}",
        epoch=1,
        seq=seq,
        issued_at=T0,
        valid_from=T0,
        expires_at=at(1000),
        lifetime_s=30.0,
        first=first,
        n_devices=len(setpoints_kw or []) if n_devices is None else n_devices,
        setpoints_kw=setpoints_kw,
        fallback=fallback or Fallback(kind=FallbackKind.RELEASE),
    )


def columns(body: FleetBody, seconds: float) -> FleetTelemetry:
    body.look()
    (payload,) = body.tell(1, at(seconds))
    return decode(payload, FleetTelemetry)


@pytest.mark.parametrize("consumption_positive", [False, True])
def test_fleet_obeys_column_by_column(consumption_positive: bool) -> None:
    body = fleet_body(consumption_positive=consumption_positive)
    sign = -1.0 if consumption_positive else 1.0
    wanted_kw = [sign * -0.2 * i for i in range(N)]
    assert body.obey(encode(fleet_command(1, wanted_kw)), T0).result is AckResult.ACCEPTED
    live(body, 0, 28)
    sample = columns(body, 28)
    assert sample.power_kw == pytest.approx(wanted_kw, abs=0.05)
    assert (sample.command_id, sample.command_seq) == ("f1", 1)
    assert len(sample.signals["store_frac"]) == N


def test_runs_obey_each_its_own_command() -> None:
    body = fleet_body()
    body.obey(encode(fleet_command(1, [-1.0] * 5)), T0)
    body.obey(encode(fleet_command(2, [-0.5] * 5, first=5)), T0)
    live(body, 0, 29)
    assert columns(body, 29).power_kw == pytest.approx([-1.0] * 5 + [-0.5] * 5, abs=0.05)


def test_order_is_kept_over_all_runs() -> None:
    body = fleet_body()
    body.obey(encode(fleet_command(2, [-0.5] * 5, first=5)), T0)
    ack = body.obey(encode(fleet_command(1, [-1.0] * 5)), T0)
    assert ack.result is AckResult.REJECTED


def test_later_run_counts_where_runs_overlap() -> None:
    body = fleet_body()
    body.obey(encode(fleet_command(1, [-0.5] * 5, first=3)), T0)
    body.obey(encode(fleet_command(2, [-1.0] * N)), T0)
    live(body, 0, 29)
    assert columns(body, 29).power_kw == pytest.approx([-1.0] * N, abs=0.05)


def test_refused_run_changes_nothing() -> None:
    body = fleet_body()
    body.obey(encode(fleet_command(1, [-1.0] * N)), T0)
    assert body.obey(encode(fleet_command(2, [-9.0] * N)), T0).result is AckResult.REJECTED
    live(body, 0, 20)
    assert columns(body, 20).command_id == "f1"


@pytest.mark.parametrize(
    ("kind", "power_kw"), [("hold", -1.0), ("zero", 0.0)], ids=["hold", "zero"]
)
def test_fleet_falls_back_on_expiry(kind: str, power_kw: float) -> None:
    body = fleet_body()
    fallback = msgspec.convert({"kind": kind}, Fallback)
    body.obey(encode(fleet_command(1, [-1.0] * N, fallback=fallback)), T0)
    live(body, 0, 90)
    sample = columns(body, 90)
    assert sample.power_kw == pytest.approx([power_kw] * N, abs=0.05)
    assert sample.command_id is None


def test_fleet_under_a_limit_runs_free_below_it() -> None:
    body = fleet_body()
    fallback = Fallback(kind=FallbackKind.LIMIT, limit_kw=0.7)
    body.obey(encode(fleet_command(1, [-2.0] * N, fallback=fallback)), T0)
    live(body, 0, 90)
    assert min(columns(body, 90).power_kw) >= -0.701


def test_released_fleet_runs_on_its_thermostats() -> None:
    body = fleet_body()
    body.obey(encode(fleet_command(1, [-1.0] * N)), T0)
    live(body, 0, 10)
    body.obey(encode(fleet_command(2, None, n_devices=N)), at(10))
    live(body, 10, 60)
    assert all(x == pytest.approx(-2.0, abs=0.05) or x > -0.05 for x in columns(body, 60).power_kw)


@pytest.mark.parametrize(
    "bad",
    [
        fleet_command(1, [-1.0] * 5, first=8),
        fleet_command(1, [-1.0] * 3, n_devices=4),
        fleet_command(1, None, n_devices=0),
    ],
    ids=["beyond the end", "wrong length", "empty"],
)
def test_command_that_does_not_fit_the_fleet_is_refused(bad: FleetCommand) -> None:
    body = fleet_body()
    assert body.obey(encode(bad), T0).result is AckResult.REJECTED
    assert body.obey(encode(fleet_command(1, [0.0] * N)), T0).result is AckResult.ACCEPTED


def test_gateway_restart_keeps_stores_and_order() -> None:
    body = fleet_body()
    body.obey(encode(fleet_command(4, [-1.0] * N)), T0)
    live(body, 0, 20)
    reborn = fleet_body()
    reborn.restore(body.dump())
    kept, known = columns(reborn, 20).signals, columns(body, 20).signals
    assert kept["store_frac"] == pytest.approx(known["store_frac"], abs=2e-4)
    assert reborn.obey(encode(fleet_command(4, [0.0] * N)), at(21)).result is AckResult.REJECTED

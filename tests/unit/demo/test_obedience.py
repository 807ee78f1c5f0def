"""A device obeys in order, for a lifetime, and knows what to do afterwards."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from cluster.demo.obedience import Obedience, fallback_setpoint_kw
from controllers.control.contract import Ack, AckResult, Command, Fallback, FallbackKind

T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)
RANGE_KW = (-100.0, 100.0)
HOLD = Fallback(kind=FallbackKind.HOLD)


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def command(
    seq: int,
    *,
    epoch: int = 1,
    setpoint_kw: float | None = 50.0,
    from_s: float = 0.0,
    expires_s: float = 1000.0,
    lifetime_s: float = 30.0,
    command_id: str = "bess1-1-1",
) -> Command:
    return Command(
        command_id=command_id,
        epoch=epoch,
        seq=seq,
        issued_at=T0,
        valid_from=at(from_s),
        expires_at=at(expires_s),
        lifetime_s=lifetime_s,
        setpoint_kw=setpoint_kw,
        fallback=HOLD,
    )


@dataclass
class Device:
    """A column of offers and looks, at seconds after T0."""

    obedience: Obedience[Command] = field(default_factory=Obedience)

    def offer(self, seconds: float, offered: Command) -> Ack:
        """Hand over a command."""
        return self.obedience.offer(offered, at(seconds), RANGE_KW)

    def governs(self, seconds: float) -> tuple[int | None, str]:
        """Look which command governs, and how."""
        self.obedience.tick(at(seconds))
        governing = self.obedience.governing
        if governing is None:
            return None, "free"
        return governing.seq, "fallback" if self.obedience.fallback else "in force"


def test_command_holds_for_its_lifetime_then_falls_back() -> None:
    device = Device()
    assert device.governs(0) == (None, "free")
    assert device.offer(0, command(1)).result is AckResult.ACCEPTED
    assert device.governs(29.9) == (1, "in force")
    assert device.governs(30.0) == (1, "fallback")
    assert device.governs(9999) == (1, "fallback")


def test_expiry_ends_a_command_before_its_lifetime_does() -> None:
    device = Device()
    device.offer(0, command(1, expires_s=10.0))
    assert device.governs(9.9) == (1, "in force")
    assert device.governs(10.0) == (1, "fallback")


def test_keep_alive_prolongs_the_same_command() -> None:
    device = Device()
    device.offer(0, command(1))
    assert device.offer(15, command(2)).result is AckResult.ACCEPTED
    assert device.governs(44.9) == (2, "in force")
    assert device.governs(45.0) == (2, "fallback")


def test_fresh_command_ends_the_fallback() -> None:
    device = Device()
    device.offer(0, command(1))
    assert device.governs(31) == (1, "fallback")
    device.offer(40, command(2))
    assert device.governs(41) == (2, "in force")


@pytest.mark.parametrize(
    ("epoch", "seq"), [(1, 4), (0, 99), (1, 0)], ids=["older", "zombie's", "first"]
)
def test_command_not_after_the_last_is_refused(epoch: int, seq: int) -> None:
    device = Device()
    device.offer(0, command(5))
    ack = device.offer(1, command(seq, epoch=epoch, setpoint_kw=-80.0))
    assert ack.result is AckResult.REJECTED
    assert (ack.epoch, ack.seq) == (epoch, seq)
    assert "(1, 5)" in (ack.reason or "")
    assert device.governs(2) == (5, "in force")


def test_successors_epoch_counts_before_the_sequence() -> None:
    device = Device()
    device.offer(0, command(500))
    assert device.offer(1, command(1, epoch=2)).result is AckResult.ACCEPTED


def test_command_delivered_twice_is_answered_twice_and_not_prolonged() -> None:
    device = Device()
    first = device.offer(0, command(1))
    assert device.offer(20, command(1)) == first
    assert device.governs(30) == (1, "fallback")


def test_order_is_remembered_after_the_command_ended() -> None:
    device = Device()
    device.offer(0, command(7))
    device.governs(100)
    assert device.offer(101, command(6)).result is AckResult.REJECTED


def test_command_that_comes_too_late_is_expired() -> None:
    device = Device()
    assert device.offer(0, command(1, expires_s=0.0)).result is AckResult.EXPIRED
    assert device.governs(0) == (None, "free")
    assert device.offer(1, command(1)).result is AckResult.ACCEPTED


def test_command_that_would_end_before_it_begins_is_expired() -> None:
    ack = Device().offer(0, command(1, from_s=40.0, lifetime_s=30.0))
    assert ack.result is AckResult.EXPIRED


def test_command_waits_for_its_instant_while_the_last_goes_on() -> None:
    device = Device()
    device.offer(0, command(1))
    device.offer(5, command(2, from_s=20.0))
    assert device.governs(19.9) == (1, "in force")
    assert device.governs(20.0) == (2, "in force")
    assert device.governs(35.0) == (2, "fallback")


def test_later_command_replaces_a_waiting_one() -> None:
    device = Device()
    device.offer(0, command(1, from_s=10.0))
    device.offer(1, command(2))
    assert device.governs(2) == (2, "in force")
    assert device.governs(12) == (2, "in force")


@pytest.mark.parametrize("setpoint_kw", [-101.0, 100.5, 1e6])
def test_set_point_outside_the_range_is_refused(setpoint_kw: float) -> None:
    device = Device()
    ack = device.offer(0, command(1, setpoint_kw=setpoint_kw))
    assert ack.result is AckResult.REJECTED
    assert "-100 to 100 kW" in (ack.reason or "")
    assert device.offer(1, command(1, setpoint_kw=0.0)).result is AckResult.ACCEPTED


@pytest.mark.parametrize("setpoint_kw", [None, -100.0, 100.0, 100.0004])
def test_release_and_the_ends_of_the_range_are_accepted(setpoint_kw: float | None) -> None:
    assert Device().offer(0, command(1, setpoint_kw=setpoint_kw)).result is AckResult.ACCEPTED


def test_refusal_of_the_devices_own_leaves_no_trace() -> None:
    device = Device()
    ack = device.obedience.refuse(command(1), T0, "door open")
    assert (ack.result, ack.reason) == (AckResult.REJECTED, "door open")
    assert device.offer(1, command(1)).result is AckResult.ACCEPTED


@pytest.mark.parametrize(
    ("kind", "expected_kw"),
    [("hold", 50.0), ("zero", 0.0), ("release", None), ("limit", None)],
)
def test_fallback_means_a_set_point_or_freedom(kind: str, expected_kw: float | None) -> None:
    fallback = msgspec.convert({"kind": kind}, Fallback)
    assert fallback_setpoint_kw(fallback, 50.0) == expected_kw

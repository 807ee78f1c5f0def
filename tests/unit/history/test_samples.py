"""What becomes of live states and of batches that come late."""

from __future__ import annotations

import math
from datetime import timedelta

import msgspec
import pytest

from controllers.control.contract import Backfill, Telemetry
from controllers.history.samples import Intake, backfilled, to_us
from controllers.kernel.errors import DomainError
from controllers.kernel.states import Quality
from tests.support.live_states import NOW, make_aggregate_state, make_resource_state

SECOND = timedelta(seconds=1)


def test_a_measurement_is_a_sample_at_its_own_instant() -> None:
    state = make_resource_state(
        measured_at=NOW - SECOND, exported_kwh=7.0, signals={"store_frac": 0.25}
    )
    sample = Intake().resource(state)
    assert sample is not None
    assert (sample.subject, sample.at_us) == ("resource-bess1", to_us(NOW - SECOND))
    assert (sample.power_kw, sample.setpoint_kw, sample.soc_frac) == (40.0, 40.0, 0.25)
    assert (sample.exported_kwh, sample.is_repeat, sample.is_live) == (7.0, False, True)


def test_a_state_without_a_new_measurement_is_a_sign_of_life() -> None:
    intake = Intake()
    first = make_resource_state(seq=1, setpoint_kw=None)
    assert intake.resource(first) is not None
    later = msgspec.structs.replace(first, seq=2, published_at=NOW + SECOND, quality=Quality.STALE)
    sample = intake.resource(later)
    assert sample is not None
    assert (sample.at_us, sample.is_repeat, sample.quality) == (to_us(NOW + SECOND), True, "stale")
    assert math.isnan(sample.power_kw)
    assert math.isnan(sample.exported_kwh)


def test_a_resource_that_was_never_measured_shows_as_such() -> None:
    state = make_resource_state(measured_at=None, quality=Quality.MISSING)
    sample = Intake().resource(state)
    assert sample is not None
    assert (sample.is_repeat, sample.quality) == (True, "missing")


@pytest.mark.parametrize(("epoch", "seq"), [(2, 5), (2, 4), (1, 99)])
def test_what_was_taken_before_or_came_from_a_predecessor_is_left_out(epoch: int, seq: int) -> None:
    intake = Intake()
    assert intake.resource(make_resource_state(epoch=2, seq=5)) is not None
    assert intake.resource(make_resource_state(epoch=epoch, seq=seq)) is None
    assert intake.n_repeated == 1


def test_an_aggregate_is_sampled_at_publication_whatever_resource_has_its_name() -> None:
    intake = Intake()
    assert intake.resource(make_resource_state("same")) is not None
    sample = intake.aggregate(make_aggregate_state("same", target_kw=-5.0))
    assert sample is not None
    assert (sample.subject, sample.at_us, sample.target_kw) == (
        "aggregation-same",
        to_us(NOW),
        -5.0,
    )
    assert intake.aggregate(make_aggregate_state("same")) is None


def batch(*ages_s: float) -> Backfill:
    samples = [
        Telemetry(
            seq=i,
            measured_at=NOW - age_s * SECOND,
            power_kw=3.0,
            setpoint_kw=2.0,
            exported_kwh=9.0,
            signals={"soc_frac": 0.5},
        )
        for i, age_s in enumerate(ages_s)
    ]
    return Backfill(hold_s=60.0, samples=samples)


@pytest.mark.parametrize(("turned", "sign"), [(False, 1.0), (True, -1.0)])
def test_a_late_batch_is_taken_in_our_sign(turned: bool, sign: float) -> None:
    samples = backfilled(
        "d1", batch(60.0, 120.0), now=NOW, oldest_at=NOW - 3600 * SECOND, turned=turned
    )
    assert [sample.at_us for sample in samples] == [
        to_us(NOW - 60 * SECOND),
        to_us(NOW - 120 * SECOND),
    ]
    assert {(s.power_kw, s.setpoint_kw) for s in samples} == {(sign * 3.0, sign * 2.0)}
    assert {(s.hold_s, s.is_live, s.exported_kwh, s.soc_frac) for s in samples} == {
        (60.0, False, 9.0, 0.5)
    }


@pytest.mark.parametrize(
    ("age_s", "says"), [(-6.0, "future"), (3601.0, "where details end")], ids=["future", "old"]
)
def test_a_batch_with_one_sample_out_of_bounds_is_refused_whole(age_s: float, says: str) -> None:
    with pytest.raises(DomainError, match=says) as refusal:
        backfilled("d1", batch(1.0, age_s), now=NOW, oldest_at=NOW - 3600 * SECOND, turned=False)
    assert refusal.value.field == "samples[1].measured_at"

"""Any plant, any target: the commanded sum is exact, bounded, and nobody is counted twice."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.small_plant import Device, SmallPlant, make_instruction

TOLERANCE_KW = 1e-6


@st.composite
def devices(draw: st.DrawFn) -> list[Device]:
    """Up to six devices, some lumpy, some slow, some without any flexibility."""
    result = []
    for i in range(draw(st.integers(2, 6))):
        low = draw(st.sampled_from([-200.0, -50.0, 0.0]))
        high = draw(st.sampled_from([0.0, 80.0, 300.0]))
        lumpy = low == 0.0 and high == 300.0 and draw(st.booleans())
        result.append(
            Device(
                f"d{i}",
                low_kw=low,
                high_kw=high,
                natural_kw=low if draw(st.booleans()) else high if not lumpy else 0.0,
                merit_per_mwh=draw(st.sampled_from([0.0, 20.0, 20.0, 90.0])),
                ramp_kw_per_min=draw(st.sampled_from([300.0, 60_000.0])),
                band_kw=(0.0, 120.0) if lumpy else (0.0, 0.0),
                dead_band_kw=draw(st.sampled_from([0.0, 2.0])),
            )
        )
    return result


@settings(max_examples=40, deadline=None)
@given(
    plant_devices=devices(),
    share=st.floats(0.0, 1.0),
    faults=st.lists(st.tuples(st.integers(3, 20), st.integers(0, 5)), max_size=2),
)
def test_commanded_sum_is_the_target_less_what_is_reported_open(
    plant_devices: list[Device], share: float, faults: list[tuple[int, int]]
) -> None:
    plant = SmallPlant(plant_devices, {"vpp": [d.id for d in plant_devices]})
    low = sum(d.low_kw for d in plant_devices)
    high = sum(d.high_kw for d in plant_devices)
    plant.run(2)
    target_kw = low + share * (high - low)
    plant.vpp.submit(make_instruction(target_kw, start_at=plant.now), plant.now)
    for turn in range(25):
        for at, which in faults:
            if at == turn:
                plant_devices[which % len(plant_devices)].tripped = True
        plant.turn()
        _check_turn(plant, plant_devices)


def _check_turn(plant: SmallPlant, plant_devices: list[Device]) -> None:
    checkpoint = plant.vpp.checkpoint()
    assert checkpoint.reference is not None
    goal_kw = checkpoint.reference.value_kw
    members = plant.state().members
    sent = np.array([np.nan if m.target_kw is None else m.target_kw for m in members])
    for device, setpoint in zip(plant_devices, sent, strict=True):
        if not np.isnan(setpoint):
            assert device.low_kw <= setpoint <= device.high_kw
            assert not device.band_kw[0] < setpoint < device.band_kw[1]
    if plant.state().detail:
        return
    total = sum(
        m.power_kw if np.isnan(s) else s for m, s in zip(members, sent, strict=True) if m.counted
    )
    # Small changes are not sent, and members just released are still on their way.
    slack = 2.0 + abs(checkpoint.reference.trim_kw)
    slack += sum(
        abs(m.power_kw - d.natural_kw)
        for m, d, s in zip(members, plant_devices, sent, strict=True)
        if np.isnan(s)
    )
    assert abs(total - goal_kw) <= slack + TOLERANCE_KW


@settings(max_examples=25, deadline=None)
@given(
    targets=st.lists(st.floats(-350.0, 350.0), min_size=2, max_size=2),
    delay=st.integers(0, 6),
    length_s=st.integers(5, 20),
)
def test_shared_battery_is_counted_exactly_once_at_any_time(
    targets: list[float], delay: int, length_s: int
) -> None:
    rows = [Device("n"), Device("shared", merit_per_mwh=10.0), Device("s")]
    plant = SmallPlant(rows, {"north": ["n", "shared"], "south": ["shared", "s"]})
    plant.run(2)
    for i, id_ in enumerate(("north", "south")):
        start_at = plant.now + timedelta(seconds=i * delay)
        instruction = make_instruction(
            targets[i],
            id=id_,
            aggregate_id=id_,
            start_at=start_at,
            end_at=start_at + timedelta(seconds=length_s),
        )
        plant.controls[id_].submit(instruction, plant.now)
    for _ in range(30):
        plant.turn()
        total_kw = sum(plant.state(id_).power_kw for id_ in ("north", "south"))
        assert abs(total_kw - sum(d.power_kw for d in rows)) <= TOLERANCE_KW
        rated_kw = sum(plant.state(id_).rated_kw for id_ in ("north", "south"))
        assert rated_kw == 600.0

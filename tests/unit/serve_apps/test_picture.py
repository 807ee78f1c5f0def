"""The encoded picture: valid JSON, cached for its refresh time, never a state older than that."""

from __future__ import annotations

import json
from datetime import timedelta

from controllers.kernel.timebase import ManualClock
from serve_apps.live.picture import LivePicture
from tests.support.fakes import FakeLiveView
from tests.support.live_states import NOW, make_aggregate_state, make_resource_state


def _picture() -> tuple[LivePicture, FakeLiveView, ManualClock]:
    live, clock = FakeLiveView(), ManualClock(NOW)
    return LivePicture(live, clock, refresh_s=0.1), live, clock


def test_empty_picture_is_valid() -> None:
    picture, _, _ = _picture()
    assert json.loads(picture.whole(None)) == {
        "as_of": "2026-06-01T10:00:00Z",
        "connected": True,
        "resources": [],
        "aggregates": [],
    }


def test_whole_is_kept_for_its_refresh_time_and_no_longer() -> None:
    picture, live, clock = _picture()
    live.put(make_resource_state("bess1", seq=1))
    first = picture.whole(None)
    live.put(make_resource_state("bess1", seq=2))
    clock.advance(timedelta(milliseconds=99))
    assert picture.whole(None) is first
    clock.advance(timedelta(milliseconds=1))
    assert json.loads(picture.whole(None))["resources"][0]["seq"] == 2


def test_state_of_same_id_as_resource_and_aggregate_is_not_mixed_up() -> None:
    picture, live, _ = _picture()
    live.put(make_resource_state("x", power_kw=1.0), make_aggregate_state("x", power_kw=2.0))
    message = json.loads(picture.snapshot(None))
    assert message["resources"][0]["power_kw"] == 1.0
    assert message["aggregates"][0]["power_kw"] == 2.0


def test_delta_holds_what_it_is_given_only() -> None:
    picture, live, _ = _picture()
    live.put(make_resource_state("a"), make_resource_state("b"))
    message = json.loads(picture.delta(None, [live.resources["b"]], [], []))
    assert (message["type"], [r["id"] for r in message["resources"]]) == ("delta", ["b"])


def test_removed_subjects_do_not_stay_in_memory() -> None:
    picture, live, clock = _picture()
    for i in range(50):
        live.put(make_resource_state(f"r{i}"))
    picture.whole(None)
    live.resources.clear()
    clock.advance(timedelta(seconds=1))
    assert json.loads(picture.whole(None))["resources"] == []
    assert picture._encoded == {}

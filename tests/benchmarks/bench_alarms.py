"""Judging 10,000 resources once a second by ten rules: decoding, taking in, a turn of all rules."""

from __future__ import annotations

import sys
import time
from datetime import timedelta

from controllers.alarms.defaults import DEFAULT_RULES
from controllers.alarms.events import AlarmConfig, AlarmLogic, AlarmSubjects, Configured, Observed
from controllers.alarms.rules import Anomaly, Deviation, RateOfChange
from controllers.control.events import Tick
from controllers.kernel.ids import SequentialIds
from controllers.kernel.states import ResourceState
from controllers.kernel.timebase import ManualClock
from controllers.kernel.wire import decode, encode
from tests.benchmarks.figures import figure, quantiles, report
from tests.support.alarms import make_rule
from tests.support.live_states import NOW, make_resource_state

_EXTRA_RULES = [
    make_rule("rate", condition=RateOfChange(rise_per_min=1e6)),
    make_rule("off-plan", condition=Deviation(tolerance_kw=1e6)),
    make_rule("anomaly", condition=Anomaly(min_scale=100.0, warm_up=10)),
]


def measure(n_resources: int, n_seconds: int) -> dict[str, object]:
    """Return the CPU time of one second of the park, in parts."""
    subjects = AlarmSubjects(
        park_id="bench",
        park_name="Bench",
        resources=[(f"r{n}", "battery") for n in range(n_resources)],
        aggregates=[],
    )
    logic, clock = AlarmLogic(subjects, SequentialIds()), ManualClock(NOW)
    state = logic.resume(1, None, clock.now()).state
    rules = [*DEFAULT_RULES, *_EXTRA_RULES]
    logic.decide(state, Configured(config=AlarmConfig(version=1, rules=rules)), clock.now())
    parts: dict[str, list[float]] = {"decode": [], "take": [], "judge": [], "all": []}
    for second in range(1, n_seconds + 1):
        now = clock.advance(timedelta(seconds=1))
        payloads = [
            encode(make_resource_state(id_, seq=second, measured_at=now, published_at=now))
            for id_, _ in subjects.resources
        ]
        begun = time.process_time()
        states = [decode(payload, ResourceState) for payload in payloads]
        decoded = time.process_time()
        logic.decide(state, Observed(connected=True, resources=states), now)
        taken = time.process_time()
        logic.decide(state, Tick(), now)
        done = time.process_time()
        parts["decode"].append((decoded - begun) * 1000)
        parts["take"].append((taken - decoded) * 1000)
        parts["judge"].append((done - taken) * 1000)
        parts["all"].append((done - begun) * 1000)
    # The first seconds are grace: nothing but the feed is judged.
    warm = {name: quantiles(values[20:]) for name, values in parts.items()}
    return {
        "n_resources": n_resources,
        "n_rules": len(rules),
        "n_alarms": len(logic.book.standing),
        "core": figure(warm["all"]["p50"] / 1000, "core", must=0.5, aim=0.25),
        "ms_per_second": warm,
    }


def main(*, smoke: bool) -> None:
    """Print the figures."""
    report({"alarms": measure(500 if smoke else 10_000, 25 if smoke else 60)})


if __name__ == "__main__":
    main(smoke="--smoke" in sys.argv)

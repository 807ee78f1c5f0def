"""What the plant, the actors and the dependencies look like at the moment of a scrape."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from controllers.alarms.lifecycle import AlarmState
from controllers.alarms.rules import Severity
from controllers.ports.health import NOTICE_SERVERS, Health, n_breakers_open
from serve_apps.web.deps import ApiDeps
from serve_apps.web.problems import CheckView

# Key in an actor's health, metric, whether it only rises, help.
_ACTOR_FIGURES = (
    ("epoch", "parkgrid_actor_epoch", False, "Rises by one with each restart."),
    ("calls_waiting", "parkgrid_actor_calls_waiting", False, "Calls in the mailbox."),
    ("store_ok", "parkgrid_actor_store_ok", False, "1 while its durable state takes writes."),
    ("slowest_commit_s", "parkgrid_actor_slowest_commit_seconds", False, "Since its start."),
    ("events", "parkgrid_actor_events", True, "Events decided on."),
    ("refused", "parkgrid_actor_refused", True, "Events and calls refused."),
    ("crashed", "parkgrid_actor_crashed", True, "Decisions that failed; each is a defect."),
    ("unperformed", "parkgrid_actor_unperformed", True, "Effects that could not be carried out."),
    ("solve_s", "parkgrid_plan_solve_seconds", False, "Of the last plan."),
    ("gap_frac", "parkgrid_plan_gap_ratio", False, "Proven distance from the optimum."),
    ("breaches", "parkgrid_plan_breaches", False, "Limits and wishes the last plan cannot keep."),
    ("degraded", "parkgrid_plan_degraded", False, "1 while an older plan is followed."),
    (
        "promoted_failures",
        "parkgrid_promoted_optimizer_failures",
        False,
        "Plans of the promoted optimizer in a row that did not hold.",
    ),
    ("plans", "parkgrid_plans", True, "Plans made."),
    ("waiting", "parkgrid_history_samples_waiting", False, "Samples not yet in a file."),
    ("alarms_overflowed", "parkgrid_alarms_overflowed", True, "Alarms beyond what is kept."),
    ("stored", "parkgrid_records_stored", True, "Records brought into the database."),
)


class PlantGauges(Collector):
    """Reads the live picture and what was last heard of actors and dependencies.

    Args:
        deps: what the API is built from.
        n_clients: WebSocket clients of this replica.
    """

    def __init__(self, deps: ApiDeps, n_clients: Mapping[str, int]) -> None:
        self._deps = deps
        self._n_clients = n_clients
        self.healths: Mapping[str, Health | None] = {}
        self.checks: list[CheckView] = []

    def collect(self) -> Iterable[Metric]:
        """Yield all families; those without a sample too, so that their names are known."""
        yield from self._resources()
        yield from self._aggregates()
        yield from self._alarms()
        yield from self._actors()
        yield from self._system()

    def _resources(self) -> Iterable[Metric]:
        now = self._deps.clock.now()
        states = list(self._deps.live.resources.values())
        age = GaugeMetricFamily(
            "parkgrid_telemetry_age_seconds", "Since the meter was read.", labels=["resource"]
        )
        events: Counter[str] = Counter()
        for state in states:
            if state.measured_at is not None:
                age.add_metric([state.id], (now - state.measured_at).total_seconds())
            events.update(state.counters)
        yield age
        commands = Counter(str(s.command.state) for s in states if s.command is not None)
        for name, help_, label, counts in (
            ("health", "Resources by health.", "health", Counter(str(s.health) for s in states)),
            (
                "rung",
                "By rung of the failsafe ladder.",
                "rung",
                Counter(str(s.rung) for s in states),
            ),
            ("quality", "By quality.", "quality", Counter(str(s.quality) for s in states)),
            ("command", "By state of the command in force.", "state", commands),
        ):
            yield _by(f"parkgrid_resources_by_{name}", help_, label, counts)
        yield _by(
            "parkgrid_resources_killed",
            "Stopped by kill switch.",
            "",
            _one(sum(state.killed for state in states)),
        )
        yield _by(
            "parkgrid_device_events",
            "Samples refused, late or doubled and commands failed, since the actors' start.",
            "event",
            events,
        )

    def _aggregates(self) -> Iterable[Metric]:
        label = ["aggregation"]
        power = GaugeMetricFamily("parkgrid_power_kw", "Net, injection positive.", labels=label)
        target = GaugeMetricFamily("parkgrid_target_kw", "In force, after ramping.", labels=label)
        error = GaugeMetricFamily(
            "parkgrid_delivery_error_kw", "Target minus measured power.", labels=label
        )
        coverage = GaugeMetricFamily(
            "parkgrid_coverage_ratio", "Rated power with usable telemetry.", labels=label
        )
        for state in list(self._deps.live.aggregates.values()):
            power.add_metric([state.id], state.power_kw)
            coverage.add_metric([state.id], state.coverage_frac)
            if state.target_kw is not None:
                target.add_metric([state.id], state.target_kw)
                error.add_metric([state.id], state.target_kw - state.power_kw)
        yield from (power, target, error, coverage)

    def _alarms(self) -> Iterable[Metric]:
        # A group speaks for its members.
        alarms = [a for a in self._deps.live.alarms.values() if a.group_id is None]
        severities = Counter({severity.value: 0 for severity in Severity})
        severities.update(alarm.severity.value for alarm in alarms)
        yield _by("parkgrid_alarms_standing", "Standing alarms.", "severity", severities)
        n_open = sum(alarm.state is AlarmState.UNACKNOWLEDGED for alarm in alarms)
        name, help_ = "parkgrid_alarms_unacknowledged", "Active, nobody took note."
        yield _by(name, help_, "", _one(n_open))

    def _actors(self) -> Iterable[Metric]:
        healths = self.healths
        up = GaugeMetricFamily("parkgrid_actor_up", "1 when it answers, ready.", labels=["actor"])
        for name, health in healths.items():
            up.add_metric([name], bool(health and health.get("ready", True)))
        yield up
        for key, name, rises, help_ in _ACTOR_FIGURES:
            type_ = CounterMetricFamily if rises else GaugeMetricFamily
            family = type_(name, help_, labels=["actor"])
            for actor, health in healths.items():
                value = (health or {}).get(key)
                if isinstance(value, int | float):
                    family.add_metric([actor], float(value))
            yield family

    def _system(self) -> Iterable[Metric]:
        up = Counter({check.name: int(check.ok) for check in self.checks})
        yield _by("parkgrid_dependency_up", "1 when it answers.", "dependency", up)
        counts = {name: n_open() for name, n_open in self._deps.breakers.items()}
        # Notices are sent by an actor, so it is there that these breakers are.
        for name in NOTICE_SERVERS:
            counts[name] = n_breakers_open(self.healths, name) or 0
        yield _by("parkgrid_breakers_open", "Circuit breakers open.", "dependency", counts)
        waiting = {name: n_waiting() for name, n_waiting in self._deps.queues.items()}
        yield _by("parkgrid_queue_depth", "Waiting in a queue of the API.", "queue", waiting)
        alarms = Counter(
            (str(alarm.severity), str(alarm.state))
            for alarm in list(self._deps.live.alarms.values())
        )
        standing = GaugeMetricFamily(
            "parkgrid_alarms", "Standing alarms.", labels=["severity", "state"]
        )
        for labels, n in alarms.items():
            standing.add_metric(labels, n)
        yield standing
        yield _by("parkgrid_stream_clients", "WebSocket clients.", "", self._n_clients)


def _one(value: int) -> dict[str, int]:
    return {"": value}


def _by(name: str, help_: str, label: str, counts: Mapping[str, int]) -> Metric:
    family = GaugeMetricFamily(name, help_, labels=[label] if label else [])
    for value, n in counts.items():
        family.add_metric([value] if label else [], n)
    return family

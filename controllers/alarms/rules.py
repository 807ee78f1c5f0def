"""Alarm rules as data: what is watched, when it is abnormal, how grave that is, whom to tell.

A rule that contradicts itself is refused by ``check_rule`` with the path of the field, so that an
API and a form say the same.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import msgspec

from controllers.alarms.signals import AGE, COMMAND_WAIT, SubjectKind, knows
from controllers.kernel.errors import Problem
from controllers.kernel.wire import Identifier, Wire

Number = Annotated[float, msgspec.Meta(ge=-1e9, le=1e9)]
Magnitude = Annotated[float, msgspec.Meta(ge=0.0, le=1e9)]
Above0 = Annotated[float, msgspec.Meta(gt=0.0, le=1e9)]
Seconds = Annotated[float, msgspec.Meta(ge=0.0, le=86_400.0)]
SignalName = Annotated[
    str, msgspec.Meta(pattern=r"^(signals\.)?[a-z][a-z0-9_]{0,47}(?!\n)$", max_length=56)
]
ChannelIds = Annotated[list[Identifier], msgspec.Meta(max_length=10)]


class Severity(StrEnum):
    """How grave it is; the first is the gravest."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class Condition(Wire, tag_field="kind"):
    """When a signal is abnormal."""


class Threshold(Condition, tag="threshold"):
    """Beyond a limit; normal again only when back by the hysteresis."""

    above: Number | None = None
    below: Number | None = None
    hysteresis: Magnitude = 0.0


class RateOfChange(Condition, tag="rate_of_change"):
    """Changes faster than so much per minute, over a window."""

    rise_per_min: Above0 | None = None
    fall_per_min: Above0 | None = None
    """Both as magnitudes."""
    window_s: Annotated[float, msgspec.Meta(ge=2.0, le=3600.0)] = 60.0


class MissingData(Condition, tag="missing_data"):
    """Nothing new for so long; never heard counts from when listening began."""

    max_age_s: Annotated[float, msgspec.Meta(ge=1.0, le=86_400.0)]


class Deviation(Condition, tag="deviation"):
    """Away from what was planned: the set-point of a resource, the target of an aggregate.

    Without one in force there is nothing to deviate from, which is normal.
    """

    tolerance_kw: Magnitude
    tolerance_frac: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)] = 0.0
    """Of the planned power; the larger of both counts."""
    hysteresis_kw: Magnitude = 0.0


class NotApplied(Condition, tag="not_applied"):
    """A command was refused, or sent and not applied within so long."""

    within_s: Annotated[float, msgspec.Meta(ge=1.0, le=3600.0)]


class Anomaly(Condition, tag="anomaly"):
    """Unlike its own recent past: a robust z-score beyond a limit; see ``anomaly``."""

    z: Annotated[float, msgspec.Meta(ge=3.0, le=100.0)] = 6.0
    half_life_s: Annotated[float, msgspec.Meta(ge=10.0, le=86_400.0)] = 1800.0
    warm_up: Annotated[int, msgspec.Meta(ge=10, le=600)] = 120
    """Measurements before it judges at all."""
    min_scale: Above0
    """Least standard deviation taken for normal, in the signal's unit."""


AnyCondition = Threshold | RateOfChange | MissingData | Deviation | NotApplied | Anomaly


class Target(Wire):
    """Which subjects: one by id, those of a kind of plant, or all of the subject kind."""

    subject_kind: SubjectKind
    id: Identifier | None = None
    resource_kind: Annotated[str, msgspec.Meta(max_length=64)] | None = None


class EscalationStep(Wire):
    """What happens when an alarm stays unacknowledged for so long."""

    after_s: Annotated[float, msgspec.Meta(ge=10.0, le=604_800.0)]
    channels: ChannelIds = []
    severity: Severity | None = None
    """None keeps it."""


class Rule(Wire):
    """One alarm rule."""

    id: Identifier
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=120)]
    enabled: bool = True
    target: Target
    signal: SignalName
    condition: AnyCondition
    severity: Severity
    priority: Annotated[int, msgspec.Meta(ge=1, le=5)] = 3
    """In which order to attend to it; 1 comes first."""
    delay_on_s: Seconds = 0.0
    """How long the condition must hold before it raises."""
    delay_off_s: Seconds = 0.0
    """How long the signal must be normal before the alarm returns."""
    advice: Annotated[str, msgspec.Meta(max_length=500)] = ""
    """What the operator should do; told with the alarm."""
    channels: ChannelIds = []
    """Told when it is raised and when it returns."""
    escalation: Annotated[list[EscalationStep], msgspec.Meta(max_length=5)] = []
    renotify_s: Annotated[float, msgspec.Meta(ge=60.0, le=604_800.0)] = 3600.0
    """Least time between two notices of one subject, and the interval of reminders."""
    max_notices_per_hour: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 20


def check_rule(rule: Rule) -> list[Problem]:
    """Return every contradiction within a rule."""
    return [problem for check in _CHECKS for problem in check(rule)]


def _target_is_one(rule: Rule) -> list[Problem]:
    target = rule.target
    problems = []
    if target.subject_kind is SubjectKind.GROUP:
        rule_text = "must be resource, aggregate or feed; groups are made by the system"
        problems.append(_problem("target.subject_kind", target.subject_kind.value, rule_text))
    if target.resource_kind is not None and target.subject_kind is not SubjectKind.RESOURCE:
        text = "goes with subject_kind resource only"
        problems.append(_problem("target.resource_kind", target.resource_kind, text))
    if target.resource_kind is not None and target.id is not None:
        problems.append(_problem("target.resource_kind", target.resource_kind, "excludes id"))
    return problems


def _signal_exists(rule: Rule) -> list[Problem]:
    kind = rule.target.subject_kind
    if knows(kind, rule.signal):
        return []
    return [_problem("signal", rule.signal, f"is no signal of a subject of kind {kind.value}")]


def _condition_is_whole(rule: Rule) -> list[Problem]:
    condition = rule.condition
    match condition:
        case Threshold(above=None, below=None):
            return [_problem("condition", "threshold", "give above, below or both")]
        case Threshold(above=above, below=below, hysteresis=hysteresis):
            if above is not None and below is not None and below + hysteresis >= above - hysteresis:
                text = f"must leave room between {below:g} and {above:g}"
                return [_problem("condition.hysteresis", hysteresis, text)]
        case RateOfChange(rise_per_min=None, fall_per_min=None):
            return [_problem("condition", "rate_of_change", "give rise_per_min or fall_per_min")]
        case Deviation(tolerance_kw=tolerance_kw, hysteresis_kw=hysteresis_kw):
            if hysteresis_kw > tolerance_kw:
                text = f"must be at most tolerance_kw, {tolerance_kw:g} kW"
                return [_problem("condition.hysteresis_kw", hysteresis_kw, text)]
    return []


def _condition_fits_signal(rule: Rule) -> list[Problem]:
    fixed = {MissingData: AGE, NotApplied: COMMAND_WAIT, Deviation: "power_kw"}
    wanted = fixed.get(type(rule.condition))
    if wanted is None or rule.signal == wanted:
        return []
    return [_problem("signal", rule.signal, f"must be {wanted} with this condition")]


def _escalation_rises(rule: Rule) -> list[Problem]:
    waits_s = [step.after_s for step in rule.escalation]
    if waits_s == sorted(set(waits_s)):
        return []
    return [_problem("escalation", waits_s, "after_s must rise from step to step")]


def _problem(field: str, value: object, rule: str) -> Problem:
    return Problem(field=field, value=value, rule=rule)


_CHECKS = (
    _target_is_one,
    _signal_exists,
    _condition_is_whole,
    _condition_fits_signal,
    _escalation_rises,
)

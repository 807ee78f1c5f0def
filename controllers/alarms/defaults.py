"""The rules of a new installation: few, and silent while the plant does what it should."""

from __future__ import annotations

from controllers.alarms.rules import MissingData, NotApplied, Rule, Severity, Target, Threshold
from controllers.alarms.signals import AGE, COMMAND_WAIT, SubjectKind

_RESOURCES = Target(subject_kind=SubjectKind.RESOURCE)
_AGGREGATES = Target(subject_kind=SubjectKind.AGGREGATE)

DEFAULT_RULES = [
    Rule(
        id="feed-lost",
        name="Live feed lost · 实时数据中断",
        target=Target(subject_kind=SubjectKind.FEED),
        signal=AGE,
        condition=MissingData(max_age_s=10.0),
        severity=Severity.CRITICAL,
        priority=1,
        delay_off_s=5.0,
        advice="Look at the MQTT broker; devices fall back by themselves meanwhile.",
    ),
    Rule(
        id="telemetry-missing",
        name="Telemetry missing · 遥测缺失",
        target=_RESOURCES,
        signal=AGE,
        condition=MissingData(max_age_s=60.0),
        severity=Severity.HIGH,
        priority=2,
        delay_on_s=30.0,
        delay_off_s=10.0,
        advice="Look at the device and its connection.",
    ),
    Rule(
        id="command-not-applied",
        name="Command not applied · 指令未执行",
        target=_RESOURCES,
        signal=COMMAND_WAIT,
        condition=NotApplied(within_s=30.0),
        severity=Severity.HIGH,
        priority=2,
        delay_on_s=30.0,
        delay_off_s=10.0,
        advice="The trail of the resource says which command and why.",
    ),
    Rule(
        id="resource-failed",
        name="Resource failed · 资源故障",
        target=_RESOURCES,
        signal="health_level",
        condition=Threshold(above=1.5),
        severity=Severity.HIGH,
        priority=2,
        delay_on_s=60.0,
        delay_off_s=30.0,
        advice="Commands are not carried out or the device reports a fault.",
    ),
    Rule(
        id="delivery-short",
        name="Delivery short of target · 交付不足",
        target=_AGGREGATES,
        signal="shortfall_frac",
        condition=Threshold(above=0.05, hysteresis=0.02),
        severity=Severity.MEDIUM,
        delay_on_s=120.0,
        delay_off_s=30.0,
        advice="The delivery report says which members do not follow.",
    ),
    Rule(
        id="coverage-low",
        name="Metering coverage low · 计量覆盖不足",
        target=_AGGREGATES,
        signal="coverage_frac",
        condition=Threshold(below=0.8, hysteresis=0.05),
        severity=Severity.MEDIUM,
        delay_on_s=120.0,
        delay_off_s=30.0,
        advice="Too much of the rated power is without usable telemetry.",
    ),
    Rule(
        id="battery-empty",
        name="Battery nearly empty · 储能电量过低",
        target=Target(subject_kind=SubjectKind.RESOURCE, resource_kind="battery"),
        signal="signals.soc_frac",
        condition=Threshold(below=0.03, hysteresis=0.02),
        severity=Severity.LOW,
        priority=4,
        delay_on_s=60.0,
        delay_off_s=60.0,
        advice="Below what the day plan uses; look for a load that nobody planned.",
    ),
]

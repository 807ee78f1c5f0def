"""The controllers' times at the pace of a simulated day.

The rules and the code are those of the live park; only what counts in samples is stretched with the
step, so that one sample a minute is as good a heartbeat as one a second is live. At a step of one
second everything is as it is live.
"""

from __future__ import annotations

import msgspec

from controllers.aggregation.settings import AggregateSettings
from controllers.control.state import ControlSettings
from controllers.park import ParkDefinition, ResourceDefinition
from controllers.resources.kinds import TWINS
from controllers.resources.parameters import ParameterValue, check_parameters, number

_AGE_STEPS = 2.5
"""A sample may miss once."""
_FROZEN_STEPS = 10.0


def paced_park(park: ParkDefinition, step_s: float, recorded: frozenset[str]) -> ParkDefinition:
    """Return the park with ages and loop periods of at least a step.

    Args:
        park: a checked definition.
        step_s: length of a step, at most 60 s.
        recorded: resources that follow a file; a file's hour of equal values is not a fault.
    """
    return msgspec.structs.replace(
        park,
        resources=[_paced_resource(r, step_s, r.id in recorded) for r in park.resources],
        aggregates=[
            msgspec.structs.replace(a, period_s=max(a.period_s, step_s)) for a in park.aggregates
        ],
    )


def _paced_resource(
    resource: ResourceDefinition, step_s: float, is_recorded: bool
) -> ResourceDefinition:
    values, _ = check_parameters(TWINS[resource.kind].PARAMETERS, resource.parameters)
    frozen_s = number(values, "frozen_after_s")
    paced: dict[str, ParameterValue] = {
        "max_age_s": max(number(values, "max_age_s"), _AGE_STEPS * step_s),
        "frozen_after_s": 0.0
        if is_recorded or not frozen_s
        else max(frozen_s, _FROZEN_STEPS * step_s),
    }
    return msgspec.structs.replace(resource, parameters={**resource.parameters, **paced})


def control_settings(step_s: float) -> ControlSettings:
    """Return the times of resource control."""
    live = ControlSettings()
    return ControlSettings(
        command_lifetime_s=max(live.command_lifetime_s, 4.0 * step_s),
        ack_timeout_s=max(live.ack_timeout_s, 2.0 * step_s),
        apply_timeout_s=max(live.apply_timeout_s, _AGE_STEPS * step_s),
        verify_margin_s=max(live.verify_margin_s, _AGE_STEPS * step_s),
        deviation_s=max(live.deviation_s, _AGE_STEPS * step_s),
        heartbeat_timeout_s=max(live.heartbeat_timeout_s, 3.0 * step_s),
        default_max_age_s=max(live.default_max_age_s, _AGE_STEPS * step_s),
    )


def aggregate_settings(step_s: float) -> AggregateSettings:
    """Return the times of the dispatch loop."""
    live = AggregateSettings()
    return AggregateSettings(
        max_silence_s=max(live.max_silence_s, _AGE_STEPS * step_s),
        response_s=max(live.response_s, 1.5 * step_s),
        confirm_s=max(live.confirm_s, step_s),
        settle_s=max(live.settle_s, 2.0 * step_s),
        max_gap_s=max(live.max_gap_s, 2.0 * step_s),
        guard_release_s=max(live.guard_release_s, 2.0 * step_s),
    )

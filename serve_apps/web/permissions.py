"""Who may do what: one table from operation to roles.

Every route names its operation; a route without one cannot be built. ``None`` in a route means
public on purpose.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum


class Role(StrEnum):
    """What a person is to the park."""

    OPERATOR = "operator"
    MAINTAINER = "maintainer"
    TRADER = "trader"
    QUANT = "quant"
    SETTLEMENT = "settlement"
    AUDITOR = "auditor"
    ADMIN = "admin"


class Operation(StrEnum):
    """Everything that can be asked of this API by someone logged in."""

    PARK_READ = "park.read"
    LIVE_READ = "live.read"
    LIVE_STREAM = "live.stream"
    DISPATCH_READ = "dispatch.read"
    DISPATCH_CREATE = "dispatch.create"
    DISPATCH_AMEND = "dispatch.amend"
    DISPATCH_CANCEL = "dispatch.cancel"
    OVERRIDE_SET = "override.set"
    OVERRIDE_CLEAR = "override.clear"
    KILL_SET = "kill.set"
    KILL_RELEASE = "kill.release"
    RESOURCE_WRITE = "resource.write"
    RESOURCE_RETIRE = "resource.retire"
    AGGREGATION_WRITE = "aggregation.write"
    AGGREGATION_LIMITS = "aggregation.limits"
    AGGREGATION_RETIRE = "aggregation.retire"
    AGGREGATION_ACTIVATE = "aggregation.activate"
    AGGREGATION_CHECK = "aggregation.check"
    TEMPLATE_READ = "template.read"
    TEMPLATE_VALIDATE = "template.validate"
    TEMPLATE_WRITE = "template.write"
    TEMPLATE_DELETE = "template.delete"
    HISTORY_READ = "history.read"
    ENERGY_READ = "energy.read"
    AUDIT_READ = "audit.read"
    ALARM_READ = "alarm.read"
    ALARM_ACKNOWLEDGE = "alarm.acknowledge"
    ALARM_SHELVE = "alarm.shelve"
    ALARM_CLEAR = "alarm.clear"
    ALARM_RULE_WRITE = "alarm_rule.write"
    ALARM_CHANNEL_READ = "alarm_channel.read"
    ALARM_CHANNEL_WRITE = "alarm_channel.write"
    ALARM_CHANNEL_TEST = "alarm_channel.test"
    DEVICE_READ = "device.read"
    DEVICE_REGISTER = "device.register"
    DEVICE_UPDATE = "device.update"
    DEVICE_RETIRE = "device.retire"
    DEVICE_CREDENTIALS = "device.credentials"
    METRICS_READ = "metrics.read"
    SELF = "self"
    KEY_MAKE = "key.make"
    USER_READ = "user.read"
    USER_CHANGE = "user.change"
    DEVICE_CONFIGURE = "device.configure"
    DEVICE_COMMAND = "device.command"
    MAINTENANCE_PLAN = "maintenance.plan"
    MAINTENANCE_END = "maintenance.end"
    WORK_LOG_WRITE = "work_log.write"
    APPROVAL_READ = "approval.read"
    APPROVAL_DECIDE = "approval.decide"
    OPTIMIZER_READ = "optimizer.read"
    OPTIMIZER_DEPLOY = "optimizer.deploy"
    OPTIMIZER_PROMOTE = "optimizer.promote"
    OPTIMIZER_ROLL_BACK = "optimizer.roll_back"


_EVERYONE = frozenset(Role)
_DISPATCHERS = frozenset({Role.OPERATOR, Role.ADMIN})
_INSPECTORS = frozenset({Role.AUDITOR, Role.ADMIN})
_HANDS_ON = frozenset({Role.OPERATOR, Role.MAINTAINER, Role.ADMIN})
_MAINTAINERS = frozenset({Role.MAINTAINER, Role.ADMIN})
_QUANTS = frozenset({Role.QUANT, Role.ADMIN})

PERMISSIONS: dict[Operation, frozenset[Role]] = {
    Operation.PARK_READ: _EVERYONE,
    Operation.LIVE_READ: _EVERYONE,
    Operation.LIVE_STREAM: _EVERYONE,
    Operation.DISPATCH_READ: _EVERYONE,
    Operation.DISPATCH_CREATE: _DISPATCHERS,
    Operation.DISPATCH_AMEND: _DISPATCHERS,
    Operation.DISPATCH_CANCEL: _DISPATCHERS,
    Operation.OVERRIDE_SET: _HANDS_ON,
    Operation.OVERRIDE_CLEAR: _HANDS_ON,
    # Whoever stands beside the machine may stop it; setting it free again is the operator's.
    Operation.KILL_SET: _HANDS_ON,
    Operation.KILL_RELEASE: _DISPATCHERS,
    Operation.RESOURCE_WRITE: _MAINTAINERS,
    Operation.RESOURCE_RETIRE: _MAINTAINERS,
    # Who builds it and who runs it put it together; to work goes it by whoever dispatches.
    Operation.AGGREGATION_WRITE: _HANDS_ON,
    Operation.AGGREGATION_LIMITS: _DISPATCHERS,
    Operation.AGGREGATION_RETIRE: _DISPATCHERS,
    Operation.AGGREGATION_ACTIVATE: _DISPATCHERS,
    Operation.AGGREGATION_CHECK: _HANDS_ON,
    Operation.TEMPLATE_READ: _EVERYONE,
    # Leaves a record of what was checked and by whom, which an auditor must not.
    Operation.TEMPLATE_VALIDATE: _HANDS_ON,
    Operation.TEMPLATE_WRITE: _MAINTAINERS,
    Operation.TEMPLATE_DELETE: _MAINTAINERS,
    Operation.HISTORY_READ: _EVERYONE,
    Operation.ENERGY_READ: _EVERYONE,
    Operation.ALARM_READ: _EVERYONE,
    Operation.ALARM_ACKNOWLEDGE: _HANDS_ON,
    Operation.ALARM_SHELVE: _HANDS_ON,
    Operation.ALARM_CLEAR: _HANDS_ON,
    Operation.ALARM_RULE_WRITE: _MAINTAINERS,
    # Addresses of people and systems outside.
    Operation.ALARM_CHANNEL_READ: _HANDS_ON | {Role.AUDITOR},
    Operation.ALARM_CHANNEL_WRITE: _MAINTAINERS,
    Operation.ALARM_CHANNEL_TEST: _MAINTAINERS,
    Operation.DEVICE_READ: _EVERYONE,
    Operation.DEVICE_REGISTER: _MAINTAINERS,
    Operation.DEVICE_UPDATE: _MAINTAINERS,
    Operation.DEVICE_RETIRE: _MAINTAINERS,
    Operation.DEVICE_CREDENTIALS: _MAINTAINERS,
    Operation.METRICS_READ: _HANDS_ON | {Role.AUDITOR},
    Operation.AUDIT_READ: _INSPECTORS,
    # One's own sessions and keys.
    Operation.SELF: _EVERYONE,
    Operation.KEY_MAKE: _EVERYONE,
    Operation.USER_READ: _INSPECTORS,
    Operation.USER_CHANGE: frozenset({Role.ADMIN}),
    Operation.DEVICE_CONFIGURE: _MAINTAINERS,
    Operation.DEVICE_COMMAND: _MAINTAINERS,
    Operation.MAINTENANCE_PLAN: _HANDS_ON,
    Operation.MAINTENANCE_END: _HANDS_ON,
    Operation.WORK_LOG_WRITE: _HANDS_ON,
    Operation.APPROVAL_READ: _HANDS_ON | _INSPECTORS | _QUANTS,
    # And what is approved must be permitted to them too.
    Operation.APPROVAL_DECIDE: _HANDS_ON | _QUANTS,
    Operation.OPTIMIZER_READ: _HANDS_ON | _INSPECTORS | _QUANTS,
    # Runs code of theirs on the park's machine.
    Operation.OPTIMIZER_DEPLOY: _QUANTS,
    # It moves the park: theirs who made it and theirs who run the park.
    Operation.OPTIMIZER_PROMOTE: _QUANTS | _DISPATCHERS,
    Operation.OPTIMIZER_ROLL_BACK: _QUANTS | _HANDS_ON,
}

PERSONAL = frozenset(
    {
        Operation.KEY_MAKE,
        Operation.USER_CHANGE,
        Operation.APPROVAL_DECIDE,
        Operation.OPTIMIZER_DEPLOY,
    }
)
"""For people only: an API key that leaks must not be able to make itself at home."""


def permits(roles: Iterable[str], operation: Operation) -> bool:
    """Tell whether any of the roles may do the operation; unknown role names permit nothing."""
    allowed: frozenset[str] = PERMISSIONS[operation]
    return any(role in allowed for role in roles)

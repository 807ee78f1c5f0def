"""All HTTP routes, in the order they are tried: where the reads come from first."""

from __future__ import annotations

from starlette.routing import BaseRoute

from serve_apps.accounts import keys, session, users
from serve_apps.alarms import alarms
from serve_apps.alarms import channels as alarm_channels
from serve_apps.alarms import rules as alarm_rules
from serve_apps.approvals import routes as approvals
from serve_apps.assets import aggregations, findings, resources
from serve_apps.devices import maintenance, management
from serve_apps.devices import registration as devices
from serve_apps.history import routes as history
from serve_apps.operations import bulk, dispatch, dispatch_list, hands, park
from serve_apps.optimizers import routes as optimizers
from serve_apps.system import audit, metrics, probes
from serve_apps.templates import kinds
from serve_apps.templates import routes as templates

ROUTES: list[BaseRoute] = [
    *park.router.routes,
    *resources.router.routes,
    *aggregations.router.routes,
    *findings.router.routes,
    *bulk.router.routes,
    *dispatch.router.routes,
    *dispatch_list.router.routes,
    *hands.router.routes,
    *alarms.router.routes,
    *alarm_rules.router.routes,
    *alarm_channels.router.routes,
    *devices.router.routes,
    *management.router.routes,
    *maintenance.router.routes,
    *kinds.router.routes,
    *templates.router.routes,
    *optimizers.router.routes,
    *history.router.routes,
    *session.router.routes,
    *users.router.routes,
    *keys.router.routes,
    *approvals.router.routes,
    *audit.router.routes,
    *probes.router.routes,
    *metrics.router.routes,
]
"""Complete routes in one flat list: a nested router costs more to search than a read to answer."""

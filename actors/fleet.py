"""The live actor of a fleet: up to 100,000 small devices behind the interface of one resource."""

from __future__ import annotations

import asyncio

from actors.links.fleet import FleetLink
from actors.links.mqtt import MqttSettings
from actors.resource import ResourceActor
from controllers.control.state import ResourceSpec
from controllers.kernel.errors import DomainError
from controllers.kernel.timebase import Clock
from controllers.resources.fleet import Fleet


class FleetActor(ResourceActor):
    """Control of one fleet; the same calls and arguments as a resource's.

    The columns of the devices live in its link and fill again from telemetry after a restart.
    """

    def make_link(
        self,
        park_id: str,
        spec: ResourceSpec,
        settings: MqttSettings,
        wake: asyncio.Event,
        clock: Clock,
    ) -> FleetLink:
        """Return the link to the fleet's gateway.

        Raises:
            DomainError: the resource is no fleet.
        """
        if not isinstance(spec.twin, Fleet):
            raise DomainError("kind", spec.definition.kind, f"must be {Fleet.KIND}")
        return FleetLink(park_id, spec.definition, spec.twin, settings, wake, clock=clock)

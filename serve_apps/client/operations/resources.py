"""Calls of the API, resources; written by ``serve_apps.client.generate``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from serve_apps.assets.bodies import ResourceBody, ResourcesBody, UpdateResourceBody
from serve_apps.assets.views import CreatedResources, ParkMap, ResourceList, ResourceView
from serve_apps.client.transport import Transport, part


class ResourcesCalls(Transport):
    """Operations of the domain: resources."""

    def list_resources(
        self,
        *,
        status: str | None = None,
        kind: str | None = None,
        name: str | None = None,
        aggregation: str | None = None,
        template: str | None = None,
        limit: int | None = None,
        sort: str | None = None,
        cursor: str | None = None,
    ) -> ResourceList:
        """Return resources."""
        return self.call(
            ResourceList,
            "GET",
            "/api/vpp/resources",
            query={
                "status": status,
                "kind": kind,
                "name": name,
                "aggregation": aggregation,
                "template": template,
                "limit": limit,
                "sort": sort,
                "cursor": cursor,
            },
        )

    def each_resources(
        self,
        *,
        status: str | None = None,
        kind: str | None = None,
        name: str | None = None,
        aggregation: str | None = None,
        template: str | None = None,
        limit: int | None = None,
        sort: str | None = None,
    ) -> Iterator[ResourceView]:
        """Yield the items of all pages of ``list_resources``."""
        cursor: str | None = None
        while True:
            page = self.list_resources(
                status=status,
                kind=kind,
                name=name,
                aggregation=aggregation,
                template=template,
                limit=limit,
                sort=sort,
                cursor=cursor,
            )
            yield from page.items
            cursor = page.next_cursor
            if cursor is None:
                return

    def get_resource(self, resource_id: str) -> ResourceView:
        """Return one resource."""
        return self.call(ResourceView, "GET", f"/api/vpp/resources/{part(resource_id)}")

    def get_map(self) -> ParkMap:
        """Return all resources in operation as GeoJSON, with heights for a view in space."""
        return self.call(ParkMap, "GET", "/api/vpp/park/map")

    def create_resource(
        self, body: ResourceBody | Mapping[str, object], *, key: str | None = None
    ) -> ResourceView:
        """Make a resource of a version of a template."""
        return self.call(ResourceView, "POST", "/api/vpp/resources", body=body, key=key, keyed=True)

    def create_resources(
        self, body: ResourcesBody | Mapping[str, object], *, key: str | None = None
    ) -> CreatedResources:
        """Make up to 500 resources."""
        return self.call(
            CreatedResources, "POST", "/api/vpp/resources/bulk", body=body, key=key, keyed=True
        )

    def update_resource(
        self,
        resource_id: str,
        body: UpdateResourceBody | Mapping[str, object],
        *,
        version: int | None = None,
    ) -> ResourceView:
        """Change a resource, whole; only what it touches is restarted."""
        return self.call(
            ResourceView,
            "PUT",
            f"/api/vpp/resources/{part(resource_id)}",
            body=body,
            version=version,
        )

    def retire_resource(self, resource_id: str, *, version: int | None = None) -> ResourceView:
        """Take a resource out for good; its history, commands and reports stay."""
        return self.call(
            ResourceView, "DELETE", f"/api/vpp/resources/{part(resource_id)}", version=version
        )

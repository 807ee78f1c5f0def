"""Calls of the API, dispatch; written by ``serve_apps.client.generate``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from controllers.aggregation.instruction import DeliveryReport, Instruction
from serve_apps.client.transport import Transport, part
from serve_apps.operations.bodies import AmendBody, BulkDispatchBody, DispatchBody
from serve_apps.operations.views import BulkView, DispatchPage
from serve_apps.web.bodies import ReasonBody


class DispatchCalls(Transport):
    """Operations of the domain: dispatch."""

    def dispatch_bulk(
        self, body: BulkDispatchBody | Mapping[str, object], *, key: str | None = None
    ) -> BulkView:
        """Dispatch up to 1."""
        return self.call(
            BulkView, "POST", "/api/vpp/dispatches/bulk", body=body, key=key, keyed=True
        )

    def dispatch(
        self,
        aggregation_id: str,
        body: DispatchBody | Mapping[str, object],
        *,
        key: str | None = None,
    ) -> Instruction:
        """Dispatch an aggregate to a net power over a window; follow it under ``Location``."""
        return self.call(
            Instruction,
            "POST",
            f"/api/vpp/aggregations/{part(aggregation_id)}/dispatch",
            body=body,
            key=key,
            keyed=True,
        )

    def get_dispatch(self, dispatch_id: str) -> DeliveryReport:
        """Return the delivery report: what was asked, what the meters said, and by whom."""
        return self.call(DeliveryReport, "GET", f"/api/vpp/dispatches/{part(dispatch_id)}")

    def amend_dispatch(
        self,
        dispatch_id: str,
        body: AmendBody | Mapping[str, object],
        *,
        version: int | None = None,
    ) -> Instruction:
        """Change target, end or ramp of a dispatch; name the version you saw in ``If-Match``."""
        return self.call(
            Instruction,
            "PATCH",
            f"/api/vpp/dispatches/{part(dispatch_id)}",
            body=body,
            version=version,
        )

    def cancel_dispatch(
        self,
        dispatch_id: str,
        body: ReasonBody | Mapping[str, object],
        *,
        version: int | None = None,
    ) -> Instruction:
        """End a dispatch now; repeating it on a cancelled one succeeds."""
        return self.call(
            Instruction,
            "POST",
            f"/api/vpp/dispatches/{part(dispatch_id)}/cancel",
            body=body,
            version=version,
        )

    def list_dispatches(
        self,
        *,
        aggregation: str | None = None,
        state: str | None = None,
        issued_by: str | None = None,
        from_: datetime | None = None,
        to: datetime | None = None,
        limit: int | None = None,
        sort: str | None = None,
        cursor: str | None = None,
    ) -> DispatchPage:
        """Return dispatches."""
        return self.call(
            DispatchPage,
            "GET",
            "/api/vpp/dispatches",
            query={
                "aggregation": aggregation,
                "state": state,
                "issued_by": issued_by,
                "from": from_,
                "to": to,
                "limit": limit,
                "sort": sort,
                "cursor": cursor,
            },
        )

    def each_dispatches(
        self,
        *,
        aggregation: str | None = None,
        state: str | None = None,
        issued_by: str | None = None,
        from_: datetime | None = None,
        to: datetime | None = None,
        limit: int | None = None,
        sort: str | None = None,
    ) -> Iterator[Instruction]:
        """Yield the items of all pages of ``list_dispatches``."""
        cursor: str | None = None
        while True:
            page = self.list_dispatches(
                aggregation=aggregation,
                state=state,
                issued_by=issued_by,
                from_=from_,
                to=to,
                limit=limit,
                sort=sort,
                cursor=cursor,
            )
            yield from page.items
            cursor = page.next_cursor
            if cursor is None:
                return

"""Calls of the API, approvals; written by ``serve_apps.client.generate``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from controllers.accounts.approvals import Approval
from serve_apps.approvals.routes import ApprovalPage, ApproveBody
from serve_apps.client.transport import Transport, part
from serve_apps.web.bodies import ReasonBody


class ApprovalsCalls(Transport):
    """Operations of the domain: approvals."""

    def list_approvals(
        self, *, state: str | None = None, limit: int | None = None, cursor: str | None = None
    ) -> ApprovalPage:
        """Return approvals."""
        return self.call(
            ApprovalPage,
            "GET",
            "/api/vpp/approvals",
            query={"state": state, "limit": limit, "cursor": cursor},
        )

    def each_approvals(
        self, *, state: str | None = None, limit: int | None = None
    ) -> Iterator[Approval]:
        """Yield the items of all pages of ``list_approvals``."""
        cursor: str | None = None
        while True:
            page = self.list_approvals(state=state, limit=limit, cursor=cursor)
            yield from page.items
            cursor = page.next_cursor
            if cursor is None:
                return

    def get_approval(self, approval_id: str) -> Approval:
        """Return one approval: what is asked, by whom, and what came of it."""
        return self.call(Approval, "GET", f"/api/vpp/approvals/{part(approval_id)}")

    def approve(self, approval_id: str, body: ApproveBody | Mapping[str, object]) -> Approval:
        """Agree as a second person; the act is then carried out, once."""
        return self.call(
            Approval, "POST", f"/api/vpp/approvals/{part(approval_id)}/approve", body=body
        )

    def reject(self, approval_id: str, body: ReasonBody | Mapping[str, object]) -> Approval:
        """Refuse a request, or withdraw one's own; nothing is changed."""
        return self.call(
            Approval, "POST", f"/api/vpp/approvals/{part(approval_id)}/reject", body=body
        )
